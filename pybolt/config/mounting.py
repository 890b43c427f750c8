"""The Django project behind routes of a file that name nothing that answers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .importing import explained
from .written import routes_of

#: What of a route says what answers it.
TARGETS = frozenset({"handler", "query", "respond", "redirect", "health", "files"})
#: What the engine hears of a project whose code is not asked for.
UNASKED = "django"


def project(
    documents: list[dict[str, Any]],
    settings: str | None,
    callables: list[Callable[..., Any]],
    *,
    made: bool,
) -> dict[str, Any] | str | None:
    """What the engine hears of the project that answers routes which name nothing else; ``None``
    where there is none, or no such route. What calls it is added to ``callables``, if it is
    ``made``.

    Raises :class:`ImportFailed` where its middleware or URLs cannot be imported.
    """
    from ..bootstrap import is_attached

    if not is_attached(settings) or not _is_mounted(documents):
        return None
    if not made:
        return UNASKED
    with explained("loading the middleware and the URLs of the project"):
        from ..django.site import Site

        callables.append(Site().answer)
    return {
        "index": len(callables) - 1,
        "name": "django",
        "is_async": False,
        "awaits": True,
        "request_body": "buffer",
    }


def _is_mounted(documents: list[dict[str, Any]]) -> bool:
    """Whether any route may be left to the project: the engine says which are."""
    answered: dict[str, set[str]] = {}
    open_routes = []
    configs = [one["config"] for one in documents if isinstance(one["config"], dict)]
    for _, route, path in (found for config in configs for found in routes_of(config, ())):
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
