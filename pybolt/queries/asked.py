"""The statements of a declared read as a database is asked for them, with values in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.core.exceptions import EmptyResultSet
from django.db import connections

from . import wire
from .declare import Param
from .fill import fill
from .pages import LIMIT, OFFSET, Limits
from .plan import Given, Part, Plan
from .samples import samples

if TYPE_CHECKING:
    from .bind import BoundRead


@dataclasses.dataclass(frozen=True)
class Asked:
    """One statement. ``part``: whose it is, and ``name``, what that is called within its read;
    ``types``: what PostgreSQL prepares it with, ``None`` where Django's cursor sends it as it is.
    """

    name: str | None
    part: Part
    sql: str
    values: tuple[Any, ...]
    types: tuple[str, ...] | None = None


def every(bound: BoundRead) -> Iterator[Asked]:
    """The statements that are compiled at the start, with values of the right types."""
    values = examples(bound.plan)
    for given in bound.plan.tried:
        yield from asked(bound, values, given)


def examples(plan: Plan) -> dict[Param, Any]:
    """A value for each parameter; the first page of a page."""
    values = {
        param: samples(param, number)[0] if param.default is None else param.default
        for number, param in enumerate(plan.params)
    }
    if plan.page is not None:
        values[LIMIT] = plan.page.default
        if OFFSET in values:
            values[OFFSET] = 0
    return values


def asked(bound: BoundRead, values: Mapping[Param, Any], given: Given) -> Iterator[Asked]:
    """The statements of one variant in the order in which they are run; none of what Django
    knows without asking."""
    for name, part in parts(bound.plan.parts):
        try:
            sql, found, types = _statement(bound, part, values, given)
        except EmptyResultSet:
            continue
        yield Asked(name, part, sql, tuple(found), types)


def parts(above: list[Part]) -> Iterator[tuple[str | None, Part]]:
    """What a read is made of, nested lists as well, each with its name within the read, which is a
    path: ``latest.books``."""
    for part in above:
        yield part.key, part
        for below in part.below:
            yield below.name if part.key is None else f"{part.key}.{below.name}", below.part


def _statement(
    bound: BoundRead, part: Part, values: Mapping[Param, Any], given: Given
) -> tuple[str, Any, tuple[str, ...] | None]:
    plan, connection = bound.plan, connections[part.alias]
    if bound.tier == 3:
        limits = Limits(values[LIMIT] + 1, values.get(OFFSET)) if LIMIT in values else None
        query = fill(part.build(plan.absent(given), limits), values)
        return (*query.get_compiler(part.alias).as_sql(), None)
    made, like = part.variants[given], connection.ops.prep_for_like_query
    if bound.tier == 2 or connection.vendor != "postgresql":
        return made.sql, made.params(values, like), None
    made = wire.sent(made, plan, connection.vendor)
    types = (wire.bind(one, plan.params)["pg"] or "unknown" for one in made.binds)
    return made.sql, made.params(values, like), tuple(types)
