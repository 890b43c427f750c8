"""The supervisor's look before it binds: all is loaded and checked in a process of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .config.options import RunOptions

#: After so many seconds a start that still goes on says so, then every ten.
SAY_AFTER = (2, 5, 10)


def say(line: str) -> None:
    """One line to the terminal."""
    print(f"bolt: {line}", file=sys.stderr, flush=True)


class Progress:
    """Says now and then that something still goes on."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.begun = time.monotonic()
        self.said = 0

    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begun

    def tick(self) -> None:
        """Says so if it is time."""
        due = SAY_AFTER[self.said] if self.said < len(SAY_AFTER) else 10 * (self.said - 1)
        if self.elapsed() >= due:
            self.said += 1
            say(f"{self.what} ({due} s)")


def preflight(
    options: RunOptions, given_up: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """What is to be served, or ``None`` if it may not be; the reasons are on the terminal.

    Ends early, with ``None``, once ``given_up`` says so; it is asked several times a second.
    """
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "pybolt.worker", "preflight", str(write), *options.to_argv()],
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        text = _read_all(read, given_up, Progress(f"loading {options.app or options.config}"))
        if text is None or process.wait() != 0 or not text:
            return None
    finally:
        os.close(read)
        process.kill()
        process.wait()
    summary: dict[str, Any] = json.loads(text)
    return summary


def _read_all(fd: int, given_up: Callable[[], bool], progress: Progress) -> bytes | None:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    text = b""
    while True:
        ready = poll.poll(100)
        if given_up():
            return None
        progress.tick()
        if ready:
            chunk = os.read(fd, 65536)
            if not chunk:
                return text
            text += chunk
