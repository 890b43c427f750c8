"""A document as it is written: its routes, and what stands where in it.

What is malformed is skipped here; the engine tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .diagnostics import Location


def text(value: Any) -> str | None:
    """A value that is a text."""
    return value if isinstance(value, str) else None


def value_at(config: dict[str, Any], at: Location) -> Any:
    """What stands at a place of a document, whose number the place begins with."""
    found: Any = config
    for key in at[1:]:
        found = found[key]
    return found


def prefix_of(config: dict[str, Any], at: Location) -> str:
    """The prefixes of the groups that a place is in."""
    prefix, found = "", config
    for key in at[1:]:
        found = found[key]  # type: ignore[index]
        if isinstance(found, dict):
            prefix += found.get("prefix", "")
    return prefix


def routes_of(
    config: dict[str, Any], at: Location, prefix: str = ""
) -> Iterator[tuple[Location, dict[str, Any], str]]:
    """Every route of a document: place, route, full path."""
    routes = config.get("routes")
    for number, route in enumerate(routes if isinstance(routes, list) else []):
        if isinstance(route, dict):
            yield (*at, "routes", number), route, prefix + (text(route.get("path")) or "")
    groups = config.get("groups")
    for number, group in enumerate(groups if isinstance(groups, list) else []):
        if isinstance(group, dict):
            inner = prefix + (text(group.get("prefix")) or "")
            yield from routes_of(group, (*at, "groups", number), inner)


def put_roots_aside(config: dict[str, Any], at: Location) -> dict[Location, str]:
    """The directories of files by their places; what is left in their stead is there on every
    machine, so that nothing of another one, or of yesterday, is opened."""
    found = {}
    for place, route, _ in routes_of(config, at):
        files = route.get("files")
        if isinstance(files, dict) and isinstance(files.get("root"), str):
            found[(*place, "files", "root")] = files["root"]
            files["root"] = "/"
    return found


def says_what_is_logged(document: dict[str, Any]) -> bool:
    """Whether `defaults` have an access log."""
    config = document["config"]
    defaults = config.get("defaults") if isinstance(config, dict) else None
    return isinstance(defaults, dict) and "access_log" in defaults
