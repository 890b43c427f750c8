"""What ``explain`` says of a declared read: its tier, its statements, and where their values come
from. No database is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..config import LoadedConfig
from ..config.binding import ToldRead

if TYPE_CHECKING:
    from ..queries.plan import Part, Plan
    from ..queries.statement import Bind, Constant, Statement


def read_of(loaded: LoadedConfig, told: Mapping[str, Any]) -> ToldRead | None:
    """The declared read that answers the route of ``told``."""
    places = [tuple(location) for location in told["route"]["locations"]]
    found = (read for read in loaded.reads if read.at[-1] == "query" and read.at[:-1] in places)
    return next(found, None)


def explained(read: ToldRead) -> dict[str, Any]:
    """``tier``, ``reason`` where that is not the first, and ``statements``: each with its ``name``
    within the read, ``database``, ``sql`` as it is sent and, in the order of its placeholders,
    ``values``. Of optional parameters all are given."""
    from ..queries.asked import parts

    statements = []
    for name, part in parts(read.bound.plan.parts) if read.tier < 3 else ():
        made = _sent(part, read.bound.plan, read.tier)
        values = [_source(bind) for bind in made.binds]
        told = {"name": name, "database": part.alias, "sql": made.sql, "values": values}
        statements.append(told)
    return {"tier": read.tier, "reason": read.reason, "statements": statements}


def _sent(part: Part, plan: Plan, tier: int) -> Statement:
    from django.db import connections

    from ..queries import wire
    from ..queries.statement import numbered

    made = max(part.variants.items(), key=lambda one: len(one[0]))[1]
    vendor = connections[part.alias].vendor
    if tier == 1:
        return wire.sent(made, plan, vendor)
    # The driver has a placeholder for each place.
    is_postgres = vendor == "postgresql"
    sql = numbered(made.sql, lambda number: f"${number + 1}" if is_postgres else "?")
    return dataclasses.replace(made, sql=sql)


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
