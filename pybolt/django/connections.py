"""Database connections on the engine's threads.

Django closes old connections at its request signals, which there are none of here. Instead every
query marks the run that executes it, and a thread whose run was marked looks after its
connections when the run is over: ``CONN_MAX_AGE`` and health checks hold on every lane, and a
transaction that a handler left open is rolled back before the next request sees it.
"""

from __future__ import annotations

import functools
import logging
import re
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from .. import _engine

logger = logging.getLogger("pybolt.request")

#: libpq's: a statement under way, within a transaction, within one that failed.
_IN_TRANSACTION = (1, 2, 3)

_installed = False


#: What is over with its call or its transaction; anything else may change the connection itself, as
#: do ``SET``, ``LISTEN`` and temporary tables, and as some functions that are selected.
_PASSING = re.compile(
    r"[\s(]*(SELECT|INSERT|UPDATE|DELETE|WITH|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|COMMIT)\b", re.I
)
_LASTING = re.compile("set_config|advisory|get_lock", re.I)


class _Session(threading.local):
    """This thread's connections, and what a call leaves there for the next one of its request."""

    def __init__(self) -> None:
        #: Whether the thread is lent to requests call by call.
        self.is_lent = False
        #: Those that were ever connected.
        self.connections: list[weakref.ref[Any]] = []
        #: Cursors that somebody still has: iterators that go on in another call.
        self.cursors: weakref.WeakSet[Any] = weakref.WeakSet()
        #: Whether a connection is no longer as it was made.
        self.is_changed = False
        #: How many execute wrappers connections had before they were made, by alias.
        self.blocks: dict[str, int] = {}


_session = _Session()


def install() -> None:
    """Has every connection mark the runs that use it. Idempotent."""
    global _installed
    if _installed:
        return
    from django.db.backends.signals import connection_created

    connection_created.connect(_watch, dispatch_uid="pybolt.connections")
    connection_created.connect(_see_blocks, dispatch_uid="pybolt.connections.blocks")
    # Before all others.
    connection_created.receivers.insert(0, connection_created.receivers.pop())
    _installed = True


def lend() -> None:
    """Says that this thread is lent to requests call by call: see :func:`is_in_use`."""
    if not _session.is_lent:
        _session.is_lent = True
        for connection in _connected():
            _have_marked(connection)


def _see_blocks(sender: Any, connection: Any, **kwargs: Any) -> None:
    _session.blocks[connection.alias] = len(connection.execute_wrappers)


def _watch(sender: Any, connection: Any, **kwargs: Any) -> None:
    # Connecting is touching as well: it may wait for as long as a query.
    _engine.mark_database(is_local=_is_local(connection))
    known = weakref.ref(connection)
    if known not in _session.connections:
        _session.connections[:] = [*(one for one in _session.connections if one()), known]
    _have_marked(connection, _session.blocks.pop(connection.alias, 0))


def _is_local(connection: Any) -> bool:
    return bool(connection.vendor == "sqlite")


def _have_marked(connection: Any, blocks: int = 0) -> None:
    """Adds our execute wrappers: behind those that a project gave the connection as it was made,
    whose own statements count as well, and before the first ``blocks``, which are those of blocks
    of code: the end of one takes the last away."""
    wrappers = connection.execute_wrappers
    mark: Any = _engine.mark_local_query if _is_local(connection) else _engine.mark_query
    if mark not in wrappers:
        wrappers[:] = [*wrappers[blocks:], mark, *wrappers[:blocks]]
    if _session.is_lent and _notice not in wrappers:
        wrappers.insert(wrappers.index(mark) + 1, _notice)


def _notice(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """An execute wrapper: what a later call of the request may go on with."""
    _session.cursors.add(context["cursor"])
    if not _session.is_changed:
        statement = str(sql)
        is_lasting = _known if len(statement) <= _SHORT else _is_lasting
        _session.is_changed = is_lasting(statement)
    return execute(sql, params, many, context)


def _is_lasting(statement: str) -> bool:
    return not _PASSING.match(statement) or _LASTING.search(statement) is not None


#: The same, of statements that come again: none of a length that values make.
_known = functools.lru_cache(maxsize=512)(_is_lasting)
_SHORT = 2048


def housekeeping() -> float | None:
    """Closes this thread's connections that are too old or unusable, and every open transaction.
    What fails at that is logged, and keeps no other connection from it.

    Gives the seconds until the first of the others is too old; ``None`` where none ever is."""
    if _session.is_lent:
        _session.is_changed = False
        _session.cursors.clear()
    first: float | None = None
    for connection in _connected():
        try:
            _look_after(connection)
        except Exception:
            logger.exception("looking after the connection %s failed", connection.alias)
        end = connection.close_at if connection.connection is not None else None
        if end is not None and (first is None or end < first):
            first = end
    return None if first is None else first - time.monotonic()


def _connected() -> list[Any]:
    """This thread's connections that stand."""
    return [
        one
        for known in _session.connections
        if (one := known()) is not None and one.connection is not None
    ]


def _look_after(connection: Any) -> None:
    if _has_transaction(connection):
        _abandon(connection)
    else:
        connection.close_if_unusable_or_obsolete()


def is_due() -> bool:
    """Whether this thread has a connection that is too old, or may be unusable."""
    now = time.monotonic()
    return any(
        one.errors_occurred or (one.close_at is not None and now >= one.close_at)
        for one in _connected()
    )


def is_in_use() -> bool:
    """Whether this thread has a transaction, a cursor or settings of a session that a later call
    may go on with. Where that cannot be told it has, and the log says why."""
    try:
        return bool(
            _session.is_changed or len(_session.cursors) or any(map(_has_transaction, _connected()))
        )
    except Exception:
        logger.exception("asking for open transactions failed")
        return True


def _has_transaction(connection: Any) -> bool:
    """Also one that the driver alone knows of, begun by a statement (SQLite and PostgreSQL)."""
    if connection.in_atomic_block or not connection.autocommit:
        return True
    driver = connection.connection
    # psycopg makes an object for `info` each time, psycopg2 has nothing else.
    libpq = getattr(driver, "pgconn", None) or getattr(driver, "info", None)
    status = getattr(libpq, "transaction_status", 0)
    return bool(getattr(driver, "in_transaction", False) or status in _IN_TRANSACTION)


def _abandon(connection: Any) -> None:
    """Rolls back by closing, whatever state ``atomic`` believes to be in."""
    connection.in_atomic_block = False
    connection.savepoint_ids = []
    connection.needs_rollback = False
    connection.run_on_commit = []
    connection.close()


def close_all() -> None:
    """Closes this thread's connections, at its end. What fails at that is logged."""
    from django.db import connections

    try:
        connections.close_all()
    except Exception:
        logger.exception("closing database connections failed")
