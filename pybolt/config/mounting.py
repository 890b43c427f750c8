"""The Django project behind routes of a file that name nothing that answers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

#: What of a route says what answers it.
TARGETS = frozenset({"handler", "respond", "redirect", "health", "files"})


def is_mounted(routes: Iterable[tuple[dict[str, Any], str]]) -> bool:
    """Whether any of ``routes``, each with its full path, may be left to the project: the engine
    says which are."""
    answered: dict[str, set[str]] = {}
    open_routes = []
    for route, path in routes:
        methods = route.get("methods")
        names = {methods} if isinstance(methods, str) else set(map(str, methods or ()))
        if TARGETS & route.keys():
            answered.setdefault(path, set()).update(names or {"GET"})
        else:
            open_routes.append((path, names))
    return any(
        path not in answered or not names <= answered[path] | {"HEAD"}
        for path, names in open_routes
    )


def site() -> Callable[[Any], Any]:
    """What answers a request by the project's own URLs. Raises whatever its middleware and URLs
    raise when they are imported."""
    from ..django.site import Site

    return Site().answer
