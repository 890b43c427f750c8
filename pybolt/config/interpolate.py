"""``${VAR}``, ``${VAR:-default}``, ``${file:path}`` and ``$$`` in values.

After parsing, so that nothing can inject structure; once, so that nothing is expanded twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .diagnostics import Location
from .sources import Sources

MAX_FILE = 1 << 20

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?:file:(?P<file>[^}]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"(?::-(?P<default>[^}]*))?)\}|(?P<bad>\{[^}]*\}?))"
)

Report = Callable[[Location, str, str], None]


def interpolate(
    value: Any,
    at: Location,
    report: Report,
    directory: Path,
    environ: Mapping[str, str] | None = None,
    sources: Sources | None = None,
) -> Any:
    """``value`` with every reference in its strings resolved; mistakes go to ``report``. Relative
    paths begin in ``directory``."""
    environ = os.environ if environ is None else environ
    sources = Sources() if sources is None else sources

    def resolve(match: re.Match[str], at: Location) -> str:
        if match["file"]:
            return _read(directory / match["file"], at, report, sources)
        return _resolve(match, at, report, environ)

    def resolved(value: Any, at: Location) -> Any:
        if isinstance(value, dict):
            return {k: resolved(v, (*at, k)) for k, v in value.items()}
        if isinstance(value, list):
            return [resolved(v, (*at, i)) for i, v in enumerate(value)]
        if isinstance(value, str) and "$" in value:
            return _REFERENCE.sub(lambda m: resolve(m, at), value)
        return value

    return resolved(value, at)


def from_files(value: Any, at: Location) -> Iterator[Location]:
    """Where a text comes from a file, wholly or in part: what is kept apart is kept so."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from from_files(item, (*at, key))
    elif isinstance(value, str) and any(found["file"] for found in _REFERENCE.finditer(value)):
        yield at


def _resolve(
    match: re.Match[str],
    at: Location,
    report: Report,
    environ: Mapping[str, str],
) -> str:
    if match["dollar"]:
        return "$"
    if match["bad"]:
        report(at, f"`${match['bad']}` is not a reference", "write `${NAME}`, or `$$` for `$`")
        return ""
    name = match["name"]
    found = environ.get(name)
    if found is not None:
        return found
    if match["default"] is not None:
        return match["default"]
    hint = f"set it, or write `${{{name}:-default}}`"
    report(at, f"the environment variable {name} is not set", hint)
    return ""


def _read(path: Path, at: Location, report: Report, sources: Sources) -> str:
    try:
        text = sources.read(path, MAX_FILE).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        report(at, f"cannot read {path}: {reason}", "check the path and its permissions")
        return ""
    if len(text.encode()) > MAX_FILE:
        report(at, f"{path} is larger than {MAX_FILE} bytes", "a secret is a few lines")
        return ""
    return text.removesuffix("\n")
