"""The tiers that run in Python, and the answer that all tiers give."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.db.models.query import ValuesListIterable
from django.db.models.sql.compiler import SQLCompiler

from ..exceptions import HTTPError
from ..response import Bytes, Response
from .declare import Param
from .fill import fill
from .inputs import Inputs
from .optional import without
from .pages import LIMIT, OFFSET, Limits, cursor_of, next_link
from .plan import Below, Given, Part, Plan
from .rows import with_query

#: In place of the one row that is not there.
_ABSENT = object()


class TooManyRows(RuntimeError):
    """A read that is not sliced has more rows than it may answer."""


class Answering:
    """A plan as a handler: ``request`` in, response out.

    ``tier``: 2 runs the compiled SQL through Django's cursor, 3 the queryset itself.
    """

    def __init__(self, plan: Plan, tier: int, name: str) -> None:
        self.plan = plan
        self.name = name
        self.tier = tier

    @functools.cached_property
    def inputs(self) -> Inputs:
        """What a request says of the parameters."""
        return Inputs(self.plan)

    def __call__(self, request: Any) -> Response:
        """The answer. Raises :class:`RequestValidationError`, :class:`HTTPError` of 404 where the
        one row is not there, and :class:`TooManyRows`."""
        values, given = self.inputs.read(request)
        run = self._run(values, given)
        if self.plan.page is not None:
            return self._page(run, self.plan.parts[0], request, values)
        found = self._found(run)
        if any(found[part.key] is _ABSENT for part in self.plan.parts):
            raise HTTPError(404, code="not_found")
        return _json(self._whole(found))

    def found(self, values: Mapping[Param, Any]) -> Any:
        """What the read finds with ``values``; ``None`` where the one row is not there."""
        given = frozenset(param.name for param in self.plan.optional if param in values)
        found = self._found(self._run(values, given))
        return self._whole({k: None if one is _ABSENT else one for k, one in found.items()})

    def _whole(self, found: dict[str | None, Any]) -> Any:
        return found if self.plan.is_dict else found[self.plan.parts[0].key]

    def _run(self, values: Mapping[Param, Any], given: Given) -> Run:
        if self.tier == 2:
            return Compiled(values, given)
        return Plain(values, self.plan.absent(given))

    def _found(self, run: Run) -> dict[str | None, Any]:
        return {part.key: self._value(run, part) for part in self.plan.parts}

    def _value(self, run: Run, part: Part) -> Any:
        if part.shape == "value":
            return run.count(part)
        rows = run.rows(part)
        if part.shape == "list":
            return run.written(part, rows)
        written = run.written(part, rows[:1])
        return written[0] if written else _ABSENT

    def _page(self, run: Run, part: Part, request: Any, values: Mapping[Param, Any]) -> Response:
        limit = values[LIMIT]
        rows = run.rows(part)
        shown = rows[:limit]
        body = run.written(part, shown)
        if len(rows) <= limit:
            return _json(body)
        said = {"offset": str(values[OFFSET] + limit)} if self.plan.key is None else {}
        if self.plan.key is not None:
            last = json.loads(_encoded(shown[-1][self.plan.key]))
            said = {"after": cursor_of(last, self.plan.secret)}
        link = next_link(request.query_string, **said)
        return _json(body, {"link": link})


class Run:
    """One request's run of a plan's parts."""

    values: Mapping[Param, Any]

    def rows(self, part: Part) -> list[Any]:
        """The rows of a part, as sequences of its columns."""
        raise NotImplementedError

    def count(self, part: Part) -> Any:
        """The value of a part that is one."""
        return self.rows(part)[0][0]

    def written(self, part: Part, rows: list[Any]) -> list[Any]:
        """Rows as ``values()`` and ``values_list()`` have them."""
        if part.rows == "values":
            return [row[0] for row in rows]
        places = [number for number, name in enumerate(part.names) if name is not None]
        if part.rows == "arrays":
            return [tuple(row[number] for number in places) for row in rows]
        objects = [{part.names[number]: row[number] for number in places} for row in rows]
        for below in part.below:
            self._nest(below, rows, objects)
        return objects

    def _nest(self, below: Below, rows: list[Any], objects: list[Any]) -> None:
        found = self.rows(below.part)
        lists: dict[Any, list[Any]] = {}
        for row, one in zip(found, self.written(below.part, found), strict=True):
            lists.setdefault(row[below.child], []).append(one)
        for row, one in zip(rows, objects, strict=True):
            key = row[below.parent]
            one[below.name] = [] if key is None else lists.get(key, [])


class Compiled(Run):
    """The SQL as it was compiled at the start."""

    def __init__(self, values: Mapping[Param, Any], given: Given) -> None:
        self.values, self.given = values, given

    def rows(self, part: Part) -> list[Any]:
        alias = part.queryset.db
        connection = connections[alias]
        made = part.variants[self.given]
        params = made.params(self.values, connection.ops.prep_for_like_query)
        with connection.cursor() as cursor:
            cursor.execute(made.sql, tuple(params))
            rows = cursor.fetchall()
        compiler = SQLCompiler(part.queryset.query, connection, alias)
        converters = compiler.get_converters(made.select)
        if converters:
            rows = list(compiler.apply_converters(rows, converters))
        return _checked(part, rows)


class Plain(Run):
    """The queryset with the values in it."""

    def __init__(self, values: Mapping[Param, Any], absent: list[Param]) -> None:
        self.values, self.absent = values, absent

    def _queryset(self, part: Part) -> Any:
        limits = None
        if LIMIT in self.values:
            limits = Limits(self.values[LIMIT] + 1, self.values.get(OFFSET))
        query = fill(part.build(self.absent, limits), self.values)
        return with_query(part.queryset, query)

    def count(self, part: Part) -> Any:
        query = fill(without(part.queryset.query, self.absent), self.values)
        return with_query(part.queryset, query).count()

    def rows(self, part: Part) -> list[Any]:
        queryset = self._queryset(part)
        queryset._iterable_class = ValuesListIterable
        return _checked(part, list(queryset))


def _checked(part: Part, rows: list[Any]) -> list[Any]:
    if part.max_rows is not None and len(rows) > part.max_rows:
        raise TooManyRows(
            f"more than {part.max_rows} rows: slice the queryset, page it, or raise max_rows"
        )
    return rows


def _encoded(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder)


def _json(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    body = _encoded(value).encode()
    return Bytes(body, headers=dict(headers or {}), content_type="application/json")
