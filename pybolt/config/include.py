"""``include``: further files of a configuration, each a document of its own.

``include: [routes/*.yaml, {dangerous_outside: ../shared/auth.yaml}]``. Patterns are relative to the
file that they stand in, and what they match is read in order of its names. A file is judged by
where it really is, behind all symlinks: below the directory of the first file, or named by
``dangerous_outside``. Every pattern matches something, and no file is read twice. An included file
says ``define``, ``groups``, ``routes`` and ``include``; the server, the app and what every route
inherits stand in one place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from .diagnostics import Location
from .sources import Sources

MAX_FILES = 1000

#: What only the first file says.
_OF_THE_FIRST = ("settings", "app", "server", "defaults")


class Report(Protocol):
    """Takes a mistake."""

    def __call__(
        self,
        code: str,
        message: str,
        at: Location,
        hint: str | None = None,
        *,
        target: str = "value",
        related: tuple[tuple[Location, str], ...] = (),
    ) -> None:
        """``target``: ``key`` where the place is that of the key at ``at``."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a configuration, and where it is included from: nowhere for the first."""

    path: Path
    real: str
    at: Location = ()
    parent: File | None = None

    def ways_from(self, real: str) -> list[str]:
        """The names on the way here from the file that is ``real``; none where there is no way."""
        names: list[str] = []
        file: File | None = self
        while file is not None:
            names.insert(0, str(file.path))
            if file.real == real:
                return names
            file = file.parent
        return []


class Includes:
    """The files of a configuration: ``files`` grows while each is read and followed."""

    def __init__(self, first: Path, sources: Sources, report: Report) -> None:
        self.sources = sources
        self.report = report
        self.directory = Path(sources.place(first.parent))
        self.files = [File(first, sources.place(first))]
        #: Whether something that is included was not found, or may not be read.
        self.lacking = False
        self._known = {self.files[0].real: self.files[0]}

    def follow(self, file: File, config: Any, index: int, broken: Collection[Location]) -> None:
        """Adds what ``file``, which is document ``index``, includes. Takes out of ``config`` what
        an included file may not say."""
        if not isinstance(config, dict):
            return
        if file.parent is not None:
            self._only_of_the_first(config, index)
        written = config.get("include", [])
        for number, entry in enumerate(written if isinstance(written, list) else [None]):
            at: Location = (index, "include", number)
            outside = isinstance(entry, dict)
            if outside:
                at, entry = (*at, "dangerous_outside"), entry.get("dangerous_outside")
            if isinstance(entry, str) and at not in broken:
                self._match(file, entry, at, outside=outside)
            else:
                self.lacking = True

    def _only_of_the_first(self, config: dict[str, Any], index: int) -> None:
        first = self.files[0].path
        for key in _OF_THE_FIRST:
            if key in config:
                del config[key]
                message = f"`{key}` cannot stand in an included file"
                self.report("E180", message, (index, key), f"write it in {first}", target="key")

    def _match(self, file: File, pattern: str, at: Location, *, outside: bool) -> None:
        if "\0" in pattern or "**" in pattern:
            hint = "name each level: `routes/*/*.yaml`"
            self._failed("E181", f"{pattern!r} is not a pattern", at, hint)
            return
        try:
            found = self.sources.find(file.path.parent, pattern)
        except OSError as error:
            message = f"cannot read {error.filename}: {error.strerror}"
            self._failed("E007", message, at, "every file that a pattern matches is read")
            return
        if not found:
            hint = f"it is looked for in {file.path.parent.absolute()}"
            self._failed("E181", f"`{pattern}` matches no file", at, hint)
        for name in found:
            self._add(file, Path(name), at, outside=outside)

    def _add(self, file: File, path: Path, at: Location, *, outside: bool) -> None:
        real = self.sources.place(path)
        known = self._known.get(real)
        if not outside and self.directory not in Path(real).parents:
            shown = str(path) if real == str(path.absolute()) else f"{path} ({real})"
            message = f"{shown} lies outside the directory of the configuration"
            hint = f"move it below {self.directory}, or write `{{dangerous_outside: …}}`"
            self._failed("E182", message, at, hint)
        elif way := file.ways_from(real):
            message = f"a file includes itself: {' → '.join([*way, str(path)])}"
            self._failed("E183", message, at, "name only files that do not lead back here")
        elif known is not None:
            related = ((known.at, "included here already"),)
            message = f"{path} is included twice"
            self._failed("E184", message, at, "keep one of them", related)
        elif len(self.files) >= MAX_FILES:
            self._failed("E005", f"the configuration has more than {MAX_FILES} files", at)
        else:
            self._known[real] = File(path, real, at, file)
            self.files.append(self._known[real])

    def _failed(
        self,
        code: str,
        message: str,
        at: Location,
        hint: str | None = None,
        related: tuple[tuple[Location, str], ...] = (),
    ) -> None:
        self.lacking = True
        self.report(code, message, at, hint, related=related)
