"""The supervisor: one socket for every worker slot, fresh worker interpreters that inherit it.

No threads, no Django. The sockets are the supervisor's, so what waits in the kernel's queue of a
worker that dies is answered by the one that replaces it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from . import limits
from .config.options import RunOptions
from .listeners import StartFailed, bind
from .preflight import Progress, preflight, say
from .watch import Watch

BACK_OFF = (0.1, 10.0)
HEALTHY_AFTER = 10.0
FIRST_START = 15.0
#: Seconds beyond the drain timeout before a worker that does not end is killed.
KILL_GRACE = 2.0


class Worker:
    """One worker process in its slot."""

    def __init__(self, slot: Slot, options: RunOptions, memory: int) -> None:
        """Starts it; ``memory`` is where all workers count for their limits.

        Raises ``OSError`` where the machine has no room for it.
        """
        listeners = [listener.fileno() for listener in slot.listeners]
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            ready_read, ready_write = os.pipe()
            ours.callback(os.close, ready_read)
            theirs.callback(os.close, ready_write)
            control_read, control_write = os.pipe()
            ours.callback(os.close, control_write)
            theirs.callback(os.close, control_read)
            inherited = [control_read, ready_write, memory]
            argv = [",".join(map(str, listeners)), *map(str, inherited)]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pybolt.worker", "serve", *argv, *options.to_argv()],
                pass_fds=[*listeners, *inherited],
                stdin=subprocess.DEVNULL,
            )
            ours.pop_all()
        self.ready_fd: int | None = ready_read
        self.control_fd = control_write
        self.started = time.monotonic()
        self.is_ready = False

    def command(self, command: bytes) -> None:
        """Sends ``d`` (drain) or ``q`` (end now). A worker that does not serve yet has nothing to
        lose, and is ended."""
        if not self.is_ready:
            self.process.kill()
            return
        try:
            os.write(self.control_fd, command)
        except BrokenPipeError:
            return

    def read_ready(self) -> None:
        """Takes note of the byte that a worker writes when it serves."""
        if self.ready_fd is not None:
            self.is_ready = os.read(self.ready_fd, 1) == b"r"
            os.close(self.ready_fd)
            self.ready_fd = None

    def close(self) -> None:
        """Gives the pipes back once the process has ended."""
        if self.ready_fd is not None:
            os.close(self.ready_fd)
            self.ready_fd = None
        os.close(self.control_fd)


class Slot:
    """The place of one worker: its sockets stay while workers come and go."""

    def __init__(self, number: int, listeners: list[socket.socket]) -> None:
        self.number = number
        self.listeners = listeners
        self.worker: Worker | None = None
        #: Workers of before a reload, which serve until the new one does.
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


class Supervisor:
    """Keeps the slots filled until it is told to end."""

    def __init__(self, options: RunOptions, summary: dict[str, Any], patience: float) -> None:
        self.options = options
        self.summary = summary
        self.patience = patience
        self.slots = [
            Slot(number, listeners)
            for number, listeners in enumerate(bind(summary["listen"], worker_count(summary)))
        ]
        self.leaving: list[Worker] = []
        self.memory = _memory(summary["rate_limit_memory"])
        self.signals, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(self.signals, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.announced = False
        #: Whether what is served has changed since it was last shown.
        self.to_show = True
        self.any_served = False
        self.deadline: float | None = None
        self.watch = Watch(options, summary["files"]) if options.reload else None
        self.progress = Progress("starting workers")

    def run(self) -> int:
        """Serves; the exit code. Raises :class:`StartFailed`."""
        while True:
            self._fill_slots()
            self._wait()
            if self.deadline is not None:
                if not self._living():
                    return 0
                if time.monotonic() > self.deadline:
                    self._kill_all()
            elif not self.announced:
                self._look_at_start()
            elif self.watch is not None and self.watch.changed():
                self._reload()

    def _living(self) -> list[Worker]:
        slotted = [slot.worker for slot in self.slots if slot.worker is not None]
        return slotted + [old for slot in self.slots for old in slot.old] + self.leaving

    def _look_at_start(self) -> None:
        self.progress.tick()
        if not self.any_served and self.progress.elapsed() > self.patience:
            self._fail(f"no worker serves after {self.patience:.0f} s; what it says is above")

    def _fail(self, message: str) -> NoReturn:
        self._kill_all()
        raise StartFailed(message)

    def _fill_slots(self) -> None:
        now = time.monotonic()
        if self.deadline is not None:
            return
        for slot in self.slots:
            if slot.worker is None and now >= slot.next_start:
                self._start(slot)

    def _start(self, slot: Slot) -> None:
        """Fills a slot, or leaves it empty for a while where the machine has no room."""
        slot.worker = None
        try:
            slot.worker = Worker(slot, self.options, self.memory)
        except OSError as error:
            delay = slot.failed(0)
            say(f"a worker cannot be started: {error.strerror}; trying again in {delay:.1f} s")

    def _wait(self) -> None:
        ready = {w.ready_fd: w for w in self._living() if w.ready_fd is not None}
        poll = select.poll()
        for fd in (self.signals, *ready):
            poll.register(fd, select.POLLIN)
        readable = [fd for fd, _ in poll.poll(250)]
        for fd in readable:
            if fd in ready:
                ready[fd].read_ready()
                self._served(ready[fd])
        if self.signals in readable:
            self._read_signals()
        self._reap()

    def _read_signals(self) -> None:
        for number in os.read(self.signals, 64):
            self._signal(number)

    def _has_to_end(self) -> bool:
        """Whether a signal that came while something else was waited for says so."""
        with contextlib.suppress(BlockingIOError):
            self._read_signals()
        return self.deadline is not None

    def _served(self, worker: Worker) -> None:
        if not worker.is_ready:
            return
        self.any_served = True
        for slot in self.slots:
            if slot.worker is worker:
                for old in slot.old:
                    old.command(b"d")
                self.leaving += slot.old
                slot.old = []
        if self.to_show and all(s.worker and s.worker.is_ready for s in self.slots):
            self.announced, self.to_show = True, False
            print(banner(self.summary, self.slots), flush=True)

    def _signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            again = self.deadline is not None
            grace = KILL_GRACE if again else self.summary["drain_timeout"] + KILL_GRACE
            self.deadline = time.monotonic() + grace
            for worker in self._living():
                worker.command(b"q" if again else b"d")
            if not again:
                say("draining; once more to end now")
        elif number == signal.SIGHUP:
            say("SIGHUP: a running server does not read its configuration again; restart it")

    def _reap(self) -> None:
        for workers in (self.leaving, *(slot.old for slot in self.slots)):
            for worker in list(workers):
                if worker.process.poll() is not None:
                    worker.close()
                    workers.remove(worker)
        for slot in self.slots:
            worker_ = slot.worker
            if worker_ is None or worker_.process.poll() is None:
                continue
            worker_.close()
            slot.worker = None
            if self.deadline is None:
                self._replace(slot, worker_)

    def _replace(self, slot: Slot, dead: Worker) -> None:
        delay = slot.failed(time.monotonic() - dead.started)
        say(
            f"worker {dead.process.pid} ended with {_exit(dead.process.returncode)}; "
            f"starting another{f' in {delay:.1f} s' if delay else ''}"
        )
        if not self.any_served and slot.failures >= 3:
            self._fail("the workers end before they serve; their error is above")

    def _reload(self) -> None:
        say("a file has changed; checking")
        try:
            summary = preflight(self.options, self._has_to_end)
        except OSError as error:
            say(f"it cannot be checked: {error.strerror}")
            summary = None
        if summary is None:
            say("the old workers go on")
            return
        fixed = ("listen", "workers", "rate_limit_memory")
        for key in fixed:
            if summary[key] != self.summary[key]:
                say(f"`{key}` has changed: that takes a restart")
        # What was bound stays what the summary says.
        self.summary = summary | {key: self.summary[key] for key in fixed}
        if self.watch is not None:
            self.watch.follow(summary["files"])
        self.to_show = True
        for slot in self.slots:
            if slot.worker is not None and slot.worker.is_ready:
                slot.old.append(slot.worker)
            elif slot.worker is not None:
                slot.worker.process.kill()
                self.leaving.append(slot.worker)
            self._start(slot)
        say("reloading: the old workers serve until the new ones do")

    def _kill_all(self) -> None:
        for worker in self._living():
            worker.process.kill()
            worker.process.wait()


def _memory(size: int) -> int:
    try:
        return limits.make(size)
    except OSError as error:
        raise StartFailed(f"no memory for the rate limits: {error.strerror}") from error


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


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        # Real-time signals have no names.
        return f"signal {-code}"


def banner(summary: dict[str, Any], slots: list[Slot]) -> str:
    """What is served, where, by how many, and what everybody may use."""
    where = [_url(listener.getsockname()) for listener in slots[0].listeners]
    routes = summary["routes"]
    return "\n".join(
        [
            f"bolt serves {summary['app'] or summary['config']}",
            f"  on        {', '.join(where)}",
            f"  config    {_config(summary)}",
            f"  workers   {len(slots)} (supervisor {os.getpid()})",
            f"  django    {summary['mode']}",
            f"  database  {summary['database']}",
            f"  routes    {len(routes)}",
            f"  public    {_public(summary)}",
            f"  log       {_log(routes)}",
            "  Ctrl-C to stop",
        ]
    )


def _config(summary: dict[str, Any]) -> str:
    if summary["config"] is not None:
        return str(summary["config"])
    if os.path.exists("bolt.yaml"):
        return "none; ./bolt.yaml is read with `--config bolt.yaml`"
    return "none"


def _public(summary: dict[str, Any]) -> str:
    routes = [route for route in summary["routes"] if route["public"]]
    if not summary["has_auth"]:
        return "all of them: no auth is declared anywhere"
    shown = [f"{','.join(route['methods'])} {route['path']}" for route in routes]
    more = [f"and {len(shown) - 20} more: bolt routes"] if len(shown) > 20 else []
    return "\n            ".join(shown[:20] + more) or "none"


def _log(routes: list[dict[str, Any]]) -> str:
    logged = sum(1 for route in routes if route["logged"])
    if logged:
        return "every request" if logged == len(routes) else f"requests of {logged} routes"
    return "no requests; `access_log: on` logs them"


def _url(name: Any) -> str:
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


class _Interrupted(BaseException):
    """A signal that ends the start; nothing is bound yet."""


def _interrupt(number: int, _: object) -> NoReturn:
    raise _Interrupted(number)


def run(options: RunOptions) -> int:
    """Serves until told to end. The exit code: 0, 1 if nothing could be started, or 128 and the
    signal that ended the start."""
    before = {
        number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    begun = time.monotonic()
    try:
        summary = preflight(options)
        if summary is None:
            return 1
        # Workers load what the preflight has loaded; several at once take longer.
        patience = max(FIRST_START, 4 * (time.monotonic() - begun))
        return Supervisor(options, summary, patience).run()
    except StartFailed as error:
        say(str(error))
        return 1
    except _Interrupted as interrupted:
        say("ended before it served")
        return 128 + int(interrupted.args[0])
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
