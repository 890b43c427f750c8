"""The URLs of the Django project beside the routes that cover them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ..bootstrap import is_attached
from ..config import LoadedConfig
from ..config.importing import ImportFailed, explained
from ..django.urls import ProjectURL, project_urls

#: What a URL may be asked with, and so how it may be covered.
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
#: `check` lists no more than so many.
_LISTED = 20


@dataclasses.dataclass(frozen=True)
class Covered:
    """A URL of the project with the routes that have its paths, in the order of their methods."""

    url: ProjectURL
    routes: list[dict[str, Any]]


def urls(loaded: LoadedConfig) -> list[Covered]:
    """Every URL of the project; none where there is no project.

    Raises :class:`ImportFailed` where its URLs cannot be imported.
    """
    from .. import _engine

    if not is_attached(loaded.settings):
        return []
    with explained("importing the URLs of the project"):
        found = project_urls()
    routes = loaded.routes
    asked = [(method, url.sample) for url in found for method in _METHODS]
    numbers = iter(_engine.matches(loaded.wire, asked))
    covered = []
    for url in found:
        hit = dict.fromkeys(n for n in (next(numbers) for _ in _METHODS) if n is not None)
        covered.append(Covered(url, [routes[number] for number in hit]))
    return covered


def uncovered(loaded: LoadedConfig) -> list[str]:
    """What `check` says of the URLs that no route covers."""
    try:
        left = [one.url for one in urls(loaded) if not one.routes]
    except ImportFailed as error:
        return [f"the URLs of the Django project were not looked at: {error.message}"]
    if not left:
        return []
    lines = [f"  {url.pattern}  {url.name or url.view}" for url in left[:_LISTED]]
    if left[_LISTED:]:
        lines.append(f"  and {len(left) - _LISTED} more: bolt routes --django")
    what = "1 URL" if len(left) == 1 else f"{len(left)} URLs"
    return [f"{what} of the Django project that no route covers", *lines]


def rows(found: list[Covered]) -> list[tuple[str, ...]]:
    """The table of `routes --django`."""
    table: list[tuple[str, ...]] = [("URL", "NAME", "VIEW", "ROUTE", "AUTH")]
    for one in found:
        routes = "; ".join(dict.fromkeys(map(_route, one.routes)))
        auth = "; ".join(dict.fromkeys(route["auth"] for route in one.routes))
        table.append((one.url.pattern, one.url.name or "", one.url.view, routes or "none", auth))
    return table


def _route(route: dict[str, Any]) -> str:
    """A route in few words: where it is not Django that answers, also what does."""
    path: str = route["path"]
    return path if route["is_django"] else f"{path} by {route['handler'] or route['answer']}"
