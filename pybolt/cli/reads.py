"""What ``explain`` says of a declared read: its tier, its statements, and where their values come
from. No database is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..config import LoadedConfig
from ..config.binding import ToldRead

if TYPE_CHECKING:
    from ..queries.plan import Part
    from ..queries.statement import Bind, Constant


def read_of(loaded: LoadedConfig, told: Mapping[str, Any]) -> ToldRead | None:
    """The declared read that answers the route of ``told``."""
    places = [tuple(location) for location in told["route"]["locations"]]
    found = (read for read in loaded.reads if read.at[-1] == "query" and read.at[:-1] in places)
    return next(found, None)


def explained(read: ToldRead) -> dict[str, Any]:
    """``tier``, ``reason`` where that is not the first, and ``statements``: each with its ``name``
    within the read, ``database``, ``sql`` and, in the order of its placeholders, ``values``. Of
    optional parameters all are given."""
    statements = [] if read.tier == 3 else list(_statements(read.bound.plan.parts))
    return {"tier": read.tier, "reason": read.reason, "statements": statements}


def _statements(parts: list[Part], below: str = "") -> Iterator[dict[str, Any]]:
    from django.db import connections

    from ..queries.statement import numbered

    for part in parts:
        name = below or part.key
        made = max(part.variants.items(), key=lambda one: len(one[0]))[1]
        is_postgres = connections[part.alias].vendor == "postgresql"
        placeholder = _dollar if is_postgres else _question_mark
        yield {
            "name": name,
            "database": part.alias,
            "sql": numbered(made.sql, placeholder),
            "values": [_source(bind) for bind in made.binds],
        }
        for nested in part.below:
            inside = f"{name}.{nested.name}" if name else nested.name
            yield from _statements([nested.part], inside)


def _dollar(number: int) -> str:
    return f"${number + 1}"


def _question_mark(number: int) -> str:
    return "?"


def _source(bind: Bind | Constant) -> str:
    """Where a value comes from."""
    from ..queries.statement import Constant

    if isinstance(bind, Constant):
        value = bind.value
        # Django tells psycopg how many bits an integer has, by a class of its own.
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return repr(int(value) if is_integer else value)
    optional = ", optional" if bind.param.optional else ""
    place = bind.param.place or "the caller"
    around = f", within {bind.prefix}…{bind.suffix}" if bind.prefix or bind.suffix else ""
    more = f", and {bind.plus} more" if bind.plus else ""
    return f"{place}: {bind.param.name} ({bind.param.type_name}{optional}){around}{more}"


def lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    ways = {1: "in Rust", 2: "compiled, by Django's cursor", 3: "the queryset itself"}
    because = f": {found['reason']}" if found["reason"] else ""
    told = [f"query   tier {found['tier']}, {ways[found['tier']]}{because}"]
    for one in found["statements"]:
        name = f"{one['name']}, " if one["name"] else ""
        told.append(f"        {name}`{one['database']}`: {one['sql']}")
        told += [f"          {n}. {value}" for n, value in enumerate(one["values"], 1)]
    return told
