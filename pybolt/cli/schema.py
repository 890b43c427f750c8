"""``schema``: the JSON Schema for editors and other programs."""

from __future__ import annotations

import sys
from pathlib import Path

from ..config import schema


def run(file: str, *, write: bool, check: bool) -> int:
    """Prints the schema, writes it to ``file``, or tells whether the file has it."""
    current = schema.text()
    path = Path(file)
    try:
        if write:
            path.write_text(current, encoding="utf-8")
        elif not check:
            sys.stdout.write(current)
        elif path.read_text(encoding="utf-8") != current:
            return _complain(f"{file} is not current: `bolt schema --write {file}`", 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        return _complain(f"{file}: {reason}", 1)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"bolt schema: {message}", file=sys.stderr)
    return code
