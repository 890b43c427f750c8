"""The files that a configuration is read from, and what was in them.

A supervisor keeps the contents of the version that it serves: a worker that is replaced after the
file was broken comes back with what its siblings serve.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path


class Sources:
    """Reads files, each once; with ``kept``, what these held is what they hold."""

    def __init__(self, kept: Mapping[str, bytes] | None = None) -> None:
        self.contents: dict[str, bytes] = dict(kept or {})

    def read(self, path: Path, limit: int) -> bytes:
        """At most ``limit`` bytes of ``path``, and one more where there are more. Raises
        ``OSError``."""
        name = str(path)
        if name not in self.contents:
            with path.open("rb") as file:
                self.contents[name] = file.read(limit + 1)
        return self.contents[name]

    def dump(self) -> bytes:
        """All that was read, for :meth:`parse`."""
        texts = {name: content.decode("latin-1") for name, content in self.contents.items()}
        return json.dumps(texts).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Sources:
        """What :meth:`dump` wrote."""
        texts: dict[str, str] = json.loads(raw)
        return cls({name: text.encode("latin-1") for name, text in texts.items()})
