"""What is asked of a supervisor over its control socket: reload, status, maintenance."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from .banner import urls
from .control import Client
from .preflight import say
from .reload import Reloads
from .workers import Report, Served, Slot, Worker

#: Seconds that workers have to answer; one whose thread is stuck is left out.
ANSWER_WITHIN = 3.0

Switch = dict[str, Any]


class Home(Protocol):
    """The supervisor, as its requests see it."""

    summary: dict[str, Any]
    slots: list[Slot]
    served: Served
    started: float

    def living(self) -> list[Worker]:
        """The workers that serve."""


class _Round:
    """One question to all workers."""

    def __init__(self, workers: list[Worker], then: Callable[[dict[Worker, Report]], None]) -> None:
        self.waiting = set(workers)
        self.then = then
        self.found: dict[Worker, Report] = {}
        self.deadline = time.monotonic() + ANSWER_WITHIN


class Commands:
    """Does what is asked, one reply each."""

    def __init__(self, home: Home, reloads: Reloads) -> None:
        self.home = home
        self.reloads = reloads
        self._rounds: dict[int, _Round] = {}
        self._asked = 0

    def answer(self, client: Client, request: dict[str, Any]) -> None:
        """Sees to it that ``client`` gets a reply."""
        match request.get("do"):
            case "reload":
                self.reloads.begin(client=client)
            case "status":
                self._ask("status", {}, lambda found: client.reply(self._status(found)))
            case "maintenance":
                self._maintenance(client, request)
            case other:
                client.reply({"ok": False, "error": f"nobody here knows how to {other}"})

    def heard(self, worker: Worker, report: Report) -> None:
        """Takes note of what a worker reports."""
        asked = self._rounds.get(report.get("number", 0))
        if asked is not None and report["is"] in ("status", "switched"):
            asked.found[worker] = report
            asked.waiting.discard(worker)
            self._look()

    def lost(self, worker: Worker) -> None:
        """Takes note of a worker that has ended."""
        for asked in self._rounds.values():
            asked.waiting.discard(worker)
        self._look()

    def tick(self) -> None:
        """Goes on without those that do not answer."""
        now = time.monotonic()
        for asked in self._rounds.values():
            if asked.deadline < now:
                asked.waiting.clear()
        self._look()

    def _ask(
        self, what: str, details: dict[str, Any], then: Callable[[dict[Worker, Report]], None]
    ) -> None:
        self._asked += 1
        workers = self.home.living()
        self._rounds[self._asked] = _Round(workers, then)
        for worker in workers:
            worker.order(what, number=self._asked, **details)
        self._look()

    def _look(self) -> None:
        for number in [n for n, asked in self._rounds.items() if not asked.waiting]:
            asked = self._rounds.pop(number)
            asked.then(asked.found)

    def _status(self, found: dict[Worker, Report]) -> dict[str, Any]:
        home, now = self.home, time.monotonic()
        workers: list[dict[str, Any]] = []
        for slot in home.slots:
            worker = slot.worker
            if worker is None:
                workers.append({"slot": slot.number, "pid": None, "ready": False})
                continue
            stats = found[worker]["stats"] if worker in found else None
            workers.append(
                {
                    "slot": slot.number,
                    "pid": worker.process.pid,
                    "ready": worker.is_ready,
                    "answers": stats is not None,
                    "version": worker.version,
                    "uptime": round(now - worker.started, 1),
                    "stats": stats,
                }
            )
        return {
            "ok": True,
            "pid": os.getpid(),
            "uptime": round(now - home.started, 1),
            "app": home.summary["app"],
            "config": home.summary["config"],
            "listens": urls(home.slots[0].listeners),
            "version": home.served.version,
            "hash": home.summary["hash"],
            "reloads": {
                "done": self.reloads.done,
                "failed": self.reloads.failures,
                "last_error": self.reloads.last_error,
            },
            "maintenance": home.served.switches,
            "workers": workers,
        }

    def _maintenance(self, client: Client, request: dict[str, Any]) -> None:
        switch = {"group": request.get("group"), "route": request.get("route")}
        unknown = self._unknown(switch)
        told = request.get("switch")
        if unknown or told not in ("on", "off", "reset"):
            client.reply({"ok": False, "error": unknown or "write `on`, `off` or `reset`"})
            return
        if switch == {"group": None, "route": None}:
            # Whatever was said of some of the routes is said of all of them now.
            switches: list[Switch] = []
        else:
            same = [one for one in self.home.served.switches if _without_on(one) != switch]
            switches = same
        if told != "reset":
            switches = [*switches, switch | {"on": told == "on"}]
        self.home.served.switches = switches
        line = f"maintenance {told}: {_name(switch)}"
        say(line)
        asked = self.home.living()

        def reply(found: dict[Worker, Report]) -> None:
            # One that has ended meanwhile closes and opens nothing any more.
            silent = [worker for worker in asked if worker not in found and worker.is_ready]
            if silent:
                missing = f"{len(silent)} of {len(asked)} workers have not said that they do so"
                client.reply({"ok": False, "error": f"{line}; {missing}"})
            else:
                client.reply({"ok": True, "said": line, "maintenance": switches})

        self._ask("switch", {"switches": switches}, reply)

    def _unknown(self, switch: Switch) -> str | None:
        routes = self.home.summary["routes"]
        group, path = switch["group"], switch["route"]
        if group is not None and not any(group in route["groups"] for route in routes):
            return f"there is no group `{group}`"
        if path is not None and not any(path == route["path"] for route in routes):
            return f"there is no route `{path}`"
        return None


def _without_on(switch: Switch) -> Switch:
    return {key: value for key, value in switch.items() if key != "on"}


def _name(switch: Switch) -> str:
    if switch["route"] is not None:
        return f"route {switch['route']}"
    return f"group {switch['group']}" if switch["group"] is not None else "every route"
