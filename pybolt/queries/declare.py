"""What a route that is answered by a queryset is made of: plain data, no Django.

A :class:`Param` passes through ``filter(...)`` in the place of a value; what it stands for is put
in later, once for each request.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import typing
import uuid
from typing import Any

from ..exceptions import DeclarationError

#: What a parameter may be, and what that is called on the wire.
TYPES: dict[type, str] = {
    str: "str",
    int: "int",
    float: "float",
    decimal.Decimal: "decimal",
    bool: "bool",
    uuid.UUID: "uuid",
    datetime.date: "date",
    datetime.datetime: "datetime",
    datetime.time: "time",
    datetime.timedelta: "duration",
}


@dataclasses.dataclass(frozen=True)
class Param:
    """A value that is not known before the request.

    ``name``: of the parameter; ``type``: ``str``, ``int``, ``float``, ``Decimal``, ``bool``,
    ``UUID``, ``date``, ``datetime``, ``time``, ``timedelta``, or a ``list`` of one of them for
    ``__in``. ``Param("id", int)`` is given by whoever runs the query (``api.compile``); the class
    methods say which part of a request it is taken from.

    Raises :class:`DeclarationError` for another type, and for a default that is not of it.
    """

    name: str
    type: Any = str
    place: str | None = dataclasses.field(default=None, kw_only=True)
    optional: bool = dataclasses.field(default=False, kw_only=True)
    default: Any = dataclasses.field(default=None, kw_only=True)

    @classmethod
    def path(cls, name: str, type: Any = str) -> Param:
        """What the route's path captures as ``name``."""
        return cls(name, type, place="path")

    @classmethod
    def query(
        cls, name: str, type: Any = str, *, optional: bool = False, default: Any = None
    ) -> Param:
        """A query parameter. ``optional``: without it its condition is left out; ``default``: what
        it is where it is not given."""
        return cls(name, type, place="query", optional=optional, default=default)

    @classmethod
    def principal(cls, claim: str, type: Any = str) -> Param:
        """A claim of the verified token: rows of one's own."""
        return cls(claim, type, place="principal")

    def __post_init__(self) -> None:
        if self.scalar not in TYPES:
            given = getattr(self.type, "__name__", str(self.type))
            raise DeclarationError(
                f"the parameter `{self.name}` cannot be of the type {given}",
                f"use {', '.join(kind.__name__ for kind in TYPES)}, or a list of one of them",
            )
        if self.place == "principal" and (self.optional or self.default is not None):
            raise DeclarationError(
                f"the parameter `{self.name}` of whoever asks cannot be left out",
                "rows that everybody may see are a route of their own",
            )
        if self.default is None:
            return
        if self.optional:
            raise DeclarationError(
                f"the parameter `{self.name}` is optional and has a default",
                "a default is what it is where it is not given: leave `optional` out",
            )
        values = self.default if self.many else [self.default]
        if not isinstance(values, list) or not all(type(one) is self.scalar for one in values):
            raise DeclarationError(
                f"the default of the parameter `{self.name}` is not of its type",
                f"give {self.type_name}",
            )

    def __hash__(self) -> int:
        return hash((self.name, self.place))

    def __repr__(self) -> str:
        maker = f"Param.{self.place}" if self.place in ("path", "query", "principal") else "Param"
        shown = f"{maker}({self.name!r}, {self.type_name}"
        if self.optional:
            shown += ", optional=True"
        if self.default is not None:
            shown += f", default={self.default!r}"
        return f"{shown})"

    def __str__(self) -> str:
        raise DeclarationError(
            f"the parameter {self!r} was made a text of, before there is a value",
            "hand it over as it is",
        )

    @property
    def scalar(self) -> Any:
        """The type of one value."""
        return typing.get_args(self.type)[0] if self.many else self.type

    @property
    def many(self) -> bool:
        """Whether it is a list."""
        return typing.get_origin(self.type) is list

    @property
    def type_name(self) -> str:
        """What its type is called."""
        name = str(self.scalar.__name__)
        return f"list[{name}]" if self.many else name

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        """What Django keeps in its stead."""
        from .placeholders import Placeholder

        return Placeholder(self).resolve_expression(*args, **kwargs)


def in_utc(value: Any) -> Any:
    """A parameter's value with its moments in UTC: PostgreSQL knows no offset of 16 hours or more.

    Raises ``OverflowError`` for a moment that is of no year there.
    """
    if isinstance(value, list):
        return [in_utc(one) for one in value]
    is_aware = isinstance(value, datetime.datetime) and value.tzinfo is not None
    return value.astimezone(datetime.UTC) if is_aware else value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Page:
    """Pages of a list: ``?limit=20&offset=40``, with the next one in the ``Link`` header.

    ``default`` and ``max``: rows of a page, 1 to ``max``. ``by``: a column that is unique and that
    the queryset is ordered by; pages then go on from its last value (``?limit=20&after=…``) and
    cost the same however far on they are.

    Raises :class:`DeclarationError` for numbers out of order.
    """

    default: int = 20
    max: int = 100
    by: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.default <= self.max:
            raise DeclarationError(
                f"a page of {self.default} rows, at most {self.max}, cannot be",
                "write 1 <= default <= max",
            )


@dataclasses.dataclass(frozen=True)
class Nested:
    """A list below every row: ``Author.objects.values("id", books=Nested(Book.objects.values()))``.

    ``queryset``: the rows below, with ``values()``; ``by``: its foreign key to the model above,
    where it has several; ``max_rows``: how many there may be below all rows together.

    Django lets no column be called like a relation of the model in ``values()``; in
    ``values("id").annotate(books=Nested(...))`` it does.
    """

    queryset: Any
    by: str | None = dataclasses.field(default=None, kw_only=True)
    max_rows: int = dataclasses.field(default=10_000, kw_only=True)

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        """What Django keeps in its stead."""
        from .placeholders import Below

        return Below(self).resolve_expression(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class Counted:
    """The number of a queryset's rows. Made by :func:`count`."""

    queryset: Any


def count(queryset: Any) -> Counted:
    """How many rows ``queryset`` has, as a value of a declared read."""
    return Counted(queryset)


@dataclasses.dataclass(frozen=True)
class Read:
    """A declared read: what a route answers without a handler.

    ``what``: a queryset with ``values()`` or ``values_list()``, ``count(...)``, or a dict of them,
    whose values may be reads as well. ``one``: the first row alone, 404 where there is none.
    ``page``: see :class:`Page`. ``max_rows``: of a queryset without a slice; more rows are an
    error (500), never a cut answer.

    Raises :class:`DeclarationError` where these exclude each other.
    """

    what: Any
    one: bool = dataclasses.field(default=False, kw_only=True)
    page: Page | None = dataclasses.field(default=None, kw_only=True)
    max_rows: int = dataclasses.field(default=1000, kw_only=True)

    @classmethod
    def of(cls, what: Any, *, one: bool, page: Page | None, max_rows: int) -> Read:
        """A read of ``what``, which is one itself where nothing else is said."""
        if not isinstance(what, Read):
            return cls(what, one=one, page=page, max_rows=max_rows)
        if (one, page, max_rows) != (False, None, 1000):
            raise DeclarationError(
                "a Read says itself whether it is of one row, a page or how many",
                "say it in `Read(...)` alone",
            )
        return what

    def __post_init__(self) -> None:
        if self.one and self.page is not None:
            raise DeclarationError("one row has no pages", "leave out `one` or `page`")
        if self.max_rows < 1:
            raise DeclarationError(f"max_rows={self.max_rows} lets nothing through", "write 1 up")
        if isinstance(self.what, dict) and (self.one or self.page):
            raise DeclarationError(
                "`one` and `page` are of one queryset, not of a dict",
                'write `{"item": Read(queryset, one=True)}`',
            )
