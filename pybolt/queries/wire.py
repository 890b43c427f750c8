"""A plan on the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from django.db import connections

from .declare import TYPES, Param
from .plan import Below, Part, Plan
from .samples import PG_TYPES, literal
from .statement import Bind, Constant, Statement, numbered


def parameters(plan: Plan) -> list[dict[str, Any]]:
    """The parameters of a plan in the order in which they are read."""
    return [_parameter(param, plan) for param in plan.params]


def reads(plan: Plan) -> list[dict[str, Any]]:
    """The statements of a plan, which is of the first tier."""
    return [_read(part, plan) for part in plan.parts]


def page(plan: Plan) -> dict[str, Any] | None:
    """How pages go on."""
    if plan.page is None:
        return None
    if plan.key is None:
        return {"kind": "offset"}
    return {"kind": "key", "column": plan.key, "secret": plan.secret.hex()}


def _parameter(param: Param, plan: Plan) -> dict[str, Any]:
    default = param.default
    most = None
    if param.place == "limit" and plan.page is not None:
        default, most = plan.page.default, plan.page.max
    elif param.place == "offset":
        default = 0
    return {
        "name": param.name,
        "place": param.place,
        "type": TYPES[param.scalar],
        "optional": param.optional,
        "default": None if default is None else _text(default),
        "max": most,
    }


def _text(value: Any) -> str:
    """A default as it would stand in a query, so that it is read in one way."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "total_seconds"):
        from django.utils.duration import duration_iso_string

        return str(duration_iso_string(value))
    return str(value)


def _read(part: Part, plan: Plan) -> dict[str, Any]:
    return {
        "alias": part.alias,
        "key": part.key,
        "shape": part.shape,
        "rows": part.rows,
        "columns": [
            {"name": one.name, "kind": one.kind, "places": one.places} for one in part.columns
        ],
        "max_rows": part.max_rows,
        "variants": [
            {"given": sorted(given), **statement(made, plan, connections[part.alias].vendor)}
            for given, made in part.variants.items()
        ],
        "nested": [_below(below, plan) for below in part.below],
    }


def _below(below: Below, plan: Plan) -> dict[str, Any]:
    return {
        "name": below.name,
        "parent": below.parent,
        "child": below.child,
        "read": _read(below.part, plan),
    }


def statement(made: Statement, plan: Plan, vendor: str) -> dict[str, Any]:
    """A statement with numbered parameters, and what each of these is."""
    one = sent(made, plan, vendor)
    return {"sql": one.sql, "binds": [bind(place, plan.params) for place in one.binds]}


def sent(made: Statement, plan: Plan, vendor: str) -> Statement:
    """``made`` as Rust sends it: in the database's own placeholders, of which PostgreSQL has one
    for all places of a value."""
    if vendor == "sqlite":
        return dataclasses.replace(made, sql=numbered(made.sql, lambda number: "?"))
    # Equal places are one parameter, so that the server sees that they are equal: GROUP BY asks.
    told = [bind(place, plan.params) for place in made.binds]
    first = [told.index(one) for one in told]
    unique = sorted(set(first))
    sql = numbered(made.sql, lambda number: f"${unique.index(first[number]) + 1}")
    return dataclasses.replace(made, sql=sql, binds=tuple(made.binds[n] for n in unique))


def bind(one: Bind | Constant, params: Sequence[Param]) -> dict[str, Any]:
    """What stands in a place."""
    if isinstance(one, Constant):
        found = literal(one.value)
        assert found is not None, "the tier was chosen by it"
        return {"value": found.value, "type": found.type, "pg": found.pg}
    return {
        "param": params.index(one.param),
        "prefix": one.prefix,
        "suffix": one.suffix,
        "escape": one.escape,
        "plus": one.plus,
        "type": one.form.type,
        "pg": PG_TYPES[one.form.type],
    }
