"""What no message may show: the contents of files that values were read from, and secrets that are
written where a mistake is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .diagnostics import Location

#: Values that were read from files, wholly or in part, by their places.
Hidden = dict[Location, str]

_QUOTED = re.compile(r"`([^`]+)`")


def masked(found: list[dict[str, Any]], hidden: Mapping[Location, str]) -> list[dict[str, Any]]:
    """The engine's diagnostics, quoting nothing of a file."""
    if not hidden:
        return found
    for item in found:
        at = tuple(item["location"])
        for key in ("message", "hint"):
            item[key] = item[key] and without_contents(item[key], at, hidden)
    return found


def without_contents(text: str, at: Location, hidden: Mapping[Location, str]) -> str:
    """``text``, which speaks of ``at``, with nothing in it of what is hidden there."""
    near = [
        value
        for place, value in hidden.items()
        if value and (place[: len(at)] == at or at[: len(place)] == place)
    ]
    if not near:
        return text

    def quoted(found: re.Match[str]) -> str:
        is_part = any(found[1] in value or value in found[1] for value in near)
        return "`***`" if is_part else found[0]

    text = _QUOTED.sub(quoted, text)
    for value in near:
        text = text.replace(value, "***")
    return text
