"""Values to compile with, and what Django may make of one on its way to the database.

A query is compiled with three sets of samples. What is the same in all of them is the query's own;
what differs is a parameter's, and is only believed where one function explains all three.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings

from .declare import Param

SETS = 3
_UTC = datetime.UTC
_EAST = datetime.timezone(datetime.timedelta(hours=2))

#: By type: the samples of the ``number``-th parameter. Integers fit a small column and are not
#: negative; texts have what LIKE escapes; moments are aware, of another zone and naive.
_MAKERS: dict[type, Callable[[int], tuple[Any, ...]]] = {
    str: lambda n: (f"A%b_\\{n}z", f"{n}_\\%É", f" x'{n}\\_%"),
    int: lambda n: (1000 + n, 2000 + n, 3000 + n),
    float: lambda n: (1.25 + n, 1000.5 + n, 3e20 + n * 1e10),
    decimal.Decimal: lambda n: (
        decimal.Decimal(n) + decimal.Decimal("1.2500001"),
        decimal.Decimal(n + 7000),
        decimal.Decimal(f"1{n}E+2"),
    ),
    bool: lambda n: (True, False, True),
    uuid.UUID: lambda n: tuple(uuid.UUID(int=(k << 120) + (0xABC << 40) + n) for k in (1, 0xD, 3)),
    datetime.date: lambda n: tuple(
        datetime.date(year, 1, 31) + datetime.timedelta(n) for year in (1987, 2004, 2031)
    ),
    datetime.datetime: lambda n: (
        datetime.datetime(2001, 2, 3, 4, 5, 6, 7, tzinfo=_UTC) + datetime.timedelta(n),
        datetime.datetime(2002, 2, 3, 23, 5, 6, tzinfo=_EAST) + datetime.timedelta(n),
        datetime.datetime(2003, 7, 3, 4, 5, 6, 120000) + datetime.timedelta(n),
    ),
    datetime.time: lambda n: (
        datetime.time(1, 2, 3, 4000 + n),
        datetime.time(4, 5, n % 60),
        datetime.time(5, n % 60),
    ),
    datetime.timedelta: lambda n: (
        datetime.timedelta(days=1, seconds=2 + n),
        datetime.timedelta(microseconds=3 + n),
        datetime.timedelta(days=-4 - n, microseconds=1),
    ),
}


def samples(param: Param, number: int) -> tuple[Any, ...]:
    """One value of each set for ``param``, unlike those of parameters with other numbers."""
    made = _MAKERS[param.scalar](number)
    if param.scalar is datetime.datetime and not settings.USE_TZ:
        made = tuple(map(naive_utc, made))
    return tuple([value, value] for value in made) if param.many else made


def naive_utc(value: datetime.datetime) -> datetime.datetime:
    """A moment as SQLite keeps it."""
    return value.astimezone(_UTC).replace(tzinfo=None) if value.tzinfo else value


def _microseconds(value: datetime.timedelta) -> int:
    return value // datetime.timedelta(microseconds=1)


def _aware(value: datetime.datetime) -> datetime.datetime:
    return value if value.tzinfo else value.replace(tzinfo=_UTC)


@dataclasses.dataclass(frozen=True)
class Form:
    """How a value is handed to the database: ``type`` is its name on the wire."""

    type: str
    of: Callable[[Any], Any]


_SAME = {
    str: Form("str", str),
    int: Form("int", int),
    float: Form("float", float),
    decimal.Decimal: Form("decimal", decimal.Decimal),
    bool: Form("bool", bool),
    uuid.UUID: Form("uuid", lambda value: value),
    datetime.date: Form("date", lambda value: value),
    datetime.datetime: Form("datetime", _aware),
    datetime.time: Form("time", lambda value: value),
    datetime.timedelta: Form("duration", lambda value: value),
}
#: What Django makes of a value for SQLite, which has fewer types.
_SQLITE = {
    uuid.UUID: Form("uuid", lambda value: value.hex),
    datetime.date: Form("date", str),
    datetime.datetime: Form("datetime", lambda value: str(naive_utc(value))),
    datetime.time: Form("time", str),
    datetime.timedelta: Form("duration", _microseconds),
}
#: A number or an identifier that is looked for in another column.
_OTHERS: dict[type, tuple[Form, ...]] = {
    int: (Form("decimal", decimal.Decimal), Form("str", str)),
    uuid.UUID: (Form("str", str),),
}


def _local(value: datetime.datetime) -> datetime.datetime:
    """As Django takes a moment without a zone: in the project's own."""
    from django.utils import timezone

    return value if value.tzinfo else timezone.make_aware(value, timezone.get_default_timezone())


#: What only the tiers in Python can do.
_IN_PYTHON = (
    Form("local", _local),
    Form("local text", lambda value: str(naive_utc(_local(value)))),
    Form("as it is", lambda value: value),
)


def forms(scalar: type, vendor: str) -> tuple[Form, ...]:
    """What a value of the type ``scalar`` may become, the likeliest first."""
    own = _SQLITE.get(scalar) if vendor == "sqlite" else None
    local = _IN_PYTHON if scalar is datetime.datetime else _IN_PYTHON[-1:]
    return (own or _SAME[scalar], *_OTHERS.get(scalar, ()), *local)


def is_in_python(form: Form) -> bool:
    """Whether Rust cannot make it."""
    return form in _IN_PYTHON


#: The types that PostgreSQL statements are prepared with, by form.
PG_TYPES = {
    "str": "text",
    "int": "int8",
    "float": "float8",
    "decimal": "numeric",
    "bool": "bool",
    "uuid": "uuid",
    "date": "date",
    "datetime": "timestamptz",
    "time": "time",
    "duration": "interval",
}


@dataclasses.dataclass(frozen=True)
class Literal:
    """A value of the query's own as the wire has it."""

    value: str | None
    type: str
    pg: str


def literal(value: Any) -> Literal | None:
    """``value``, which psycopg would have written into the statement, with the type that it would
    have had there; ``None`` for what has no such form."""
    match value:
        case None:
            return Literal(None, "str", "")
        case bool():
            return Literal("true" if value else "false", "bool", "bool")
        case int():
            fits = next((pg for pg, bits in (("int4", 31), ("int8", 63)) if _fits(value, bits)), "")
            return Literal(str(int(value)), "int", fits or "numeric")
        case float() if value - value == 0:
            return Literal(repr(value), "float", "numeric")
        case decimal.Decimal() if value.is_finite():
            return Literal(str(value), "decimal", "numeric")
        case str():
            # A member of an enumeration, or what is marked as safe, is the text that it is made of.
            return Literal(str.__str__(value), "str", "text")
        case uuid.UUID():
            return Literal(str(value), "uuid", "uuid")
        case datetime.datetime():
            pg = "timestamptz" if value.tzinfo else "timestamp"
            return Literal(value.isoformat(" "), "datetime", pg)
        case datetime.date():
            return Literal(value.isoformat(), "date", "date")
        case datetime.time() if value.tzinfo is None:
            return Literal(value.isoformat(), "time", "time")
        case datetime.timedelta():
            seconds = f"{value.seconds}.{value.microseconds:06}"
            return Literal(f"{value.days} days {seconds} seconds", "duration", "interval")
    return None


def _fits(value: int, bits: int) -> bool:
    return -(1 << bits) <= value < 1 << bits
