"""A YAML file as plain data with the place of every key and value.

Built from libyaml's events in one pass, never through a loader that makes objects. Strict: no
tags, anchors, aliases, merge keys, duplicate keys, several documents; at most 1 MiB, 32 levels and
100,000 values. Scalars are booleans (YAML 1.1's ``on``/``off`` too), whole numbers, decimals,
nothing, or text: no dates, octals or base-60 numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .diagnostics import Diagnostic, Location, Position
from .sources import Sources

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 100_000
MAX_MISTAKES = 100

_BOOLEANS = {"true": True, "on": True, "false": False, "off": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
#: What YAML 1.1 calls no printable character.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+")


class Table:
    """Where every key and value stands."""

    def __init__(self) -> None:
        self.keys: dict[Location, Position] = {}
        self.values: dict[Location, Position] = {}

    def locate(self, location: Location, target: str) -> Position | None:
        """The place of ``location``, or of the nearest thing around it."""
        first, second = (self.keys, self.values) if target == "key" else (self.values, self.keys)
        while location:
            found = first.get(location) or second.get(location)
            if found is not None:
                return found
            location = location[:-1]
        return None

    def beyond(self, location: Location) -> Location:
        """What is left of ``location`` below the nearest thing whose place is known."""
        for known in range(len(location), 0, -1):
            if location[:known] in self.keys or location[:known] in self.values:
                return location[known:]
        return ()


class _Refused(Exception):
    def __init__(self, code: str, message: str, mark: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.mark = code, message, mark


class Reader:
    """Reads one file as document number ``index``."""

    def __init__(
        self, path: Path, index: int, table: Table, sources: Sources | None = None
    ) -> None:
        self.path = path
        self.sources = sources or Sources()
        self.name = str(path)
        self.root: Location = (index,)
        self.table = table
        self.diagnostics: list[Diagnostic] = []
        #: Where something is wrong already, so that nothing more is said of what is there.
        self.broken: set[Location] = set()
        self._events: Iterator[Any] = iter(())

    def read(self) -> Any:
        """The data, or ``None`` with diagnostics."""
        try:
            raw = self.sources.read(self.path, MAX_BYTES)
        except OSError as error:
            message = f"cannot read {self.path}: {error.strerror or error}"
            self.diagnostics.append(Diagnostic("E007", message, None))
            return None
        if len(raw) > MAX_BYTES:
            self._report("E005", f"the file has more than {MAX_BYTES} bytes")
            return None
        try:
            return self._document(raw.decode())
        except UnicodeDecodeError as error:
            mark = _mark(raw[: error.start].decode(errors="replace"))
            self._report("E001", "the file is not UTF-8", mark)
        except _Refused as refused:
            self._report(refused.code, refused.message, refused.mark)
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or "not valid YAML"
            # libyaml has a limit of its own, which it meets before the events of ours come.
            code = "E005" if "nesting" in problem else "E001"
            self._report(code, problem, getattr(error, "problem_mark", None))
        return None

    def _document(self, text: str) -> Any:
        odd = _UNPRINTABLE.search(text)
        if odd is not None:
            message = f"the character U+{ord(odd[0]):04X} is not accepted"
            raise _Refused("E001", message, _mark(text[: odd.start()]))
        self._events = _parse(text)
        found: Any = {}
        seen = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if seen:
                    raise _Refused("E001", "a second document begins", event.start_mark)
                seen = True
                first = next(self._events)
                self.table.values[self.root] = self._position(first)
                found = self._value(first, self.root, 1)
        # Nothing is what an empty file says.
        return {} if found is None and not self.diagnostics else found

    def _value(self, event: Any, at: Location, depth: int) -> Any:
        """What begins with ``event``: data that the tables have the places of."""
        self._look_at(event, depth)
        if len(self.table.values) > MAX_VALUES:
            message = f"the file has more than {MAX_VALUES} values"
            raise _Refused("E005", message, event.start_mark)
        if event.tag is not None:
            self._report("E003", f"the tag `{event.tag}` is not accepted", event.start_mark)
            self.broken.add(at)
            self._skip(event, depth)
            return None
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(at, depth)
        items: list[Any] = []
        for item in iter(self._next, None):
            here = (*at, len(items))
            self.table.values[here] = self._position(item)
            items.append(self._value(item, here, depth + 1))
        return items

    def _mapping(self, at: Location, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in iter(self._next, None):
            self._look_at(key, depth + 1)
            name = self._name(key, at, found)
            if name is None:
                self._skip(key, depth + 1)
                value = next(self._events)
                self._look_at(value, depth + 1)
                self._skip(value, depth + 1)
                continue
            here = (*at, name)
            value = next(self._events)
            self.table.keys[here] = self._position(key)
            self.table.values[here] = self._position(value)
            found[name] = self._value(value, here, depth + 1)
        return found

    def _name(self, key: Any, at: Location, found: dict[str, Any]) -> str | None:
        """A key that is one; anything else is reported."""
        if len(self.diagnostics) >= MAX_MISTAKES:
            raise _Refused("E005", "so many mistakes: the rest is not read", key.start_mark)
        if not isinstance(key, yaml.ScalarEvent):
            self._report("E001", "a key must be a word", key.start_mark)
        elif key.tag is not None:
            self._report("E003", f"the tag `{key.tag}` is not accepted", key.start_mark)
        elif key.value == "<<" and not key.style:
            self._report("E004", "merge keys are not accepted", key.start_mark)
        elif key.value in found:
            first = self.table.keys[(*at, key.value)]
            self.diagnostics.append(
                Diagnostic(
                    "E002",
                    f"the key `{key.value}` is there twice",
                    self._position(key),
                    hint="keep one of them",
                    related=((first, "the first one"),),
                )
            )
        else:
            name: str = key.value
            return name
        return None

    def _next(self) -> Any:
        """The next event of a collection; ``None`` at its end."""
        event = next(self._events)
        return None if isinstance(event, _ENDS) else event

    def _skip(self, event: Any, depth: int) -> None:
        """Passes over what begins with ``event``; anchors in it are refused all the same."""
        if isinstance(event, yaml.CollectionStartEvent):
            for inner in iter(self._next, None):
                self._look_at(inner, depth + 1)
                self._skip(inner, depth + 1)

    def _look_at(self, event: Any, depth: int) -> None:
        """Refuses what nothing can be made of."""
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Refused("E004", "anchors and aliases are not accepted", event.start_mark)
        if depth > MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            raise _Refused("E005", f"nested deeper than {MAX_DEPTH} levels", event.start_mark)

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.style:
            return text
        if text.lower() in _BOOLEANS and text in (text.lower(), text.title(), text.upper()):
            return _BOOLEANS[text.lower()]
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if _INTEGER.fullmatch(text):
            return int(text) if len(text) < 20 else text
        if _DECIMAL.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        return text

    def _position(self, event: Any) -> Position:
        mark, end = event.start_mark, event.end_mark
        same = mark.line == end.line and isinstance(event, yaml.ScalarEvent)
        width = end.column - mark.column if same else 1
        return Position(self.name, mark.line + 1, mark.column + 1, max(1, width))

    def _report(self, code: str, message: str, mark: Any = None) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        position = Position(self.name, line, column)
        self.diagnostics.append(Diagnostic(code, message, position))


def _parse(text: str) -> Iterator[Any]:
    # libyaml is thirty times as quick; where PyYAML was built without it, its own parser will do.
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return yaml.parse(text, Loader=loader)


def _mark(before: str) -> yaml.Mark:
    """The place after ``before``."""
    line = before.count("\n")
    column = len(before) - before.rfind("\n") - 1
    return yaml.Mark("", len(before), line, column, None, 0)
