"""A YAML file as plain data with the place of every key and value.

Strict: no tags, anchors, aliases, merge keys, duplicate keys, several documents; at most 1 MiB and
32 levels. Scalars are booleans (YAML 1.1's ``on``/``off`` too), whole numbers, decimals, nothing,
or text: no dates, octals or base-60 numbers.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .diagnostics import Diagnostic, Location, Position

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_BOOLEANS = {"true": True, "on": True, "false": False, "off": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
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


class _Loader(yaml.SafeLoader):
    """Refuses what must not be composed at all; the rest is judged on the nodes."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused("E004", "anchors and aliases are not accepted", event.start_mark)
        return super().compose_node(parent, index)


class _Refused(Exception):
    def __init__(self, code: str, message: str, mark: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.mark = code, message, mark


class Reader:
    """Reads one file as document number ``index``."""

    def __init__(self, path: Path, index: int, table: Table) -> None:
        self.path = path
        self.root: Location = (index,)
        self.table = table
        self.diagnostics: list[Diagnostic] = []

    def read(self) -> Any:
        """The data, or ``None`` with diagnostics."""
        try:
            raw = self.path.read_bytes()
        except OSError as error:
            message = f"cannot read {self.path}: {error.strerror or error}"
            self.diagnostics.append(Diagnostic("E007", message, None))
            return None
        if len(raw) > MAX_BYTES:
            self._report("E005", f"the file has {len(raw)} bytes; at most {MAX_BYTES} are read")
            return None
        try:
            node = self._compose(raw.decode())
        except UnicodeDecodeError:
            self._report("E001", "the file is not UTF-8")
            return None
        except _Refused as refused:
            self._report(refused.code, refused.message, refused.mark)
            return None
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            self._report("E001", getattr(error, "problem", None) or "not valid YAML", mark)
            return None
        if node is None:
            return {}
        self.table.values[self.root] = self._position(node)
        return self._construct(node, self.root)

    def _compose(self, text: str) -> Node | None:
        _check_depth(text)
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()

    def _construct(self, node: Node, at: Location) -> Any:
        implicit = {
            "tag:yaml.org,2002:" + name
            for name in ("map", "seq", "str", "bool", "int", "float", "null", "timestamp", "merge")
        }
        if node.tag not in implicit and node.tag != "tag:yaml.org,2002:value":
            self._report("E003", f"the tag `{node.tag}` is not accepted", node.start_mark)
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, at)
        if isinstance(node, SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                here = (*at, index)
                self.table.values[here] = self._position(item)
                items.append(self._construct(item, here))
            return items
        assert isinstance(node, ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: MappingNode, at: Location) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._report("E001", "a key must be a word", key_node.start_mark)
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                self._report("E004", "merge keys are not accepted", key_node.start_mark)
                continue
            here = (*at, key)
            if key in found:
                first = self.table.keys[here]
                self.diagnostics.append(
                    Diagnostic(
                        "E002",
                        f"the key `{key}` is there twice",
                        self._position(key_node),
                        hint="keep one of them",
                        related=((first, "the first one"),),
                    )
                )
                continue
            self.table.keys[here] = self._position(key_node)
            self.table.values[here] = self._position(value_node)
            found[key] = self._construct(value_node, here)
        return found

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        if node.style is not None or node.tag == "tag:yaml.org,2002:str":
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

    def _position(self, node: Node) -> Position:
        mark, end = node.start_mark, node.end_mark
        same = mark.line == end.line and isinstance(node, ScalarNode)
        width = end.column - mark.column if same else 1
        return Position(str(self.path), mark.line + 1, mark.column + 1, max(1, width))

    def _report(self, code: str, message: str, mark: yaml.Mark | None = None) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        position = Position(str(self.path), line, column)
        self.diagnostics.append(Diagnostic(code, message, position))


def _check_depth(text: str) -> None:
    """Counts nesting on the event stream, before anything recursive looks at it."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                message = f"nested deeper than {MAX_DEPTH} levels"
                raise _Refused("E005", message, event.start_mark)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
