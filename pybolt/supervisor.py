"""The supervisor: one socket for every worker slot, fresh worker interpreters that inherit it.

No threads, no Django. The sockets are the supervisor's, so what waits in the kernel's queue of a
worker that dies is answered by the one that replaces it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import Any, NoReturn

from . import limits
from .banner import banner
from .commands import Commands
from .config.options import RunOptions
from .control import ControlSocket, NoControl
from .listeners import StartFailed, bind
from .preflight import Progress, preflight, say
from .reload import Reloads
from .snapshots import Snapshots
from .watch import Watch
from .workers import Served, Slot, Worker, exit_text, worker_count

FIRST_START = 15.0
#: Seconds beyond the drain timeout before a worker that does not end is killed.
KILL_GRACE = 2.0


class Supervisor:
    """Keeps the slots filled until it is told to end."""

    def __init__(
        self,
        options: RunOptions,
        summary: dict[str, Any],
        patience: float,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.options = options
        self.summary = summary | {"version": 1}
        self.patience = patience
        self.started = time.monotonic()
        self.slots = [
            Slot(number, listeners)
            for number, listeners in enumerate(bind(summary["listen"], worker_count(summary)))
        ]
        memory = _memory(summary["rate_limit_memory"])
        self.served = Served(1, snapshots or Snapshots(), [], memory)
        self.leaving: list[Worker] = []
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
        self.watch = Watch.of(options, summary)
        self.progress = Progress("starting workers")
        self.reloads = Reloads(self)
        self.commands = Commands(self, self.reloads)
        self.control = self._listen()

    def _listen(self) -> ControlSocket | None:
        if self.options.control == "off":
            return None
        try:
            return ControlSocket.of(self.options)
        except NoControl as error:
            if self.options.control is not None:
                raise StartFailed(f"no control socket: {error}") from None
            say(f"no control socket, so no `bolt reload` or `status`: {error}")
            return None

    def run(self) -> int:
        """Serves; the exit code. Raises :class:`StartFailed`."""
        try:
            while True:
                self._fill_slots()
                self._wait()
                self.reloads.tick()
                self.commands.tick()
                if self.deadline is not None:
                    if not self._living():
                        return 0
                    if time.monotonic() > self.deadline:
                        self._kill_all()
                elif not self.announced:
                    self._look_at_start()
                elif self.watch is not None and (changed := self.watch.changed()):
                    self.reloads.begin(restarts=changed == "code")
        finally:
            if self.control is not None:
                self.control.close()

    def living(self) -> list[Worker]:
        """The workers that serve, in the order of their slots; those that are about to be replaced
        serve until they are."""
        workers = [worker for slot in self.slots for worker in (slot.worker, *slot.old)]
        return [worker for worker in workers if worker is not None and worker.is_ready]

    def adopt(self, summary: dict[str, Any], version: int) -> None:
        """From now on this is what is served, and what new workers begin with."""
        # What was bound stays what the summary says.
        bound = {key: self.summary[key] for key in ("listen", "workers")}
        self.summary = summary | bound | {"version": version}
        self.served.version = version
        if self.watch is not None:
            self.watch.follow(summary)

    def replace_workers(self, slots: list[Slot]) -> None:
        """Fills slots with new workers; the old ones serve until the new ones do."""
        self.to_show = True
        for slot in slots:
            if slot.worker is not None and slot.worker.is_ready:
                slot.old.append(slot.worker)
            elif slot.worker is not None:
                slot.worker.process.kill()
                self.leaving.append(slot.worker)
            self._start(slot)

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
            slot.worker = Worker(slot, self.options, self.served)
        except OSError as error:
            delay = slot.failed(0)
            say(f"a worker cannot be started: {error.strerror}; trying again in {delay:.1f} s")

    def _wait(self) -> None:
        reporting = {w.report_fd: w for w in self._living() if w.report_fd is not None}
        asking = {} if self.control is None else self.control.descriptors()
        poll = select.poll()
        for fd in (self.signals, *reporting):
            poll.register(fd, select.POLLIN)
        for fd, events in asking.items():
            poll.register(fd, events)
        check = self.reloads.check
        if check is not None:
            poll.register(check.fd, select.POLLIN)
        readable = [fd for fd, _ in poll.poll(250)]
        for fd in readable:
            if fd in reporting:
                self._hear(reporting[fd])
            elif check is not None and fd == check.fd:
                self.reloads.readable()
            elif fd in asking and self.control is not None:
                asked = self.control.ready(fd)
                if asked is not None:
                    self.commands.answer(*asked)
        if self.control is not None:
            self.control.tick()
        if self.signals in readable:
            self._read_signals()
        self._reap()

    def _hear(self, worker: Worker) -> None:
        for report in worker.reports():
            if report["is"] == "ready":
                self._served(worker)
            elif report["is"] == "confused":
                # It runs other code than this process, as after an upgrade in place.
                say(
                    f"worker {worker.process.pid} does not understand what it is told "
                    f"({report['by']}): was pybolt changed under this server? start it anew"
                )
            else:
                self.reloads.heard(worker, report)
                self.commands.heard(worker, report)

    def _read_signals(self) -> None:
        for number in os.read(self.signals, 64):
            self._signal(number)

    def _served(self, worker: Worker) -> None:
        self.any_served = True
        if worker.switches != self.served.switches:
            # They have changed while it started.
            worker.order("switch", number=0, switches=self.served.switches)
        for slot in self.slots:
            if slot.worker is worker:
                for old in slot.old:
                    old.order("drain")
                self.leaving += slot.old
                slot.old = []
        if self.to_show and all(s.worker and s.worker.is_ready for s in self.slots):
            self.announced, self.to_show = True, False
            print(banner(self.summary, self.slots[0].listeners, len(self.slots)), flush=True)

    def _signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            again = self.deadline is not None
            grace = KILL_GRACE if again else self.summary["drain_timeout"] + KILL_GRACE
            self.deadline = time.monotonic() + grace
            self.reloads.cancel()
            for worker in self._living():
                worker.order("end" if again else "drain")
            if not again:
                say("draining; once more to end now")
        elif number == signal.SIGHUP and self.deadline is None:
            self.reloads.begin()

    def _reap(self) -> None:
        for workers in (self.leaving, *(slot.old for slot in self.slots)):
            for worker in list(workers):
                if worker.process.poll() is not None:
                    worker.close()
                    workers.remove(worker)
                    self.commands.lost(worker)
        for slot in self.slots:
            worker_ = slot.worker
            if worker_ is None or worker_.process.poll() is None:
                continue
            worker_.close()
            slot.worker = None
            self.reloads.lost(worker_)
            self.commands.lost(worker_)
            if self.deadline is None:
                self._replace(slot, worker_)

    def _replace(self, slot: Slot, dead: Worker) -> None:
        delay = 0.0 if dead.is_outdated else slot.failed(time.monotonic() - dead.started)
        say(
            f"worker {dead.process.pid} ended with {exit_text(dead.process.returncode)}; "
            f"starting another{f' in {delay:.1f} s' if delay else ''}"
        )
        if not self.any_served and slot.failures >= 3:
            self._fail("the workers end before they serve; their error is above")

    def _kill_all(self) -> None:
        for worker in self._living():
            worker.process.kill()
            worker.process.wait()


def _memory(size: int) -> int:
    try:
        return limits.make(size)
    except OSError as error:
        raise StartFailed(f"no memory for the rate limits: {error.strerror}") from error


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
    # What has changed while all is loaded for the first time is read again once that is done.
    asked: list[int] = []
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda number, _: asked.append(number))
    begun = time.monotonic()
    with contextlib.closing(Snapshots()) as snapshots:
        try:
            summary = preflight(options, snapshots.served)
            if summary is None:
                return 1
            # Workers load what the preflight has loaded; several at once take longer.
            patience = max(FIRST_START, 4 * (time.monotonic() - begun))
            supervisor = Supervisor(options, summary, patience, snapshots)
            if asked:
                supervisor.reloads.begin()
            return supervisor.run()
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
