"""Handlers below a prefix that they do not see: ``rewrite: {strip_prefix: ...}``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def mounted(handler: Callable[..., Any], script_name: str) -> Callable[..., Any]:
    """``handler`` with Django's ``reverse()`` putting ``script_name`` before every path.

    Django keeps the prefix by context, and every request has a context of its own: it is never
    seen by another, and lasts to the last chunk of a stream.
    """
    from django.urls import set_script_prefix

    prefix = f"{script_name}/"

    @functools.wraps(handler, updated=())
    def run(request: Any) -> Any:
        set_script_prefix(prefix)
        return handler(request)

    return run
