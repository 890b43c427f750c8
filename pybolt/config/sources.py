"""The files that a configuration is read from, and what was in them.

A supervisor keeps the contents of the version that it serves: a worker that is replaced after the
file was broken comes back with what its siblings serve. What a pattern matched and where a file
really was is kept too.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_WILD = re.compile(r"[*?\[]")


class Sources:
    """Reads files, each once; with ``kept``, what these held is what they hold."""

    def __init__(self, kept: Mapping[str, bytes] | None = None) -> None:
        self.contents: dict[str, bytes] = dict(kept or {})
        #: What patterns matched, by the directory that they are relative to and the pattern.
        self.found: dict[tuple[str, str], list[str]] = {}
        #: Where files and directories really are.
        self.places: dict[str, str] = {}

    def read(self, path: Path, limit: int) -> bytes:
        """At most ``limit`` bytes of ``path``, and one more where there are more; of the file that
        :meth:`place` found, if it was asked. Raises ``OSError``."""
        name = str(path)
        if name not in self.contents:
            with Path(self.places.get(name, name)).open("rb") as file:
                self.contents[name] = file.read(limit + 1)
        return self.contents[name]

    def find(self, directory: Path, pattern: str) -> list[str]:
        """What :func:`matches` finds, sorted."""
        key = (str(directory), pattern)
        if key not in self.found:
            self.found[key] = sorted(matches(directory, pattern))
        return self.found[key]

    def place(self, path: Path) -> str:
        """Where ``path`` really is, behind all symlinks."""
        name = str(path)
        if name not in self.places:
            self.places[name] = os.path.realpath(path)
        return self.places[name]

    def dump(self) -> bytes:
        """All that was read, for :meth:`parse`."""
        texts = {name: content.decode("latin-1") for name, content in self.contents.items()}
        found = [[*key, names] for key, names in self.found.items()]
        return json.dumps({"contents": texts, "found": found, "places": self.places}).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Sources:
        """What :meth:`dump` wrote."""
        kept = json.loads(raw)
        texts: dict[str, str] = kept["contents"]
        sources = cls({name: text.encode("latin-1") for name, text in texts.items()})
        sources.found = {(at, pattern): names for at, pattern, names in kept["found"]}
        sources.places = kept["places"]
        return sources


def matches(directory: Path, pattern: str) -> set[str]:
    """The regular files that ``pattern`` (``*``, ``?``, ``[…]``) matches, seen from ``directory``.

    Names with a dot at their beginning are matched by patterns with one. Raises ``OSError`` where
    something that is matched cannot be looked at: what is there must not go unread.
    """
    return {str(path) for path in _matches(directory, Path(pattern).parts)}


def _matches(directory: Path, parts: Sequence[str]) -> Iterator[Path]:
    if not parts:
        return
    part, rest = parts[0], parts[1:]
    if _WILD.search(part):
        names = [name for name in os.listdir(directory) if _is_meant(name, part)]
        found = [(path, path.stat().st_mode) for path in (directory / name for name in names)]
    else:
        try:
            found = [(directory / part, (directory / part).stat().st_mode)]
        except (FileNotFoundError, NotADirectoryError):
            return
    for path, mode in found:
        if not _is_text(path.name):
            raise OSError(errno.EILSEQ, "its name is not UTF-8", ascii(str(path)))
        if not rest and stat.S_ISREG(mode):
            yield path
        elif rest and stat.S_ISDIR(mode):
            yield from _matches(path, rest)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_meant(name: str, part: str) -> bool:
    return fnmatch.fnmatchcase(name, part) and name.startswith(".") <= part.startswith(".")
