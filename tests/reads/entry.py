"""Querysets as a route declares them, and with the values of a request in them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from pybolt import Param

from .models import Book


@dataclasses.dataclass(frozen=True)
class Entry:
    """``make`` is called with what gives a parameter's place: a :class:`Param`, or the value.

    ``tiers``: on SQLite and on PostgreSQL; ``reasons``: a part of why not 1.
    """

    make: Callable[[Any], Any]
    url: str = ""
    tiers: tuple[int, int] = (1, 1)
    reasons: tuple[str, str] = ("", "")


def books(p=None):
    return Book.objects.order_by("id")


PYTHON = "which Django wrote in Python"
DEPENDS = "its SQL depends on a parameter's value"
ELSE = "Django makes something else of a parameter's value"
EMPTY = "Django knows without asking"
EXPRESSION = "a parameter stands in an expression"


class Declared:
    """Gives parameters."""

    def __call__(self, name: str, value: Any, **options: Any) -> Any:
        kind = type(value)
        if kind is list:
            kind = list[type(value[0])]
        return Param.query(name, kind, **options)


class Real:
    """Gives values."""

    def __call__(self, name: str, value: Any, **options: Any) -> Any:
        return value
