"""Another version in place of the one that is served: in all workers, or in none.

1. *Checking*: a preflight loads and compiles the files in a process of its own and keeps what was
   in them. What takes a restart is refused whole.
2. *Preparing*: every worker builds the new plan beside the one that it serves, and says so.
3. *Committing*: every worker puts it in place between two requests. A worker that does not say so
   in time is replaced by one that begins with the new version.

Whatever fails before the third step leaves everybody on the old version. Where Python code has
changed (``--reload``) the second and third step are new workers in the place of the old ones.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from .config.options import RunOptions
from .control import Client
from .preflight import Outcome, Preflight, say
from .workers import Report, Served, Slot, Worker

#: Seconds that workers have to put a plan in place that they have prepared.
COMMIT_WITHIN = 10.0
_ENDS = "not reloaded: the server ends"
#: What belongs to the process: by the name that a configuration has for it.
OF_THE_PROCESS = {
    "server.listen": "listen",
    "server.workers": "workers",
    "server.limits or trusted_proxies": "listener",
    "server.python.threads": "threads",
    "server.python.switch_interval": "switch_interval",
    "server.rate_limit_memory": "rate_limit_memory",
    "app": "app",
    "settings": "mode",
}
#: What new workers cannot change either.
OF_THE_SUPERVISOR = {
    "server.listen": "listen",
    "server.workers": "workers",
    "server.rate_limit_memory": "rate_limit_memory",
}


class Home(Protocol):
    """The supervisor, as a reload sees it."""

    options: RunOptions
    summary: dict[str, Any]
    slots: list[Slot]
    served: Served
    patience: float

    def adopt(self, summary: dict[str, Any], version: int) -> None:
        """From now on this is what is served, and what new workers begin with."""

    def replace_workers(self, slots: list[Slot]) -> None:
        """Fills slots with new workers; the old ones serve until the new ones do."""


class Reloads:
    """The reloads of one server, one at a time."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.done = 0
        self.failures = 0
        self.last_error: str | None = None
        self.check: Preflight | None = None
        self._numbers = home.served.version
        self._number = 0
        self._restarts = False
        self._ends = False
        self._summary: dict[str, Any] | None = None
        #: Those that take part, and those of them that have yet to say what is waited for.
        self._prepared: set[Worker] = set()
        self._waiting: set[Worker] = set()
        self._committing = False
        self._deadline = 0.0
        self._begun = 0.0
        self._clients: list[Client] = []
        self._next: tuple[bool, list[Client]] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether one is under way."""
        return self.check is not None or self._summary is not None

    def begin(self, *, restarts: bool = False, client: Client | None = None) -> None:
        """Begins one, or another when the present one is through; with new workers where it
        ``restarts``."""
        clients = [] if client is None else [client]
        if self._ends:
            for asking in clients:
                asking.reply({"ok": False, "error": _ENDS})
        elif self.is_busy:
            before = self._next or (False, [])
            self._next = (before[0] or restarts, before[1] + clients)
        else:
            self._begin(restarts, clients)

    def _begin(self, restarts: bool, clients: list[Client]) -> None:
        self._begun = time.monotonic()
        self._clients, self._restarts = clients, restarts
        if self.home.options.config is None and not restarts:
            self._fail("there is no file to read again; Python code takes a restart")
            return
        self._deadline = self._begun + max(60.0, self.home.patience)
        try:
            snapshots = self.home.served.snapshots
            self.check = Preflight(self.home.options, snapshots.tried, quiet=True)
        except OSError as error:
            self._fail(f"it cannot be checked: {error.strerror}")

    def readable(self) -> None:
        """Goes on once the check has something to say."""
        outcome = self.check.read() if self.check is not None else None
        if outcome is not None:
            self.check = None
            self._checked(outcome)

    def _checked(self, outcome: Outcome) -> None:
        summary = outcome.summary
        if summary is None:
            self._fail(outcome.reason or "what is wrong is said above")
            return
        fixed = OF_THE_SUPERVISOR if self._restarts else OF_THE_PROCESS
        for name, key in fixed.items():
            before, after = self.home.summary[key], summary[key]
            if before != after:
                change = f" ({_shown(before)} → {_shown(after)})" if key != "listener" else ""
                self._fail(f"`{name}` has changed{change}: that takes a restart")
                return
        self._numbers += 1
        self._number, self._summary = self._numbers, summary
        if self._restarts:
            self._take_over()
            self.home.replace_workers(self.home.slots)
            self._finish("its workers start; the old ones serve until then")
            return
        workers = [slot.worker for slot in self.home.slots if slot.worker is not None]
        self._waiting = {worker for worker in workers if worker.is_ready}
        self._prepared = set(self._waiting)
        self._deadline = time.monotonic() + self.home.patience
        tried = self.home.served.snapshots.tried
        for worker in self._waiting:
            worker.order(
                "prepare",
                number=self._number,
                snapshot=[tried.read_fd, tried.length],
            )
        self._look()

    def heard(self, worker: Worker, report: Report) -> None:
        """Takes note of what a worker reports."""
        if self._summary is None or report.get("number") != self._number:
            return
        match report["is"]:
            case "prepared" if report["hash"] != self._summary["hash"]:
                self._fail(
                    "what the app declares is not what the workers have loaded: changed code takes "
                    "a restart"
                )
            case "prepared" | "committed":
                self._waiting.discard(worker)
                self._look()
            case "refused" if self._committing:
                worker.replace()
            case "refused":
                self._fail(report["reason"])

    def lost(self, worker: Worker) -> None:
        """Takes note of a worker that has ended."""
        if worker not in self._waiting:
            return
        if self._committing:
            self._waiting.discard(worker)
            self._look()
        else:
            self._fail(f"worker {worker.process.pid} ended while it built the plan")

    def tick(self) -> None:
        """Gives up what takes too long."""
        if not self.is_busy or time.monotonic() < self._deadline:
            return
        if self._committing:
            for worker in self._waiting:
                worker.replace()
        elif self.check is not None:
            self._fail("checking it takes too long")
        else:
            pids = ", ".join(str(worker.process.pid) for worker in self._waiting)
            self._fail(f"worker {pids} takes too long to build the plan")

    def cancel(self) -> None:
        """The server ends: nothing is reloaded any more."""
        self._ends = True
        waiting, self._next = self._next, None
        if waiting is not None:
            for client in waiting[1]:
                client.reply({"ok": False, "error": _ENDS})
        if self.is_busy and not self._committing:
            self._fail("the server ends")

    def _look(self) -> None:
        if self._waiting:
            return
        if self._committing:
            self._finish(f"{len(self.home.slots)} workers")
            return
        self._committing = True
        self._deadline = time.monotonic() + COMMIT_WITHIN
        self._take_over()
        self._waiting = {worker for worker in self._prepared if worker.process.poll() is None}
        for worker in self._waiting:
            worker.order("commit", number=self._number)
        for slot in self.home.slots:
            # One that was about to serve the old version begins anew.
            if slot.worker is not None and slot.worker not in self._prepared:
                slot.worker.replace()
        if not self._waiting:
            self._finish("no worker serves yet")

    def _take_over(self) -> None:
        assert self._summary is not None
        self.home.served.snapshots.commit()
        self.home.adopt(self._summary, self._number)

    def _finish(self, where: str) -> None:
        summary = self.home.summary
        took = time.monotonic() - self._begun
        self.done += 1
        self.last_error = None
        line = (
            f"version {self._number} ({summary['hash']}) serves: {len(summary['routes'])} routes, "
            f"{where}, {took:.1f} s"
        )
        if summary["warnings"]:
            line += f"; {summary['warnings']} warnings, `bolt check` shows them"
        say(line)
        self._end({"ok": True, "version": self._number, "hash": summary["hash"], "said": line})

    def _fail(self, reason: str) -> None:
        self.failures += 1
        self.last_error = reason
        for worker in self._prepared:
            worker.order("abort", number=self._number)
        served = f"version {self.home.served.version} goes on"
        say(f"not reloaded: {reason}; {served}")
        for slot in self.home.slots:
            if slot.worker is not None:
                slot.worker.order("reload_failed", failures=self.failures)
        self._end({"ok": False, "error": f"not reloaded: {reason}; {served}"})

    def _end(self, reply: dict[str, Any]) -> None:
        if self.check is not None:
            self.check.close()
            self.check = None
        self._summary, self._committing = None, False
        self._prepared, self._waiting = set(), set()
        for client in self._clients:
            client.reply(reply)
        self._clients = []
        if self._next is not None:
            following, self._next = self._next, None
            self._begin(*following)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
