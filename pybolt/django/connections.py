"""Database connections on the engine's threads.

Django closes old connections at its request signals, which there are none of here. Instead every
query marks the run that executes it, and a thread whose run was marked looks after its
connections when the run is over: ``CONN_MAX_AGE`` and health checks hold on every lane, and a
transaction that a handler left open is rolled back before the next request sees it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("pybolt.request")

_installed = False


class _Cursors(threading.local):
    """Of this thread, for as long as anybody has them: an iterator that goes on in another call."""

    def __init__(self) -> None:
        self.kept: weakref.WeakSet[Any] = weakref.WeakSet()


_cursors = _Cursors()


def install() -> None:
    """Has every connection mark the runs that use it. Idempotent."""
    global _installed
    if _installed:
        return
    from django.db.backends.signals import connection_created

    connection_created.connect(_watch, dispatch_uid="pybolt.connections")
    _installed = True


def _watch(sender: Any, connection: Any, **kwargs: Any) -> None:
    from .. import _engine

    # Connecting is touching as well: it may wait for as long as a query.
    _engine.mark_database()
    if _mark not in connection.execute_wrappers:
        connection.execute_wrappers.append(_mark)


def _mark(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    from .. import _engine

    _engine.mark_database()
    _cursors.kept.add(context["cursor"])
    return execute(sql, params, many, context)


def housekeeping() -> None:
    """Closes this thread's connections that are too old or unusable, and every open transaction.
    What fails at that is logged, and keeps no other connection from it."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        try:
            _look_after(connection)
        except Exception:
            logger.exception("looking after the connection %s failed", connection.alias)


def _look_after(connection: Any) -> None:
    if connection.connection is None:
        return
    if _has_transaction(connection):
        _abandon(connection)
    else:
        connection.close_if_unusable_or_obsolete()


def is_open() -> bool:
    """Whether this thread has a transaction or a cursor that a later call may go on with. Where
    that cannot be told it has, and the log says why."""
    from django.db import connections

    try:
        return len(_cursors.kept) > 0 or any(
            connection.connection is not None and _has_transaction(connection)
            for connection in connections.all(initialized_only=True)
        )
    except Exception:
        logger.exception("asking for open transactions failed")
        return True


def _has_transaction(connection: Any) -> bool:
    return bool(connection.in_atomic_block or not connection.get_autocommit())


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
