"""Which tier a read is of, and why."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from typing import Any

from django.conf import settings
from django.core.exceptions import FullResultSet
from django.db import models, router
from django.db.models.expressions import Col
from django.db.models.lookups import IntegerFieldOverflow
from django.db.models.sql.constants import LOUTER
from django.utils import timezone

from .columns import is_known
from .databases import Unsupported, database
from .declare import Param
from .fill import Compared, lookups_of, places_of
from .samples import is_in_python, literal
from .statement import Bind, Constant, Statement


@dataclasses.dataclass
class Tier:
    """The tier so far, and what made it so."""

    number: int = 1
    reason: str | None = None

    def at_least(self, number: int, reason: str) -> None:
        """Not below ``number``; the first reason for the highest is kept."""
        if number > self.number:
            self.number, self.reason = number, reason


def judge_database(tier: Tier, queryset: Any, alias: str) -> None:
    """What of the database Rust does not do."""
    if queryset._db is None and router.routers:
        tier.at_least(2, "a database router is asked; `.using(...)` says which database it is")
    try:
        database(alias)
    except Unsupported as error:
        tier.at_least(2, str(error))


def judge_parameters(tier: Tier, query: Any, connection: Any) -> None:
    """What the parameters of a query are compared with."""
    compared = list(lookups_of(query))
    for one in compared:
        name = one.params[0].name
        _judge_lookup(tier, one.lookup, name)
        if _beyond_is_full(one) and _is_narrow(one.lookup.lhs, connection) and _may_be_null(one):
            tier.at_least(3, f"with `{name}` beyond the column's range, Django finds NULLs as well")
    everywhere = list(places_of(query))
    for place in everywhere:
        param = place if isinstance(place, Param) else place.param
        if param.many:
            tier.at_least(3, f"the parameter `{param.name}` is a list, whose length the SQL shows")
        if place is param:
            tier.at_least(
                3, f"`{param.name}` stands where Django looks at it only when it compiles"
            )
    if len(everywhere) > sum(len(one.params) for one in compared):
        tier.at_least(2, "a parameter stands in an expression, where the driver gives it its type")


def _judge_lookup(tier: Tier, lookup: Any, name: str) -> None:
    if not type(lookup).__module__.startswith("django."):
        tier.at_least(3, f"`{name}` is compared by a lookup of one's own, {type(lookup).__name__}")
    field = lookup.lhs._output_field_or_none if hasattr(lookup.lhs, "output_field") else None
    target = getattr(lookup.lhs, "target", field)
    if field is None or not (is_known(field) and is_known(target)):
        tier.at_least(3, f"`{name}` is compared with a {type(field).__name__}")


def _beyond_is_full(one: Compared) -> bool:
    """Whether Django leaves the condition out for a number that no column can hold. One that it
    takes for false is as good as NULL, but for what is told of it outside of a condition."""
    if not isinstance(one.lookup, IntegerFieldOverflow):
        return False
    exceptions = (one.lookup.underflow_exception, one.lookup.overflow_exception)
    return FullResultSet in exceptions or not one.is_condition


def _is_narrow(lhs: Any, connection: Any) -> bool:
    low, high = connection.ops.integer_field_range(lhs.output_field.get_internal_type())
    return not (low in (None, -(2**63)) and high in (None, 2**63 - 1))


def _may_be_null(one: Compared) -> bool:
    lhs = one.lookup.lhs
    if isinstance(lhs, models.Count):
        return False
    if not isinstance(lhs, Col) or lhs.target.null:
        return True
    join = one.query.alias_map.get(lhs.alias)
    return join is None or join.join_type == LOUTER


def judge_statement(tier: Tier, made: Statement, connection: Any) -> None:
    """What stands in the SQL."""
    for bind in made.binds:
        if isinstance(bind, Bind) and is_in_python(bind.form):
            name = bind.param.name
            said = f"the time zone of the project is {timezone.get_default_timezone_name()}"
            is_moment = bind.form.type.startswith("local")
            tier.at_least(2, said if is_moment else f"the driver decides what `{name}` becomes")
    constants = [one.value for one in made.binds if isinstance(one, Constant)]
    strange = [value for value in constants if literal(value) is None]
    if strange:
        tier.at_least(2, f"a {type(strange[0]).__name__} is written by the driver")
    if connection.vendor == "sqlite":
        found = _python_functions().search(made.sql)
        if found:
            name = found[0].rstrip("( ").lower()
            tier.at_least(2, f"SQLite calls the function {name}, which Django wrote in Python")
    if connection.timezone_name != "UTC" and _has_moments(made):
        tier.at_least(2, f"the time zone of the database is {connection.timezone_name}")
    for bind in made.binds:
        if not settings.USE_TZ and isinstance(bind, Bind) and _is_moment(bind):
            tier.at_least(3, f"`{bind.param.name}` may have a time zone, and USE_TZ is False")


def _has_moments(made: Statement) -> bool:
    fields = (one._output_field_or_none for one in made.select)
    return any(isinstance(field, models.DateTimeField) for field in fields) or any(
        map(_is_moment, made.binds)
    )


def _is_moment(bind: Any) -> bool:
    if isinstance(bind, Constant):
        return isinstance(bind.value, datetime.datetime)
    return bind.param.scalar is datetime.datetime


@functools.cache
def _python_functions() -> re.Pattern[str]:
    from django.db.backends.sqlite3 import _functions

    seen = _Registered()
    _functions.register(seen)
    names = "|".join(sorted(map(re.escape, seen.names)))
    return re.compile(rf"\b(?:(?:{names})\s*\(|REGEXP\b)", re.IGNORECASE)


class _Registered:
    """Stands in for a connection, and learns what Django registers on one."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def create_function(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.names.add(name)

    def create_aggregate(self, name: str, *args: Any) -> None:
        self.names.add(name)

    def execute(self, sql: str) -> _Registered:
        return self

    def fetchone(self) -> tuple[int]:
        """That this SQLite has no mathematical functions of its own: another one may not."""
        return (0,)
