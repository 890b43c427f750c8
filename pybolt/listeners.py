"""The listening sockets, and a clear word where one cannot be had."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

BACKLOG = 2048
_LISTENING = "0A"


class StartFailed(Exception):
    """The server cannot start; the message is one line for the user."""


def bind(addresses: list[str], slots: int) -> list[list[socket.socket]]:
    """One listening socket for every slot and address, by slot. Raises :class:`StartFailed`.

    ``addresses`` are ``host:port``; port 0 is the same free port in every slot.
    """
    bound: list[list[socket.socket]] = [[] for _ in range(slots)]
    for address in addresses:
        host, _, port = address.rpartition(":")
        family, where = _resolve(host.strip("[]"), int(port), address)
        # SO_REUSEPORT lets two servers of one user share a port without a word; ask first.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(probe, where, address)
            where = probe.getsockname()
        for slot in bound:
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            _bind(listener, where, address)
            listener.listen(BACKLOG)
            slot.append(listener)
    return bound


def _resolve(host: str, port: int, address: str) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise StartFailed(f"cannot listen on {address}: {reason}") from None
    family, _, _, _, where = found[0]
    return family, where


def _bind(listener: socket.socket, where: Any, address: str) -> None:
    try:
        listener.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            who = holder(where[1])
            hint = f"; {who or 'another server'} uses it: stop that, or choose one with --port"
        else:
            hint = {
                errno.EADDRNOTAVAIL: "; this machine has no such address",
                errno.EACCES: "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
            }.get(error.errno or 0, "")
        raise StartFailed(f"cannot listen on {address}: {error.strerror}{hint}") from None


def holder(port: int) -> str | None:
    """Who listens on ``port``, such as ``python3 (PID 7)``; as far as we may know (Linux)."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(descriptor) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (PID {process.name})"
            except OSError:
                continue
    return None


def _listening(port: int) -> list[str]:
    """The inodes of the sockets that listen on ``port``."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                found.append(columns[9])
    return found
