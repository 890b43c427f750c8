"""What answers routes in Python: handlers and declared reads, as the wire names them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..exceptions import DeclarationError
from ..params import bind
from .diagnostics import Location

if TYPE_CHECKING:
    from ..queries.bind import BoundRead
    from ..queries.compiled import Compiled


class Report(Protocol):
    """Where mistakes go."""

    def __call__(self, code: str, message: str, at: Location, hint: str | None = None) -> None: ...


class ToldRead(NamedTuple):
    """What people hear of a declared read: what it is called, its tier, why it is not the first,
    what it was compiled to and where it is declared."""

    name: str
    tier: int
    reason: str | None
    bound: BoundRead
    at: Location


@dataclasses.dataclass
class Binding:
    """Binds what was declared, and collects what the engine is to call and to connect to.

    ``report`` and ``warn`` take what is wrong.
    """

    report: Report
    warn: Report
    callables: list[Callable[..., Any]] = dataclasses.field(default_factory=list)
    #: The databases that Rust reads from.
    databases: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    #: The reads that handlers run, by what they are.
    compiled: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    reads: list[ToldRead] = dataclasses.field(default_factory=list)

    def handler(
        self,
        handler: Callable[..., Any],
        path: str,
        methods: list[str],
        request_body: str | None,
        at: Location,
    ) -> dict[str, Any] | None:
        """The handler of the route ``path`` on the wire; ``None`` with a report where it cannot be
        one."""
        name = name_of(handler)
        if not callable(handler):
            self.report("E009", f"{name} is not callable", at, "give a function")
            return None
        try:
            return self._callable(handler, name, path, methods, request_body)
        except DeclarationError as error:
            self.report("E009", f"{name}: {error.message}", at, error.hint)
            return None

    def _callable(
        self,
        handler: Callable[..., Any],
        name: str,
        path: str,
        methods: list[str],
        request_body: str | None,
    ) -> dict[str, Any]:
        bound = bind(handler, parameter_names(path), methods, request_body)
        self.callables.append(bound.call)
        return {
            "index": len(self.callables) - 1,
            "name": name,
            "is_async": bound.is_async,
            "awaits": bound.awaits,
            "request_body": bound.request_body,
        }

    def read(
        self, what: Any, name: str, path: str, methods: list[str], at: Location
    ) -> dict[str, Any]:
        """What a route says of the read that answers it, with a handler where it runs in Python."""
        read = self._compiled(what, name, parameter_names(path), methods, at)
        if read is None:
            # That nothing answers here would only follow from it.
            return {"handler": name}
        if read.answer is None:
            self._connect(read)
            return {"query": read.wire(name, None)}
        return {"query": read.wire(name, self._callable(read.answer, name, path, methods, None))}

    def compile(self, compiled: Compiled, name: str, at: Location) -> None:
        """Compiles a read that no route has, for those who call it."""
        bound = self._compiled(compiled.read, name, None, ["GET"], at)
        if bound is None:
            return
        known_by = None
        if bound.tier == 1:
            self._connect(bound)
            told = bound.wire(name, None)
            # By what it is: whatever plan has it, it is the same.
            known_by = hashlib.sha256(json.dumps(told).encode()).hexdigest()
            self.compiled[known_by] = told
        compiled.bind(bound, known_by)

    def _compiled(
        self, what: Any, name: str, captured: list[str] | None, methods: list[str], at: Location
    ) -> BoundRead | None:
        from ..queries.bind import bind_read, code_of

        try:
            read = bind_read(what, name, captured, methods)
        except DeclarationError as error:
            self.report(code_of(error), f"{name}: {error.message}", at, error.hint)
            return None
        self.reads.append(ToldRead(name, read.tier, read.reason, read, at))
        for part in read.plan.unbounded:
            of = f"`{part.key}` of {name}" if part.key else name
            message = f"{of} has no bound: more than {part.max_rows} rows are an error (500)"
            self.warn("W173", message, at, "slice it, `[:100]`, or give it pages, `page=Page()`")
        return read

    def _connect(self, read: BoundRead) -> None:
        from ..queries.databases import database

        for alias in read.aliases():
            self.databases[alias] = database(alias)


def parameter_names(path: str) -> list[str]:
    """The names that a path captures."""
    names = []
    for part in path.split("{")[1:]:
        name, closed, _ = part.partition("}")
        if closed:
            names.append(name.lstrip("*"))
    return names


def name_of(handler: Callable[..., Any]) -> str:
    """What a handler is called where people see it."""
    return f"{getattr(handler, '__module__', '?')}:{getattr(handler, '__qualname__', handler)}"
