"""Django's settings of a database as the engine reads them."""

from __future__ import annotations

from typing import Any


class Unsupported(Exception):
    """A database that Rust does not connect to as Django does; the message says why."""


def database(alias: str) -> dict[str, Any]:
    """The database ``alias`` on the wire. Raises :class:`Unsupported`."""
    return {}
