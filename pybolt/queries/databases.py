"""Django's settings of a database as the engine reads them."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections

from .conninfo import NotFound, password, resolved, session

#: Connections of a worker, unless the project's pool says otherwise.
POOL = 2
_POSTGRES, _SQLITE = "django.db.backends.postgresql", "django.db.backends.sqlite3"
#: What of a connection says nothing of its answers, or is the engine's own to decide.
_OF_NO_MATTER = frozenset(
    {
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "prepare_threshold",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
#: What is as it would be without it.
_AS_USUAL = {
    "channel_binding": {"prefer", "disable"},
    "client_encoding": {"UTF8", "utf8", "UTF-8", "utf-8"},
    "load_balance_hosts": {"disable"},
    "sslnegotiation": {"postgres"},
    "target_session_attrs": {"any"},
}
_KNOWN = frozenset(
    [
        "host",
        "port",
        "dbname",
        "user",
        "password",
        "passfile",
        "options",
        "application_name",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
    ]
)
#: What may be set for a SQLite connection without its answers being others.
_PRAGMAS = frozenset(
    [
        "auto_vacuum",
        "busy_timeout",
        "cache_size",
        "foreign_keys",
        "journal_mode",
        "journal_size_limit",
        "mmap_size",
        "optimize",
        "page_size",
        "synchronous",
        "temp_store",
        "threads",
        "wal_autocheckpoint",
    ]
)
_PRAGMA = re.compile(r"PRAGMA\s+(\w+)\b.*", re.IGNORECASE | re.DOTALL)


class Unsupported(Exception):
    """A database that Rust does not read as Django does; the message says why."""


def database(alias: str) -> dict[str, Any]:
    """The database ``alias`` on the wire. Raises :class:`Unsupported`."""
    connection = connections[alias]
    engine = connection.settings_dict["ENGINE"]
    if engine == _POSTGRES:
        if connection.Database.__name__ != "psycopg":
            raise Unsupported("the driver is psycopg2, whose rules are others")
        return _postgresql(connection)
    if engine == _SQLITE:
        return _sqlite(connection)
    raise Unsupported(f"the database engine is {engine}")


@functools.cache
def _is_one_library() -> bool:
    """Whether the engine reads with the very library that ``sqlite3`` has loaded: its databases in
    memory are seen there. POSIX locks are a process's, so two copies would not see each other's
    (https://www.sqlite.org/howtocorrupt.html, 2.2.1)."""
    import sqlite3

    from .. import _engine

    uri = f"file:/pybolt-{os.getpid()}?vfs=memdb"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.execute("CREATE TABLE seen (id INTEGER)")
        return _engine.sees_sqlite(uri, "seen")


def _sqlite(connection: Any) -> dict[str, Any]:
    if connection.is_in_memory_db():
        raise Unsupported("the database is in memory, where nobody else sees it")
    name = str(connection.settings_dict["NAME"])
    if name.startswith("file:"):
        raise Unsupported("the database is named by a URI")
    options = connection.settings_dict["OPTIONS"]
    strange = options.keys() - {"timeout", "transaction_mode", "init_command", "check_same_thread"}
    if strange:
        raise Unsupported(f"the database has the option `{min(strange)}`")
    for command in filter(None, map(str.strip, options.get("init_command", "").split(";"))):
        pragma = _PRAGMA.fullmatch(command)
        if pragma is None or pragma[1].lower() not in _PRAGMAS:
            raise Unsupported("the database has an `init_command` that may change its answers")
    path = str(Path(name).absolute())
    if not _is_one_library():
        raise Unsupported("Python has a SQLite of its own, and two would break each other's locks")
    return {"engine": "sqlite", "path": path, "use_tz": settings.USE_TZ, "pool": POOL}


def _postgresql(connection: Any) -> dict[str, Any]:
    told = connection.settings_dict
    given = dict(told["OPTIONS"])
    for option in ("assume_role", "isolation_level", "server_side_binding"):
        if given.pop(option, None):
            raise Unsupported(f"the database has the option `{option}`")
    pool = _pool_size(given.pop("pool", None))
    name = "postgres" if told["NAME"] is None else told["NAME"]
    own = {"dbname": name, "user": told["USER"], "password": told["PASSWORD"]}
    own |= {"host": told["HOST"], "port": told["PORT"]}
    given |= {key: value for key, value in own.items() if value}
    try:
        found = resolved({key: str(value) for key, value in given.items() if value is not None})
        options = session(found.get("options", ""))
    except NotFound as error:
        raise Unsupported(str(error)) from None
    _judge(found)
    hosts, ports = _places(found)
    return {
        "engine": "postgresql",
        "hosts": hosts,
        "ports": ports,
        "user": found["user"],
        "password": found.get("password") or _password(found, hosts, ports),
        "dbname": found["dbname"],
        "sslmode": _sslmode(found),
        "sslrootcert": found.get("sslrootcert"),
        "sslcert": found.get("sslcert"),
        "sslkey": found.get("sslkey"),
        "application_name": found.get("application_name"),
        "options": options,
        "timezone": connection.timezone_name,
        "use_tz": settings.USE_TZ,
        "pool": pool,
        # Who has no cursors of the server's sits behind a pooler, which knows no statements either.
        "prepare": not told.get("DISABLE_SERVER_SIDE_CURSORS", False),
    }


def _pool_size(pool: Any) -> int:
    if not isinstance(pool, dict):
        return POOL
    return int(pool.get("max_size") or pool.get("min_size") or POOL)


def _judge(found: Mapping[str, str]) -> None:
    if found.get("sslrootcert") == "system":
        raise Unsupported("the connection trusts the system's certificates")
    for option in sorted(found.keys() - _KNOWN - _OF_NO_MATTER):
        if found[option] not in _AS_USUAL.get(option, ()):
            raise Unsupported(f"the connection has the option `{option}`")


def _sslmode(found: Mapping[str, str]) -> str:
    mode = found.get("sslmode", "prefer")
    # As libpq takes it, where there is somebody to trust.
    return "verify-ca" if mode == "require" and found.get("sslrootcert") else mode


def _places(found: Mapping[str, str]) -> tuple[list[str], list[int]]:
    hosts, ports = found["host"].split(","), found["port"].split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts) or not all(port.isdecimal() for port in ports):
        raise Unsupported("the connection has other numbers of hosts and of ports")
    return hosts, list(map(int, ports))


def _password(found: Mapping[str, str], hosts: list[str], ports: list[int]) -> str:
    said = {
        password(host, str(port), found["dbname"], found["user"], found.get("passfile"))
        for host, port in zip(hosts, ports, strict=True)
    }
    if len(said) > 1:
        raise Unsupported("the password file has another password for each host")
    return said.pop() or ""
