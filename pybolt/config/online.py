"""What the databases of declared reads say of them: ``bolt check --online``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .binding import ToldRead
from .diagnostics import Diagnostic, Position, count

if TYPE_CHECKING:
    from ..queries.asked import Asked
    from ..queries.planner import Planner
    from .load import LoadedConfig

#: Connections of a pool of psycopg's that is not told how many.
_POOL = 4


def statements(reads: Iterable[ToldRead]) -> tuple[int, int]:
    """How many statements there are to prepare, and of how many databases."""
    from ..queries.asked import parts

    number, aliases = 0, set()
    for read in reads:
        plan = read.bound.plan
        asked = [part.alias for _, part in parts(plan.parts)]
        number += len(asked) << len(plan.optional)
        aliases |= set(asked)
    return number, len(aliases)


def databases(loaded: LoadedConfig) -> list[Diagnostic]:
    """Every statement that its database does not prepare (E240), every database that does not
    answer (E241), and what will be slow there, or too much (W242, W243, W244)."""
    from django.db import connections
    from django.db.utils import Error

    from ..queries.asked import every
    from ..queries.planner import planner, words

    by_alias: dict[str, list[tuple[ToldRead, Asked]]] = {}
    for read in loaded.reads:
        for asked in every(read.bound):
            by_alias.setdefault(asked.part.alias, []).append((read, asked))
    found: list[Diagnostic] = []
    limits: dict[str, int] = {}
    for alias, reads in by_alias.items():
        try:
            with planner(alias) as database:
                found += _Database(loaded, alias, database).of_statements(reads)
                most = database.most_connections()
        except Error as error:
            is_file = connections[alias].vendor == "sqlite"
            first = "`bolt migrate` makes its file" if is_file else "start it"
            hint = f"{first}, or correct DATABASES of the settings"
            message = f"the database `{alias}` does not answer: {words(error)}"
            found.append(Diagnostic("E241", message, _place(loaded, reads[0][0]), hint))
            continue
        if most is not None:
            limits[alias] = most
    return [*found, *_connections(loaded, limits)]


def _place(loaded: LoadedConfig, read: ToldRead) -> Position | None:
    return loaded.locate(read.at)


@dataclasses.dataclass
class _Database:
    """One database, and what it says of the statements that it is to answer."""

    loaded: LoadedConfig
    alias: str
    planner: Planner

    def of_statements(self, reads: Iterable[tuple[ToldRead, Asked]]) -> Iterator[Diagnostic]:
        """Once for each read, however many variants it has."""
        said: set[Any] = set()
        for read, asked in reads:
            for one in self._of(read, asked):
                if one not in said:
                    said.add(one)
                    yield one

    def _of(self, read: ToldRead, asked: Asked) -> Iterator[Diagnostic]:
        from django.db.utils import Error

        from ..queries.planner import words

        name = f"`{asked.name}` of {read.name}" if asked.name else read.name
        at = _place(self.loaded, read)
        try:
            plan = self.planner.prepare(asked)
        except Error as error:
            if not self.planner.is_refusal(error):
                raise
            message = f"{name}: the database `{self.alias}` refuses it: {words(error)}"
            hint = "`bolt migrations` shows what is not applied, `bolt migrate` applies it"
            yield Diagnostic("E240", message, at, hint)
            return
        if plan is None:
            return
        for table, rows in self.planner.scanned(asked, plan):
            many = f"about {rows:,}" if rows else "more than 10,000"
            message = f"{name} reads all of `{table}`, {many} rows"
            hint = "add an index of what it filters by; `bolt explain GET PATH --analyze` shows it"
            yield Diagnostic("W242", message, at, hint, severity="warning")
        is_page = read.bound.plan.page is not None and asked.name is None
        if is_page and self.planner.sorts(asked, plan):
            message = f"{name}: no index serves the order of its pages: each of them sorts all rows"
            hint = "add an index of the columns of `order_by(...)`, in their order"
            yield Diagnostic("W243", message, at, hint, severity="warning")


def _connections(loaded: LoadedConfig, limits: dict[str, int]) -> Iterator[Diagnostic]:
    """Where all workers together may have more connections than a server takes (W244)."""
    from django.db import connections

    from ..workers import worker_count

    servers: dict[tuple[str, str], list[str]] = {}
    for alias in limits:
        told = connections[alias].settings_dict
        servers.setdefault((told["HOST"], str(told["PORT"])), []).append(alias)
    workers, known = worker_count(loaded.server), json.loads(loaded.wire).get("databases", {})
    for aliases in servers.values():
        engine = sum(known[one]["pool"] for one in aliases if one in known)
        python = sum(_of_python(loaded, connections[one].settings_dict) for one in aliases)
        most, least = workers * (engine + python), min(limits[one] for one in aliases)
        if most <= least:
            continue
        named = ", ".join(f"`{one}`" for one in aliases)
        at = (0, "server", "workers")
        yield Diagnostic(
            "W244",
            f"up to {most} connections to {named}, whose server takes {least}:"
            f" {count(workers, 'worker')}, each with {engine} of Rust's and {python} of Python's",
            loaded.table.values.get(at),
            "have fewer `workers` or Python `threads`, a smaller pool, or raise `max_connections`",
            severity="warning",
        )


def _of_python(loaded: LoadedConfig, told: dict[str, Any]) -> int:
    """The connections that a worker's Python may have: one for each thread that runs handlers, the
    pool's and the two lanes, and for as many as the pool's that async handlers are lent."""
    if not any(route["handler"] or route["is_django"] for route in loaded.routes):
        return 0
    threads, pool = 2 * int(loaded.server["threads"]) + 2, told["OPTIONS"].get("pool")
    if not pool:
        return threads
    told = pool if isinstance(pool, dict) else {}
    return min(threads, int(told.get("max_size") or told.get("min_size", _POOL)))
