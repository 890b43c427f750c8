"""Mistakes with their places, and how they are shown."""

from __future__ import annotations

import dataclasses
import json
import linecache
import os
from collections.abc import Callable, Sequence
from typing import Any

Location = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True)
class Position:
    """A place in a file; line and column count from 1, ``width`` is in characters."""

    file: str
    line: int
    column: int = 1
    width: int = 1

    def __str__(self) -> str:
        return f"{_relative(self.file)}:{self.line}:{self.column}"


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One mistake: code, what, where, how to fix it, other places."""

    code: str
    message: str
    position: Position | None
    hint: str | None = None
    severity: str = "error"
    related: tuple[tuple[Position | None, str], ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether it stops the start."""
        return self.severity == "error"

    def to_json(self) -> dict[str, Any]:
        """As ``--format json`` shows it."""
        shown = dataclasses.asdict(self)
        shown["related"] = [
            {"position": position and dataclasses.asdict(position), "message": message}
            for position, message in self.related
        ]
        return shown

    def render(self) -> str:
        """The lines that a person reads."""
        where = f"{self.position} " if self.position else ""
        lines = [f"{where}{self.severity}[{self.code}]: {self.message}"]
        if self.position is not None:
            lines += _excerpt(self.position, self.hint)
        elif self.hint:
            lines.append(f"       {self.hint}")
        for position, message in self.related:
            if position is not None:
                lines.append(f"{position} {message}")
                lines += _excerpt(position, None)
        return "\n".join(lines)


def _relative(file: str) -> str:
    try:
        relative = os.path.relpath(file)
    except ValueError:
        return file
    return file if relative.startswith("..") else relative


def _excerpt(position: Position, hint: str | None) -> list[str]:
    source = linecache.getline(position.file, position.line).rstrip("\n")
    if not source:
        return [f"       {hint}"] if hint else []
    lines = [f"{position.line:>5} | {source}"]
    if hint:
        indent = "".join("\t" if c == "\t" else " " for c in source[: position.column - 1])
        lines.append(f"      | {indent}{'^' * max(1, position.width)} {hint}")
    return lines


def from_engine(found: str, locate: Callable[[Location, str], Position | None]) -> list[Diagnostic]:
    """The engine's diagnostics with their places looked up."""
    return [
        Diagnostic(
            code=item["code"],
            message=item["message"],
            position=locate(tuple(item["location"]), item["target"]),
            hint=item["hint"],
            severity=item["severity"],
            related=tuple(
                (locate(tuple(other["location"]), "key"), other["message"])
                for other in item["related"]
            ),
        )
        for item in json.loads(found)
    ]


def render(diagnostics: Sequence[Diagnostic], *, strict: bool = False) -> str:
    """All of them, by place, with a count at the end."""

    def order(item: Diagnostic) -> tuple[str, int, int]:
        place = item.position
        return (place.file, place.line, place.column) if place else ("", 0, 0)

    lines = [item.render() for item in sorted(diagnostics, key=order)]
    errors = sum(1 for item in diagnostics if item.is_error or strict)
    warnings = len(diagnostics) - errors
    if errors:
        lines.append(f"{_count(errors, 'error')}; nothing was started")
    elif warnings:
        lines.append(_count(warnings, "warning"))
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
