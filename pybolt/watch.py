"""``--reload``: notices that a file has changed."""

from __future__ import annotations

import os
import time

from .config.options import RunOptions


class Watch:
    """Notices changes of the configuration and of Python files below the working directory."""

    SKIP = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "target"})

    def __init__(self, options: RunOptions) -> None:
        self.config = options.config
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

    def _stamps(self) -> dict[str, int]:
        paths = [] if self.config is None else [self.config]
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
