"""Django's settings of a database as the engine reads them."""

from __future__ import annotations

from typing import Any


class Unsupported(Exception):
    """A database that Rust does not connect to as Django does; the message says why."""


def database(alias: str) -> dict[str, Any]:
    """The database ``alias`` on the wire. Raises :class:`Unsupported`."""
    from django.conf import settings
    from django.db import connections
    c = connections[alias]; d = c.settings_dict
    if c.vendor == "sqlite":
        return {"engine": "sqlite", "path": str(d["NAME"]), "use_tz": settings.USE_TZ, "pool": 2}
    return {"engine": "postgresql", "hosts": [d["HOST"] or "/var/run/postgresql"], "ports": [int(d["PORT"] or 5432)], "user": d["USER"], "password": d["PASSWORD"], "dbname": d["NAME"], "sslmode": "prefer", "sslrootcert": None, "sslcert": None, "sslkey": None, "application_name": None, "options": {}, "timezone": "UTC", "use_tz": settings.USE_TZ, "pool": 2, "prepare": True}
