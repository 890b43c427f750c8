"""What arguments may be: each takes the text and says what it is, or why it is not one."""

from __future__ import annotations

import argparse
import ipaddress
from pathlib import Path


def port(text: str) -> int:
    """A port, 0 to 65535."""
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: write 0 to 65535")
    return int(text)


def pid(text: str) -> int:
    """A process id."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a process id")
    return int(text)


def pidfile(path: str) -> int:
    """The process id in a file."""
    try:
        return pid(Path(path).read_text().strip())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {path}: {error.strerror}") from None


def workers(text: str) -> str:
    """A number of workers, or `auto`."""
    if text != "auto" and (not text.isdigit() or not 1 <= int(text) <= 256):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of workers: 1 to 256, or auto")
    return text


def header(text: str) -> tuple[str, str]:
    """A header as `Name: value`."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not a header: write 'Name: value'")
    return name.strip(), value.strip()


def address(text: str) -> str:
    """An IP address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address") from None


def not_empty(text: str) -> str:
    """Any text but none."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it may not be empty")
    return text
