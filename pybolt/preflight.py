"""The supervisor's look before it binds or reloads: all is loaded in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from .config.options import RunOptions
from .snapshots import Snapshot

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


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a preflight found: a summary of what is to be served, or one line why not."""

    summary: dict[str, Any] | None
    reason: str = ""


class Preflight:
    """A preflight that is under way; what it reads is kept in ``snapshot``.

    ``quiet``: mistakes are not shown but counted, nothing is prepared, and it yields to whoever
    serves meanwhile. Raises ``OSError`` where the machine has no room for it.
    """

    def __init__(self, options: RunOptions, snapshot: Snapshot, *, quiet: bool = False) -> None:
        self.fd, write = os.pipe()
        self.snapshot = snapshot
        self._text = b""
        job = [str(write), str(snapshot.write_fd), "quiet" if quiet else "loud"]
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pybolt.worker", "preflight", *job, *options.to_argv()],
                pass_fds=[write, snapshot.write_fd],
                stdin=subprocess.DEVNULL,
            )
        except OSError:
            os.close(self.fd)
            raise
        finally:
            os.close(write)

    def read(self) -> Outcome | None:
        """Reads what there is, which must be something; the outcome, once it is there."""
        chunk = os.read(self.fd, 65536)
        self._text += chunk
        if chunk:
            return None
        code = self.process.wait()
        self.close()
        if not self._text:
            return Outcome(None, f"the check of it ended with exit code {code}")
        told: dict[str, Any] = json.loads(self._text)
        if code != 0 or "reason" in told:
            return Outcome(None, told.get("reason", ""))
        self.snapshot.length = told.pop("snapshot")
        return Outcome(told)

    def close(self) -> None:
        """Ends it, if it has not ended."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.process.kill()
        self.process.wait()


def preflight(
    options: RunOptions, snapshot: Snapshot, given_up: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """What is to be served, or ``None`` if it may not be; the reasons are on the terminal.

    Ends early, with ``None``, once ``given_up`` says so; it is asked several times a second.
    """
    running = Preflight(options, snapshot)
    progress = Progress(f"loading {options.app or options.config}")
    poll = select.poll()
    poll.register(running.fd, select.POLLIN)
    try:
        while not given_up():
            progress.tick()
            if poll.poll(100) and (outcome := running.read()) is not None:
                return outcome.summary
        return None
    finally:
        running.close()
