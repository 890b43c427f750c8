"""From a declaration to a plan: every statement that a route may run, and of which tier it is."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator
from typing import Any

from django.db import connections

from ..exceptions import DeclarationError
from . import tiers
from .columns import Column, NotKnown, column, refuse_unencodable
from .declare import Counted, Page, Param, Read
from .fill import params_of
from .keys import ordered_by, picks_the_same
from .optional import without
from .pages import LIMIT, OFFSET, Limits, secret_of
from .rows import Rows, bounded, counting, foreign_key, rows_of, with_query
from .statement import Depends, Statement, statement

#: As many optional parameters make 64 statements, which are compiled at the start.
MOST_OPTIONAL = 6

#: The names of the optional parameters that a request gave.
Given = frozenset[str]
Build = Callable[[Collection[Param], Limits | None], Any]


@dataclasses.dataclass
class Part:
    """One statement of a plan, in its variants, and how its rows are written.

    ``build(absent, limits)`` makes its query, without the conditions of the absent parameters and
    with the limits of a page, if it is one; ``max_rows``: more are an error, ``None`` where the
    statement has a bound of its own.
    """

    key: str | None
    shape: str
    rows: str
    queryset: Any
    alias: str
    names: list[str | None]
    max_rows: int | None
    build: Build
    unbounded: bool = False
    columns: list[Column] = dataclasses.field(default_factory=list)
    variants: dict[Given, Statement] = dataclasses.field(default_factory=dict)
    below: list[Below] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Below:
    """Rows of a second statement that belong below those of a first: where the two columns are
    equal. ``field``: of the rows below, what Django calls the second."""

    name: str
    parent: int
    child: int
    field: str
    part: Part


@dataclasses.dataclass
class Plan:
    """A route's read, compiled. ``key``: the number of the column that pages go on by."""

    parts: list[Part]
    params: list[Param]
    page: Page | None
    key: int | None
    secret: bytes
    tier: tiers.Tier
    is_dict: bool

    @property
    def optional(self) -> list[Param]:
        """The parameters without which there is another statement."""
        return [param for param in self.params if param.optional]

    def absent(self, given: Given) -> list[Param]:
        """Those of them that are not ``given``."""
        return [param for param in self.optional if param.name not in given]

    @property
    def tried(self) -> Iterator[Given]:
        """The sets of optional parameters that are compiled at the start: every one, or, where they
        are many, those that lack one at most and those of one at most."""
        names = [param.name for param in self.optional]
        few = len(names) <= MOST_OPTIONAL
        for size in range(len(names), -1, -1):
            if few or size <= 1 or size >= len(names) - 1:
                yield from map(frozenset, itertools.combinations(names, size))

    @property
    def unbounded(self) -> list[Part]:
        """The parts that only ``max_rows`` ends."""
        return [part for part in self.parts if part.unbounded]


def plan(read: Read) -> Plan:
    """Compiles ``read``. Raises :class:`DeclarationError` for what cannot be answered."""
    return _Planning(read).plan()


class _Planning:
    def __init__(self, read: Read) -> None:
        self.read = read
        self.tier = tiers.Tier()
        self.key: int | None = None

    def plan(self) -> Plan:
        what = self.read.what
        is_dict = isinstance(what, dict)
        members = what.items() if is_dict else [(None, what)]
        parts = [self._member(key, one) for key, one in members]
        if not parts:
            raise DeclarationError("an empty dict reads nothing", 'write `{"items": queryset}`')
        params = _agreed(itertools.chain.from_iterable(map(_params, parts)), self.read.page)
        made = Plan(parts, params, self.read.page, self.key, b"", self.tier, is_dict)
        if len(made.optional) > MOST_OPTIONAL:
            self.tier.at_least(
                3,
                f"{len(made.optional)} parameters are optional; of at most {MOST_OPTIONAL} the "
                "statements of all their sets are compiled at the start",
            )
        for part in parts:
            self._compile(part, made)
        if self.key is not None:
            every = next(iter(parts[0].variants.values()), None)
            made.secret = secret_of(every.sql if every else str(parts[0].queryset.model))
        return made

    def _member(self, key: Any, what: Any) -> Part:
        if key is not None and not isinstance(key, str):
            raise DeclarationError(f"the key {key!r} is not a text", "name what is read")
        read = what if isinstance(what, Read) else None
        if key is not None and read is not None and (read.page or isinstance(read.what, dict)):
            raise DeclarationError(
                f"`{key}` cannot be a page or a dict of its own", "give it a route of its own"
            )
        read = read or dataclasses.replace(self.read, what=what)
        if isinstance(read.what, Counted):
            return self._count(key, read)
        return self._list(key, read)

    def _count(self, key: str | None, read: Read) -> Part:
        if read.one or read.page:
            raise DeclarationError("a count is one number", "leave out `one` and `page`")
        queryset = read.what.queryset
        if not hasattr(queryset, "query"):
            kind = type(queryset).__qualname__
            raise DeclarationError(f"a {kind} cannot be counted", "give a queryset")
        alias = queryset.db

        def build(absent: Collection[Param], limits: Limits | None) -> Any:
            return counting(queryset, absent)

        return Part(key, "value", "values", queryset, alias, ["count"], None, build)

    def _list(self, key: str | None, read: Read) -> Part:
        rows = rows_of(read.what)
        links = {}
        for name, nested in rows.below.items():
            child = rows_of(nested.queryset)
            field = foreign_key(child.queryset.model, rows.queryset.model, nested.by)
            rows, place = rows.linked(field.target_field.attname)
            links[name] = child, field, place, nested.max_rows
        shown = rows_of(read.what).names
        names = [name if number < len(shown) else None for number, name in enumerate(rows.names)]
        if read.page is not None:
            rows = self._paged(rows, read.page)
        queryset = rows.queryset

        def build(absent: Collection[Param], limits: Limits | None) -> Any:
            query = without(queryset.query, absent)
            if limits is not None:
                return limits.apply(query)
            return bounded(query, one=read.one, max_rows=read.max_rows)[0]

        shape = "one" if read.one else "list"
        bound = None
        if read.page is None:
            _, bound = bounded(queryset.query, one=read.one, max_rows=read.max_rows)
        if links and bound is None and not picks_the_same(queryset.query):
            raise DeclarationError(
                "a nested list is a statement of its own, and would be of other rows: those above "
                "are a part of all, in no order of their own",
                'order them by something unique as well: `.order_by("name", "id")`',
            )
        part = Part(key, shape, rows.look, queryset, queryset.db, names, bound, build)
        part.unbounded = bound is not None
        for name, link in links.items():
            part.below.append(self._below(name, part, *link))
        return part

    @property
    def _limits(self) -> Limits | None:
        if self.read.page is None:
            return None
        return Limits.unknown(has_offset=self.read.page.by is None)

    def _paged(self, rows: Rows, page: Page) -> Rows:
        query = rows.queryset.query
        if query.is_sliced:
            raise DeclarationError("a slice has no pages", "leave out the slice or `page`")
        if page.by is None:
            return rows
        if page.by not in rows.names:
            raise DeclarationError(
                f"pages go on by `{page.by}`, which is no column", "add it to `values(...)`"
            )
        self.key = rows.names.index(page.by)
        return dataclasses.replace(rows, queryset=ordered_by(rows.queryset, page.by))

    def _below(
        self, name: str, parent: Part, child: Rows, field: Any, place: int, max_rows: int
    ) -> Below:
        if child.below:
            raise DeclarationError(
                f"`{name}` has a nested list of its own",
                "one list below another is as far as it goes",
            )
        if child.queryset.query.is_sliced:
            raise DeclarationError(
                f"`{name}` is sliced, and a slice is of all rows together",
                "leave the slice out: `max_rows` of Nested bounds it",
            )
        if child.queryset._db is None:
            child = dataclasses.replace(child, queryset=child.queryset.using(parent.alias))
        shown = len(child.names)
        child, at = child.linked(field.attname)
        queryset = child.queryset
        target = field.target_field.attname

        def build(absent: Collection[Param], limits: Limits | None) -> Any:
            above = _links_of(parent, absent, limits, target)
            chosen = without(queryset.query, absent)
            filtered = with_query(queryset, chosen).filter(**{f"{field.attname}__in": above})
            return bounded(filtered.query, one=False, max_rows=max_rows)[0]

        names = [one if number < shown else None for number, one in enumerate(child.names)]
        part = Part(None, "list", child.look, queryset, queryset.db, names, max_rows, build)
        if part.alias != parent.alias:
            raise DeclarationError(
                f"`{name}` is of the database `{part.alias}`, the rows above of `{parent.alias}`",
                "read them from one database",
            )
        return Below(name, place, at, field.attname, part)

    def _compile(self, part: Part, made: Plan) -> None:
        connection = connections[part.alias]
        tiers.judge_database(self.tier, part.queryset, part.alias)
        for given in made.tried:
            query = part.build(made.absent(given), self._limits)
            tiers.judge_parameters(self.tier, query, connection)
            try:
                one = statement(query, connection, _own(query), self._limits)
            except Depends as error:
                self.tier.at_least(3, str(error))
                continue
            part.variants[given] = one
            tiers.judge_statement(self.tier, one, connection)
        self._columns(part, connection)
        for below in part.below:
            self._compile(below.part, made)

    def _columns(self, part: Part, connection: Any) -> None:
        first = next(iter(part.variants.values()), None)
        if first is None:
            return
        if len(first.select) != len(part.names):
            self.tier.at_least(3, "a column is made of several")
            return
        for name, expression in zip(part.names, first.select, strict=True):
            if name is not None:
                refuse_unencodable(name, expression)
            try:
                part.columns.append(column(name, expression, connection))
            except NotKnown as error:
                part.columns.append(Column(name, "raw"))
                self.tier.at_least(2, str(error))


def _links_of(parent: Part, absent: Collection[Param], limits: Limits | None, target: str) -> Any:
    """The queryset of the rows above, of the one column that the rows below go by."""
    # One row too many is noticed above.
    if parent.unbounded:
        query = without(parent.queryset.query, absent)
    else:
        query = parent.build(absent, limits)
    return with_query(parent.queryset, query).values(target)


def _params(part: Part) -> Iterator[Param]:
    yield from _own(part.queryset.query)
    for below in part.below:
        yield from _params(below.part)


def _own(query: Any) -> list[Param]:
    """The parameters of a query, each once, in the order in which they stand in it."""
    return list(dict.fromkeys(params_of(query)))


def _agreed(found: Iterator[Param], page: Page | None) -> list[Param]:
    """Every parameter once. Raises :class:`DeclarationError` where two of a name disagree."""
    by_name: dict[tuple[str | None, str], Param] = {}
    for param in found:
        first = by_name.setdefault((param.place, param.name), param)
        if first != param:
            raise DeclarationError(
                f"the parameter `{param.name}` is declared twice, as {first!r} and as {param!r}",
                "declare it once, and use it as often as you like",
            )
    params = list(by_name.values())
    if page is None:
        return params
    added = [LIMIT] if page.by is not None else [LIMIT, OFFSET]
    reserved = {"limit", "offset" if page.by is None else "after"}
    for param in params:
        if param.place == "query" and param.name in reserved:
            raise DeclarationError(
                f"the parameter `{param.name}` is the page's own", "call yours otherwise"
            )
    return params + added
