"""``ATOMIC_REQUESTS``: a handler's run is a transaction, as a view's is in Django."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..exceptions import DeclarationError
from ..routing import is_async


def atomic_requests(handler: Callable[..., Any]) -> Callable[..., Any]:
    """``handler`` in a transaction of every database with ``ATOMIC_REQUESTS``, less those that
    ``@transaction.non_atomic_requests`` names; untouched where there is none.

    What it raises rolls back. Raises :class:`DeclarationError` for an async handler.
    """
    from django.conf import settings
    from django.db import connections, transaction

    if not settings.configured:
        return handler
    exempt = getattr(handler, "_non_atomic_requests", ())
    aliases = [
        alias
        for alias, options in connections.settings.items()
        if options["ATOMIC_REQUESTS"] and alias not in exempt
    ]
    if not aliases:
        return handler
    is_local = all(connections[alias].vendor == "sqlite" for alias in aliases)
    if is_async(handler):
        raise DeclarationError(
            f"ATOMIC_REQUESTS of the database `{aliases[0]}` cannot hold for an async handler",
            "write `def`, or put `@transaction.non_atomic_requests` below the route's decorator",
        )
    atomic = functools.reduce(
        lambda inner, alias: transaction.atomic(using=alias)(inner), aliases, handler
    )

    @functools.wraps(handler, updated=())
    def run(*args: Any, **kwargs: Any) -> Any:
        from .. import _engine

        # A transaction that comes to nothing executes nothing, and is to be noticed all the same.
        _engine.mark_database(is_local=is_local)
        return atomic(*args, **kwargs)

    return run
