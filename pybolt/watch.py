"""``--reload``: notices that a file has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from .config.options import RunOptions


class Watch:
    """Notices changes of the configuration, of Python files below the working directory, and of
    the files that the project was loaded from elsewhere."""

    SKIP = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "target"})

    def __init__(self, options: RunOptions, files: Sequence[str] = ()) -> None:
        self.config = options.config
        self.files = files
        self.checked = 0.0
        self.seen = self._stamps()

    def changed(self) -> bool:
        """Whether anything changed since the last look; looks twice a second at most."""
        if time.monotonic() - self.checked < 0.5:
            return False
        stamps = self._stamps()
        changed, self.seen = stamps != self.seen, stamps
        self.checked = time.monotonic()
        return changed

    def follow(self, files: Sequence[str]) -> None:
        """From now on these are the files that the project was loaded from. What has changed since
        the last look has changed still."""
        self.files = files
        self.seen = {path: self.seen.get(path, stamp) for path, stamp in self._stamps().items()}

    def _stamps(self) -> dict[str, int]:
        paths = [*self.files] if self.config is None else [self.config, *self.files]
        for directory, names, files in os.walk("."):
            names[:] = [name for name in names if name not in self.SKIP]
            paths += [
                os.path.join(directory, name)
                for name in files
                if name.endswith((".py", ".yaml", ".yml"))
            ]
        stamps = {}
        for path in paths:
            try:
                stamps[path] = os.stat(path).st_mtime_ns
            except OSError:
                continue
        return stamps
