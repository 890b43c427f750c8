"""``explain --analyze``: how a database runs what a declared read asks of it for one request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import LoadedConfig
from ..config.binding import ToldRead, parameter_names
from ..config.written import value_at
from ..params import bind
from .reads import read_of


class NotAnalyzed(Exception):
    """What cannot be shown; the message says why."""


def analyze(
    loaded: LoadedConfig,
    told: Mapping[str, Any],
    method: str,
    url: str,
    headers: list[tuple[str, str]],
    peer: str,
) -> list[dict[str, Any]]:
    """Each statement that the route of ``told`` runs for this request, in their order: its
    ``name`` within the read, ``database``, ``sql``, ``values`` and ``plan``, the lines that the
    database says of it. PostgreSQL runs it, within a transaction that reads only.

    Raises :class:`NotAnalyzed` where the route is no declared read, the request does not get as
    far, or the database refuses.
    """
    from django.db.utils import Error

    from ..queries.asked import asked
    from ..queries.planner import planner, words
    from ..queries.statement import numbered

    read = _read_of(loaded, told)
    values, given = _values(loaded, read, told, (method, url, headers, peer))
    found = []
    for one in asked(read.bound, values, given):
        alias = one.part.alias
        try:
            with planner(alias, is_patient=True) as database:
                lines = database.analyze(one)
        except Error as error:
            raise NotAnalyzed(f"the database `{alias}` says: {words(error)}") from None
        # That of SQLite is still as Django wrote it for its cursor.
        is_sqlite = database.connection.vendor == "sqlite"
        sql = numbered(one.sql, lambda number: "?") if is_sqlite else one.sql
        shown = [None if value is None else str(value) for value in one.values]
        found.append(
            {"name": one.name, "database": alias, "sql": sql, "values": shown, "plan": lines}
        )
    return found


def lines(found: list[dict[str, Any]]) -> list[str]:
    """The same for people."""
    told = []
    for one in found:
        name = f"{one['name']}, " if one["name"] else ""
        told.append(f"analyze {name}`{one['database']}`: {one['sql']}")
        values = ", ".join("NULL" if value is None else value for value in one["values"])
        told += [f"        with {values}"] if values else []
        told += [f"        {line}" for line in one["plan"]]
    return told or ["analyze nothing: Django knows without asking that there are no rows"]


def _read_of(loaded: LoadedConfig, told: Mapping[str, Any]) -> ToldRead:
    if not told["matched"]:
        raise NotAnalyzed("no route answers this, so there is no query to analyze")
    if (read := read_of(loaded, told)) is not None:
        return read
    what = told["route"]["handler"] or told["route"]["answer"] or "nothing"
    raise NotAnalyzed(
        f"{told['route']['path']} is answered by {what}, not by a declared read;"
        " --analyze shows the plans of `query` routes"
    )


def _values(
    loaded: LoadedConfig,
    read: ToldRead,
    told: Mapping[str, Any],
    request: tuple[str, str, list[tuple[str, str]], str],
) -> Any:
    """What the request says of the read's parameters: what a handler in the read's place, behind
    all else of the route, reads of the request that gets there."""
    from .. import _engine
    from ..bridge import Runtime
    from ..queries.inputs import Inputs

    inputs, found = Inputs(read.bound.plan), []

    def reading(request: Any) -> dict[str, Any]:
        found.append(inputs.read(request))
        return {}

    bound = bind(reading, parameter_names(told["route"]["path"]), ["GET"], None)
    handler = {
        "index": len(loaded.callables),
        "name": read.name,
        "is_async": bound.is_async,
        "awaits": bound.awaits,
        "request_body": bound.request_body,
    }
    wire = _answered_by(handler, loaded.wire, read)
    engine = _engine.Engine(wire, [*loaded.callables, bound.call], Runtime(threads=1))
    try:
        method, url, headers, peer = request
        status, _, body = engine.handle(method, url, headers, b"", (peer, 0))
    finally:
        engine.close()
    if not found:
        said = f": {body.decode()}" if status == 422 else ""
        raise NotAnalyzed(f"the request does not reach the query, it is answered {status}{said}")
    return found[0]


#: The slots that a handler has and what Rust answers has not.
_OF_HANDLERS = ("python", "request_headers", "rewrite")


def _answered_by(handler: dict[str, Any], wire: str, read: ToldRead) -> str:
    """``wire`` with that handler for the route of ``read``, behind what stands before the read and
    nothing else; nobody's requests are logged."""
    written = json.loads(wire)
    left_out = ("access_log", *(_OF_HANDLERS if read.tier == 1 else ()))
    for document in written["documents"]:
        for slots in _slots(document["config"]):
            for name in left_out:
                slots.pop(name, None)
    at = read.at[:-1]
    route = value_at(written["documents"][at[0]]["config"], at)
    del route["query"]
    route["handler"] = handler
    return json.dumps(written)


def _slots(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Everything in a document that has slots, or what their names stand for."""
    yield from (config[name] for name in ("define", "defaults") if config.get(name))
    for one in (*(config.get("groups") or ()), *(config.get("routes") or ())):
        yield one
        yield from _slots(one)
