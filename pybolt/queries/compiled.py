"""Compiled reads: what handlers run by their own parameters, in the same tiers as a route's."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

from ..exceptions import BoltError, DeclarationError, HTTPError
from .declare import TYPES, Param, Read, in_utc

if TYPE_CHECKING:
    from .bind import BoundRead


class QueryFailed(BoltError):
    """A compiled read that the database did not answer as it should; the message has no values."""


class Compiled:
    """A read that is compiled at the start and run by whoever calls it.

    ``await find(id=7)`` in an async handler, ``find(id=7).sync()`` in a sync one; several at once
    by :func:`gather`. The result is what the read is: a list of dicts (``values()``), tuples
    (``values_list()``) or values (``flat=True``), one of them or ``None`` (``one=True``), a number
    (``count``), or a dict of those. Made by ``api.compile``.
    """

    def __init__(self, read: Read) -> None:
        self.read = read
        self._bound: BoundRead | None = None
        #: What the engine knows it by, where it runs it.
        self._known_by: str | None = None

    def bind(self, bound: BoundRead, known_by: str | None) -> None:
        """What it was compiled to; ``known_by`` of the first tier."""
        self._bound, self._known_by = bound, known_by

    def __call__(self, **values: Any) -> Any:
        """The read with ``values`` for its parameters: await it, gather it, or ``sync()`` it.

        Raises ``TypeError`` for a parameter that is missing, unknown or of another type.
        """
        if self._bound is None:
            raise RuntimeError("a compiled read runs within the server that serves its api")
        params = self._bound.plan.params
        given = [self._checked(param, values) for param in params]
        if values:
            raise TypeError(f"there is no parameter {', '.join(map(repr, values))}")
        in_python = InPython(self._bound, dict(zip(params, given, strict=True)))
        if self._known_by is None:
            return in_python
        from .._engine import Call

        return Call(self._known_by, given, in_python.sync)

    @staticmethod
    def _checked(param: Param, values: dict[str, Any]) -> Any:
        value = values.pop(param.name, param.default)
        if value is None:
            if param.optional:
                return None
            raise TypeError(f"the parameter `{param.name}` is missing")
        several = value if param.many else [value]
        if not isinstance(several, list) or not all(type(one) is param.scalar for one in several):
            raise TypeError(f"the parameter `{param.name}` is a {param.type_name}")
        return in_utc(value)


class InPython:
    """A compiled read of the tiers that run in Python, with its values."""

    def __init__(self, bound: BoundRead, values: Mapping[Param, Any]) -> None:
        self.bound, self.values = bound, values

    def sync(self) -> Any:
        """Runs it on this thread, on Django's connection of it."""
        from .run import Answering

        answering = Answering(self.bound.plan, max(self.bound.tier, 2), "")
        return answering.found({p: v for p, v in self.values.items() if v is not None})

    def __await__(self) -> Generator[Any, None, Any]:
        from asgiref.sync import sync_to_async

        return sync_to_async(self.sync)().__await__()


async def gather(*calls: Any) -> list[Any]:
    """The results of several compiled reads, asked for at once: ``await gather(find(id=1),
    find(id=2))``. One round trip where the engine runs them."""
    from .._engine import Call

    if calls and all(isinstance(call, Call) for call in calls):
        results: list[Any] = await Call.gather(list(calls))
        return results
    import asyncio

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_awaited(call)) for call in calls]
    return [task.result() for task in tasks]


async def _awaited(call: Any) -> Any:
    return await call


def failure(kind: str, reason: str, name: str) -> Exception:
    """What the engine raises where a read found nothing."""
    soon = {"retry-after": "1"}
    match kind:
        case "unavailable":
            return HTTPError(503, code="database_unavailable", headers=soon)
        case "crowded":
            return HTTPError(503, code="overloaded", headers=soon)
        case "late":
            return HTTPError(504, code="timeout")
        case "too_many":
            return QueryFailed(f"{name}: more rows than max_rows")
    return QueryFailed(f"{name}: {reason}")


def as_text(value: Any, name: str) -> str:
    """A value in the form that the engine reads.

    Raises :class:`DeclarationError` for a type that no parameter has.
    """
    match value:
        case bool():
            return "t" if value else "f"
        case float() | int():
            return repr(value)
        case datetime.datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
            return moment.astimezone(datetime.UTC).isoformat(" ")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return str(value // datetime.timedelta(microseconds=1))
        case str() | decimal.Decimal() | uuid.UUID():
            return str(value)
    kinds = ", ".join(kind.__name__ for kind in TYPES)
    raise DeclarationError(f"the parameter `{name}` is none of {kinds}")
