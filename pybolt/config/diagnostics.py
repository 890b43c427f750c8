"""Mistakes with their places, and how they are shown."""

from __future__ import annotations

import dataclasses
import linecache
import os
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .yaml import Table

Location = tuple[str | int, ...]


class Position(NamedTuple):
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
        shown["position"] = self.position and self.position._asdict()
        shown["related"] = [
            {"position": position and position._asdict(), "message": message}
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


#: A secret as it is written in a line of YAML or Python.
_SECRET = re.compile(
    r"""(?<![\w-])(?:secret|keys|htpasswd|users|password)["']?\s*[:=]\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|\[[^\]]*\]?|(?:\$\{[^}]*\}|[^\s,})\]])+)"""
)
_REFERENCES = re.compile(r"""["'\[]*\$\{[^}]*\}["'\]]*""")


def _without_secrets(line: str) -> str:
    """A line as it is, but with each secret that stands in it as so many stars."""

    def starred(found: re.Match[str]) -> str:
        value = found["value"]
        if _REFERENCES.fullmatch(value):
            return found[0]
        return found[0][: -len(value)] + "*" * len(value)

    return _SECRET.sub(starred, line)


def _excerpt(position: Position, hint: str | None) -> list[str]:
    line = linecache.getline(position.file, position.line).rstrip("\n")
    # As wide as it is: the caret stands below what it means.
    line = _PASSWORD.sub(lambda found: found[1] + "*" * len(found[2]), line)
    source = _without_secrets(line)
    if not source:
        return [f"       {hint}"] if hint else []
    lines = [f"{position.line:>5} | {source}"]
    if hint:
        indent = "".join("\t" if c == "\t" else " " for c in source[: position.column - 1])
        lines.append(f"      | {indent}{'^' * max(1, position.width)} {hint}")
    return lines


#: The password of a URL, also of one that is malformed.
_PASSWORD = re.compile(r"(://[^/@\s:]*:)(\S+)(?=@)")

#: Mistakes that an unreadable part makes of the whole: nowhere to listen, no origin, no key,
#: nothing that rules or sets anything.
_OF_THE_WHOLE = frozenset({"E040", "E060", "E071", "E072", "E130", "E133"})
#: Warnings that mean something only where all else is right.
_ONLY_IF_RIGHT = frozenset({"W050", "W094"})


def consequences_left_out(
    found: list[dict[str, Any]], broken: Collection[Location], *, incomplete: bool, lacking: bool
) -> list[dict[str, Any]]:
    """The engine's diagnostics without those that only follow from other mistakes.

    ``broken``: places that are known to be wrong; ``incomplete``: whether a document is missing;
    ``lacking``: whether it may have defined something.
    """
    wrong = set(broken)
    kept: list[dict[str, Any]] = []
    for item in found:
        at, code = tuple(item["location"]), item["code"]
        warns = item["severity"] == "warning"
        follows = (
            any(at[: len(place)] == place for place in broken)
            or (code in _OF_THE_WHOLE and any(place[: len(at)] == at for place in wrong - {at}))
            or (incomplete and (warns or code == "E052"))
            or (lacking and code == "E020")
        )
        if not follows:
            kept.append(item)
            if not warns:
                wrong.add(at)
    return [item for item in kept if not (wrong and item["code"] in _ONLY_IF_RIGHT)]


def from_engine(found: list[dict[str, Any]], table: Table) -> list[Diagnostic]:
    """The engine's diagnostics with their places looked up."""
    return [
        Diagnostic(
            code=item["code"],
            message=in_full(item["message"], table.beyond(tuple(item["location"]))),
            position=table.locate(tuple(item["location"]), item["target"]),
            hint=item["hint"],
            severity=item["severity"],
            related=tuple(
                (table.locate(tuple(other["location"]), "key"), other["message"])
                for other in item["related"]
            ),
        )
        for item in found
    ]


def in_full(message: str, beyond: Location) -> str:
    """Names the option that ``message`` speaks of where its place is only near it: a declaration
    in Python is one line, whatever it says."""
    option = ""
    for part in beyond:
        option += f"[{part}]" if isinstance(part, int) else f".{part}" if option else part
    named = any(f"`{name}`" in message for name in (option, *beyond[-1:]))
    return message if named or not option else f"{option}: {message}"


def render(diagnostics: Sequence[Diagnostic], *, strict: bool = False) -> str:
    """All of them, by place, with a count at the end."""

    def order(item: Diagnostic) -> tuple[str, int, int]:
        place = item.position
        return (place.file, place.line, place.column) if place else ("", 0, 0)

    lines = [item.render() for item in sorted(diagnostics, key=order)]
    errors = sum(1 for item in diagnostics if item.is_error or strict)
    warnings = len(diagnostics) - errors
    if errors:
        lines.append(f"{count(errors, 'error')}; nothing was started")
    elif warnings:
        lines.append(count(warnings, "warning"))
    return "\n".join(lines)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
