"""Worker processes and the slots that they fill, as the supervisor sees them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .config.options import RunOptions
from .snapshots import Snapshots

BACK_OFF = (0.1, 10.0)
HEALTHY_AFTER = 10.0

#: What a worker reports: a JSON object, ``is`` says what.
Report = dict[str, Any]


@dataclasses.dataclass
class Served:
    """What new workers are told: which version they serve, and what is switched meanwhile."""

    version: int
    snapshots: Snapshots
    switches: list[dict[str, Any]]
    #: The memory in which all workers count for their rate limits.
    limits: int


class Worker:
    """One worker process in its slot."""

    def __init__(self, slot: Slot, options: RunOptions, served: Served) -> None:
        """Starts it. Raises ``OSError`` where the machine has no room for it."""
        listeners = [listener.fileno() for listener in slot.listeners]
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            report_read, report_write = os.pipe()
            ours.callback(os.close, report_read)
            theirs.callback(os.close, report_write)
            control_read, control_write = os.pipe()
            ours.callback(os.close, control_write)
            theirs.callback(os.close, control_read)
            os.set_blocking(control_write, False)
            os.set_blocking(report_read, False)
            snapshots = served.snapshots
            job = {
                "listeners": listeners,
                "control": control_read,
                "report": report_write,
                "snapshots": snapshots.read_fds(),
                "snapshot": [snapshots.served.read_fd, snapshots.served.length],
                "version": served.version,
                "limits": served.limits,
                "switches": served.switches,
            }
            argv = ["serve", json.dumps(job), *options.to_argv()]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pybolt.worker", *argv],
                pass_fds=[
                    *listeners,
                    control_read,
                    report_write,
                    served.limits,
                    *snapshots.read_fds(),
                ],
                stdin=subprocess.DEVNULL,
            )
            ours.pop_all()
        self.report_fd: int | None = report_read
        self.control_fd: int | None = control_write
        self.slot = slot.number
        self.switches = list(served.switches)
        self.version = served.version
        self.started = time.monotonic()
        self.is_ready = False
        #: Whether it was ended because it is out of date, which is no failure of its own.
        self.is_outdated = False
        self._unread = b""
        self._unsent = b""
        self._heard: list[Report] = []

    def order(self, do: str, **details: Any) -> None:
        """Has a worker that serves do something. One that does not serve yet has nothing to lose,
        and is ended where it should end."""
        if self.control_fd is None:
            return
        if not self.is_ready:
            # It may serve already, and nobody has heard of it yet.
            self._read_reports()
        if not self.is_ready:
            if do in ("drain", "end"):
                self.process.kill()
            return
        orders = self._unsent + json.dumps({"do": do} | details).encode() + b"\n"
        try:
            # The pipe may take a part; the rest goes before the next order, so that no two mix.
            self._unsent = orders[os.write(self.control_fd, orders) :]
        except BrokenPipeError:
            return
        except BlockingIOError:
            # It has not read for a long time: whoever waits for it gives up in time.
            return

    def replace(self) -> None:
        """Ends it now: one that begins with what is served comes instead."""
        self.is_outdated = True
        self.process.kill()

    def reports(self) -> list[Report]:
        """What it has reported since the last look."""
        self._read_reports()
        found, self._heard = self._heard, []
        return found

    def _read_reports(self) -> None:
        if self.report_fd is None:
            return
        try:
            chunk = os.read(self.report_fd, 1 << 20)
        except BlockingIOError:
            return
        if not chunk:
            os.close(self.report_fd)
            self.report_fd = None
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        found: list[Report] = [json.loads(line) for line in lines]
        for report in found:
            self.is_ready = self.is_ready or report["is"] == "ready"
            if report["is"] == "committed":
                self.version = report["number"]
        self._heard += found

    def close(self) -> None:
        """Gives the pipes back once the process has ended."""
        if self.report_fd is not None:
            os.close(self.report_fd)
            self.report_fd = None
        if self.control_fd is not None:
            os.close(self.control_fd)
            self.control_fd = None
        self.is_ready = False


class Slot:
    """The place of one worker: its sockets stay while workers come and go."""

    def __init__(self, number: int, listeners: list[socket.socket]) -> None:
        self.number = number
        self.listeners = listeners
        self.worker: Worker | None = None
        #: Workers of before a restart, which serve until the new one does.
        self.old: list[Worker] = []
        self.failures = 0
        self.next_start = 0.0

    def failed(self, lived: float) -> float:
        """Takes note of a worker that ended after ``lived`` seconds; how long to wait now."""
        self.failures = 0 if lived > HEALTHY_AFTER else self.failures + 1
        delay = back_off(self.failures)
        self.next_start = time.monotonic() + delay
        return delay


def back_off(failures: int) -> float:
    """Seconds before the next start after so many short-lived workers in a row."""
    first, longest = BACK_OFF
    # The exponent is bounded: a crash loop may go on for days.
    return float(min(first * 2 ** min(failures - 1, 16), longest)) if failures else 0.0


def worker_count(summary: dict[str, Any]) -> int:
    """``workers`` as a number; ``auto`` = the cores that the container may use."""
    if summary["workers"] != "auto":
        return int(summary["workers"])
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores
    return cores


def exit_text(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        # Real-time signals have no names.
        return f"signal {-code}"
