"""The cases that read a database: declared reads, and the ORM in handlers."""

from __future__ import annotations

import json
from typing import Any

from bench.case import Case, CpuCase, StormCase, Target
from bench.load import Exchange
from bench.reads.rows import row
from bench.servers import django_bolt, floor, pybolt

SPIN = Exchange(path="/spin", body=b'{"message":"spun"}')
STATS = Exchange(path="/stats", member=("gil_takes", ...))


def _shown(number: int) -> dict[str, Any]:
    """Return a row as JSON has it."""
    values = row(number)
    return values | {"price": str(values["price"])}


TEN = [_shown(number) for number in range(1, 11)]
TWENTY = {f"item{number}": _shown(number) for number in range(1, 21)}


def _exchange(path: str, answer: Any) -> Exchange:
    return Exchange(path=path, document=answer)


def _subject(exchange: Exchange, storm: Exchange | None = None) -> Target:
    server = pybolt("bench.apps.reads:api", exchange, settings="bench.reads.settings")
    return Target(server=server, exchange=exchange, storm=storm)


def _bolt(exchange: Exchange, storm: Exchange | None = None) -> Target:
    server = django_bolt(exchange, settings="django_bolt_app.reads_settings")
    return Target(server=server, exchange=exchange, storm=storm)


def _query(name: str, title: str, path: str, answer: Any, rate: float) -> CpuCase:
    exchange = _exchange(path, answer)
    targets = (_subject(exchange), _bolt(exchange))
    rates = {"django-bolt": rate}
    return CpuCase(name=name, title=title, targets=targets, rates=rates, stats=STATS)


def _raw(name: str, title: str, path: str, answer: Any) -> CpuCase:
    """Both send the same bytes."""
    exchange = Exchange(path=path, body=json.dumps(answer).encode())
    peer = Target(server=floor(exchange, reads=True), exchange=exchange)
    targets = (_subject(exchange), peer)
    return CpuCase(name=name, title=title, targets=targets, ratios={"raw actix": 1.15}, stats=STATS)


def _orm(name: str, title: str, path: str, rate: float) -> CpuCase:
    exchange = _exchange(path, TEN)
    targets = (_subject(exchange), _bolt(exchange))
    rates, p99s = {"django-bolt": rate}, {"django-bolt": 0.5}
    return CpuCase(name=name, title=title, targets=targets, rates=rates, p99s=p99s)


def _storm(name: str, title: str, path: str, answer: Any) -> StormCase:
    exchange = _exchange(path, answer)
    targets = (_subject(exchange, SPIN), _bolt(exchange, SPIN))
    return StormCase(name=name, title=title, targets=targets, p99_ms=5)


def _awaited(name: str, title: str, path: str, beside: str, answer: Any) -> CpuCase:
    """Called by a handler, and so not without the GIL."""
    targets = (_subject(_exchange(path, answer)), _bolt(_exchange(beside, answer)))
    return CpuCase(name=name, title=title, targets=targets, rates={"django-bolt": 5})


CASES: tuple[Case, ...] = (
    _query("query_ten", "ten rows of PostgreSQL, declared", "/query/ten", TEN, 10),
    _query("query_one", "one row by its key", "/query/one/7", _shown(7), 10),
    _query("query_twenty", "twenty rows by twenty statements", "/query/twenty", TWENTY, 20),
    _query("query_ten_sqlite", "ten rows of SQLite, declared", "/query/ten-sqlite", TEN, 6),
    _awaited(
        "query_awaited",
        "ten rows awaited by a handler, beside the async ORM",
        "/query/awaited/ten",
        "/orm/async/default",
        TEN,
    ),
    _awaited(
        "query_awaited_twenty",
        "twenty statements awaited by a handler, beside the sync ORM",
        "/query/awaited",
        "/query/twenty",
        TWENTY,
    ),
    _raw("query_raw", "ten rows, beside raw tokio-postgres", "/query/ten", TEN),
    _raw("query_raw_one", "one row, beside raw tokio-postgres", "/query/one/7", _shown(7)),
    _orm("orm_sync_ten", "ten rows of PostgreSQL, sync ORM", "/orm/sync/default", 1.2),
    _orm("orm_async_ten", "ten rows of PostgreSQL, async ORM", "/orm/async/default", 1.5),
    _orm("orm_sync_ten_sqlite", "ten rows of SQLite, sync ORM", "/orm/sync/sqlite", 1.2),
    _orm("orm_async_ten_sqlite", "ten rows of SQLite, async ORM", "/orm/async/sqlite", 1.5),
    *(
        _orm(
            f"orm_returned_{kind}_ten{suffix}",
            f"ten rows of {database}, a returned queryset, {kind}",
            f"/orm/returned/{kind}/{alias}",
            rate,
        )
        for database, alias, suffix in (
            ("PostgreSQL", "default", ""),
            ("SQLite", "sqlite", "_sqlite"),
        )
        for kind, rate in (("sync", 1.2), ("async", 1.5))
    ),
    _storm("storm_sync_query", "declared read, sync storm", "/query/ten", TEN),
)
