"""An api's declarations as a document, and where each of them is written."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterator
from typing import Any

from ..middleware import Django, Files, Health, RateLimit, RedirectTo, Respond
from ..queries.compiled import Compiled
from ..queries.declare import Read
from ..routing import BoltAPI, Group, Route, Source, _Declares, slots_to_config
from .diagnostics import Location, Position
from .yaml import Table

#: The key of a route that says what answers it in Rust.
_ANSWERS = {Respond: "respond", RedirectTo: "redirect", Files: "files"}


class ApiDocument:
    """``api`` as document number ``index``: its configuration, its handlers by location."""

    def __init__(self, api: BoltAPI, index: int, table: Table) -> None:
        self.table = table
        self.handlers: dict[Location, tuple[Callable[..., Any] | Read, Route]] = {}
        #: Reads that no route has.
        self.compiled: list[tuple[Location, Compiled, Source]] = []
        #: What was given and is no data that a document may hold: place, what, hint.
        self.misfits: list[tuple[Location, str, str]] = []
        root: Location = (index,)
        self._place(root, api)
        self._place((*root, "defaults"), api)
        defaults = self._slots((*root, "defaults"), api.slots)
        self.config: dict[str, Any] = {"version": 1, "defaults": defaults}
        self.config |= self._members(root, api)

    def _members(self, at: Location, owner: _Declares) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for compiled, source in owner.compiled:
            place: Location = (*at, "compile", source.line)
            self.table.values[place] = self.table.keys[place] = Position(source.file, source.line)
            self.compiled.append((place, compiled, source))
        if owner.routes:
            members["routes"] = [
                self._route((*at, "routes", number), route)
                for number, route in enumerate(owner.routes)
            ]
        if owner.groups:
            members["groups"] = [
                self._group((*at, "groups", number), group)
                for number, group in enumerate(owner.groups)
            ]
        return members

    def _route(self, at: Location, route: Route) -> dict[str, Any]:
        position = Position(route.source.file, route.source.line)
        self.table.values[at] = self.table.keys[at] = position
        methods = route.methods
        if isinstance(methods, str):
            hint = f"write `methods=[{methods!r}]`"
            self.misfits.append(
                ((*at, "methods"), "methods: expected a list, found a string", hint)
            )
            methods = (methods,)
        config: dict[str, Any] = {"path": route.path}
        if methods is not None:
            config["methods"] = list(methods)
        if route.name is not None:
            config["name"] = route.name
        answer = route.handler
        if isinstance(answer, Health):
            config["health"] = answer.kind
        elif isinstance(answer, Respond | RedirectTo | Files):
            key = _ANSWERS[type(answer)]
            # What is no data is reported; that nothing answers here would only follow from it.
            config |= {key: None} | self._slots(at, {key: answer})
        elif not isinstance(answer, Django):
            self.handlers[at] = answer, route
        return config | self._slots(at, route.slots)

    def _group(self, at: Location, group: Group) -> dict[str, Any]:
        self._place(at, group)
        config: dict[str, Any] = {"prefix": group.prefix}
        if group.name is not None:
            config["name"] = group.name
        return config | self._slots(at, group.slots) | self._members(at, group)

    def _slots(self, at: Location, slots: dict[str, Any]) -> dict[str, Any]:
        """The slots that are data; each other one is noted."""
        plain = {}
        for key, value in slots_to_config(slots).items():
            if key == "rate_limit" and isinstance(slots[key], RateLimit):
                hint = f'write `rate_limit={{"per_ip": {slots[key]!r}}}`'
                found = [("rate_limit: a limit needs a name", hint)]
            else:
                found = list(_misfits(key, value))
            self.misfits += [((*at, key), what, hint) for what, hint in found]
            if not found:
                plain[key] = value
        return plain

    def _place(self, at: Location, owner: _Declares) -> None:
        position = Position(owner.source.file, owner.source.line)
        self.table.values[at] = self.table.keys[at] = position


def _misfits(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """What in ``value`` JSON has no type for, with a hint each."""
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _misfits(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _misfits(f"{name}[{number}]", item)
    elif not isinstance(value, float):
        yield f"{name}: expected plain data, found {type(value).__qualname__}", _hint(value)
    elif not math.isfinite(value):
        yield f"{name}: expected a number, found {value}", "write a finite number"


def _hint(value: Any) -> str:
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
        written = f"{seconds:.0f}s" if seconds.is_integer() else f"{seconds * 1000:.0f}ms"
        return f"write {written!r}"
    if isinstance(value, bytes | bytearray):
        return "write a str"
    return "write a str, a number, or a declaration of pybolt's"
