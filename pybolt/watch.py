"""``--watch`` and ``--reload``: notice that a file has changed."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Literal, Self

from .config.options import RunOptions
from .config.sources import matches


class Watch:
    """Notices changes of the files that the configuration was read from or would be now and,
    where ``code`` is watched too, of Python and YAML files below the working directory and of the
    files that the project was loaded from elsewhere."""

    SKIP = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "target"})

    def __init__(self, summary: dict[str, Any], *, code: bool) -> None:
        self.code = code
        self.summary = summary
        self.checked = 0.0
        self.config: set[str] = set()
        self.seen = self._stamps()

    @classmethod
    def of(cls, options: RunOptions, summary: dict[str, Any]) -> Self | None:
        """What ``options`` want watched."""
        if not (options.reload or options.watch):
            return None
        return cls(summary, code=options.reload)

    def changed(self) -> Literal["config", "code"] | None:
        """What has changed since the last look, if anything; looks twice a second at most."""
        if time.monotonic() - self.checked < 0.5:
            return None
        before, config = self.seen, self.config
        self.seen = self._stamps()
        self.checked = time.monotonic()
        changed = {path for path, _ in before.items() ^ self.seen.items()}
        if not changed:
            return None
        return "config" if changed <= config | self.config else "code"

    def follow(self, summary: dict[str, Any]) -> None:
        """From now on this is what is served. What has changed since the last look has changed
        still."""
        self.summary = summary
        self.seen = {path: self.seen.get(path, stamp) for path, stamp in self._stamps().items()}

    def _stamps(self) -> dict[str, tuple[int, int]]:
        self.config = self._of_the_configuration()
        paths = set(self.config)
        if self.code:
            paths |= set(self.summary["files"])
            known = {os.path.realpath(path) for path in paths}
            paths |= {path for path in self._below() if os.path.realpath(path) not in known}
        stamps = {}
        for path in paths:
            try:
                found = os.stat(path)
            except OSError:
                continue
            # A file that is replaced may have the time of the one before.
            stamps[path] = (found.st_mtime_ns, found.st_ino)
        return stamps

    def _of_the_configuration(self) -> set[str]:
        found = set(self.summary["config_files"])
        for directory, pattern in self.summary["config_patterns"]:
            # What cannot be looked at is told of when the files are read.
            with contextlib.suppress(OSError):
                found |= matches(Path(directory), pattern)
        return found

    def _below(self) -> set[str]:
        found = set()
        for directory, names, files in os.walk("."):
            names[:] = [name for name in names if name not in self.SKIP]
            found |= {
                os.path.join(directory, name)
                for name in files
                if name.endswith((".py", ".yaml", ".yml"))
            }
        return found
