"""The supervisor: one socket for every worker slot, fresh worker interpreters that inherit it.

No threads, no Django. The sockets are the supervisor's, so what waits in the kernel's queue of a
worker that dies is answered by the one that replaces it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .config.options import RunOptions

BACKLOG = 2048
BACK_OFF = (0.1, 10.0)
HEALTHY_AFTER = 10.0
FIRST_START = 15.0
#: Seconds beyond the drain timeout before a worker that does not end is killed.
KILL_GRACE = 2.0


class StartFailed(Exception):
    """The server cannot start; the message is one line for the user."""


class Worker:
    """One worker process in its slot."""

    def __init__(self, slot: Slot, options: RunOptions) -> None:
        ready_read, ready_write = os.pipe()
        control_read, control_write = os.pipe()
        listeners = [listener.fileno() for listener in slot.listeners]
        argv = [",".join(map(str, listeners)), str(control_read), str(ready_write)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pybolt.worker", "serve", *argv, *options.to_argv()],
            pass_fds=[*listeners, control_read, ready_write],
            stdin=subprocess.DEVNULL,
        )
        os.close(ready_write)
        os.close(control_read)
        self.ready_fd: int | None = ready_read
        self.control_fd = control_write
        self.started = time.monotonic()
        self.is_ready = False

    def command(self, command: bytes) -> None:
        """Sends ``d`` (drain) or ``q`` (end now)."""
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
        self.failures = 0
        self.next_start = 0.0


class Supervisor:
    """Keeps the slots filled until it is told to end."""

    def __init__(self, options: RunOptions, summary: dict[str, Any]) -> None:
        self.options = options
        self.summary = summary
        self.slots = [
            Slot(number, listeners)
            for number, listeners in enumerate(bind(summary["listen"], worker_count(summary)))
        ]
        self.leaving: list[Worker] = []
        self.signals, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(self.signals, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.ever_ready = False
        self.deadline: float | None = None
        self.watch = Watch(options) if options.reload else None

    def run(self) -> int:
        """Serves; the exit code."""
        begun = time.monotonic()
        while True:
            self._fill_slots()
            self._wait()
            now = time.monotonic()
            if self.deadline is not None:
                if not self._living():
                    return 0
                if now > self.deadline:
                    for worker in self._living():
                        worker.process.kill()
            elif not self.ever_ready and now - begun > FIRST_START and self._has_failed():
                self._kill_all()
                raise StartFailed("no worker could start; its error is above")
            elif self.watch is not None and self.watch.changed():
                self._reload()

    def _living(self) -> list[Worker]:
        slotted = [slot.worker for slot in self.slots if slot.worker is not None]
        return slotted + self.leaving

    def _has_failed(self) -> bool:
        return all(slot.failures > 0 for slot in self.slots)

    def _fill_slots(self) -> None:
        now = time.monotonic()
        if self.deadline is not None:
            return
        for slot in self.slots:
            if slot.worker is None and now >= slot.next_start:
                slot.worker = Worker(slot, self.options)

    def _wait(self) -> None:
        ready = {w.ready_fd: w for w in self._living() if w.ready_fd is not None}
        readable, _, _ = select.select([self.signals, *ready], [], [], 0.25)
        for fd in readable:
            if fd in ready:
                ready[fd].read_ready()
                self._announce()
        if self.signals in readable:
            for number in os.read(self.signals, 64):
                self._signal(number)
        self._reap()

    def _announce(self) -> None:
        if not self.ever_ready and all(s.worker and s.worker.is_ready for s in self.slots):
            self.ever_ready = True
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
        for worker in list(self.leaving):
            if worker.process.poll() is not None:
                worker.close()
                self.leaving.remove(worker)
        for slot in self.slots:
            worker_ = slot.worker
            if worker_ is None or worker_.process.poll() is None:
                continue
            worker_.close()
            slot.worker = None
            if self.deadline is not None:
                continue
            lived = time.monotonic() - worker_.started
            slot.failures = 0 if lived > HEALTHY_AFTER else slot.failures + 1
            delay = min(BACK_OFF[0] * 2 ** max(0, slot.failures - 1), BACK_OFF[1])
            delay = 0.0 if slot.failures == 0 else delay
            slot.next_start = time.monotonic() + delay
            say(
                f"worker {worker_.process.pid} ended with {_exit(worker_.process.returncode)}; "
                f"starting another{f' in {delay:.1f} s' if delay else ''}"
            )
            if not self.ever_ready and slot.failures >= 3:
                self._kill_all()
                raise StartFailed("the workers end before they serve; their error is above")

    def _reload(self) -> None:
        say("a file has changed; checking")
        summary = preflight(self.options)
        if summary is None:
            say("the old workers go on")
            return
        self.summary = summary
        for slot in self.slots:
            if slot.worker is not None:
                slot.worker.command(b"d")
                self.leaving.append(slot.worker)
            slot.worker = Worker(slot, self.options)
        say("reloaded")

    def _kill_all(self) -> None:
        for worker in self._living():
            worker.process.kill()
            worker.process.wait()


class Watch:
    """Notices changes of the configuration and of Python files below the working directory."""

    SKIP = frozenset({".git", ".venv", "node_modules", "__pycache__", "target"})

    def __init__(self, options: RunOptions) -> None:
        self.config = options.config
        self.checked = 0.0
        self.seen = self._stamps()

    def changed(self) -> bool:
        """Whether anything changed since the last look; looks twice a second at most."""
        if time.monotonic() - self.checked < 0.5:
            return False
        stamps = self._stamps()
        changed, self.seen = stamps != self.seen, stamps
        self.checked = time.monotonic()
        return changed

    def _stamps(self) -> dict[str, int]:
        stamps = {}
        for directory, names, files in os.walk("."):
            names[:] = [name for name in names if name not in self.SKIP]
            for name in files:
                if name.endswith((".py", ".yaml", ".yml")):
                    path = os.path.join(directory, name)
                    try:
                        stamps[path] = os.stat(path).st_mtime_ns
                    except FileNotFoundError:
                        continue
        if self.config is not None and Path(self.config).exists():
            stamps[self.config] = os.stat(self.config).st_mtime_ns
        return stamps


def say(line: str) -> None:
    """One line to the terminal."""
    print(f"bolt: {line}", file=sys.stderr, flush=True)


def preflight(options: RunOptions) -> dict[str, Any] | None:
    """Loads and checks everything in a process of its own; ``None`` if it may not be served."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "pybolt.worker", "preflight", str(write), *options.to_argv()],
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    if process.wait() != 0 or not text:
        return None
    summary: dict[str, Any] = json.loads(text)
    return summary


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


def bind(addresses: list[str], slots: int) -> list[list[socket.socket]]:
    """One listening socket for every slot and address. Raises :class:`StartFailed`."""
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
    except socket.gaierror as error:
        raise StartFailed(f"cannot listen on {address}: {error.strerror}") from None
    family, _, _, _, where = found[0]
    return family, where


def _bind(listener: socket.socket, where: Any, address: str) -> None:
    try:
        listener.bind(where)
    except OSError as error:
        hint = {
            98: "; another server uses it (see `ss -ltnp`), or choose one with --port",
            99: "; this machine has no such address",
            13: "; ports below 1024 need root or CAP_NET_BIND_SERVICE",
        }.get(error.errno or 0, "")
        raise StartFailed(f"cannot listen on {address}: {error.strerror}{hint}") from None


def _exit(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def banner(summary: dict[str, Any], slots: list[Slot]) -> str:
    """What is served, where, by how many, and what everybody may use."""
    where = [_url(listener.getsockname()) for listener in slots[0].listeners]
    public = [route for route in summary["routes"] if route["public"]]
    lines = [
        f"bolt serves {', '.join(summary['sources'])}",
        f"  on        {', '.join(where)}",
        f"  workers   {len(slots)} (supervisor {os.getpid()})",
        f"  django    {summary['mode']}",
        f"  database  {summary['database']}",
        f"  routes    {len(summary['routes'])}",
    ]
    if not summary["has_auth"]:
        lines.append("  public    all of them: no auth is declared anywhere")
    elif not public:
        lines.append("  public    none")
    else:
        shown = [f"{','.join(route['methods'])} {route['path']}" for route in public]
        more = [f"and {len(shown) - 20} more: bolt routes"] if len(shown) > 20 else []
        lines.append("  public    " + "\n            ".join(shown[:20] + more))
    return "\n".join(lines)


def _url(name: Any) -> str:
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"


def run(options: RunOptions) -> int:
    """Serves until told to end. The exit code: 0, or 1 if nothing could be started."""
    summary = preflight(options)
    if summary is None:
        return 1
    try:
        return Supervisor(options, summary).run()
    except StartFailed as error:
        say(str(error))
        return 1
