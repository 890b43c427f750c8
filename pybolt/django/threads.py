"""Where sync code of an async handler runs, and with it the database connections.

asgiref gives all of a process's sync code one thread unless a context says otherwise, and with it
one connection and one transaction for everybody. Here a context says which request it is of, and
the request has a ``Lease`` of one thread among ``python.threads`` (``leases.py``), so nobody sees a
transaction that another request left open, and ``CONN_MAX_AGE`` and health checks hold.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from concurrent.futures import Executor
from typing import Any

import asgiref.local
from asgiref.sync import SyncToAsync

from .. import _engine
from .leases import Lease, RequestThreads

#: asgiref's variable; a request's context holds a ``RequestThread``.
request_thread = SyncToAsync.thread_sensitive_context


class Executors(weakref.WeakKeyDictionary[Any, Executor]):
    """What asgiref keeps by context, with leases of ``threads`` by request."""

    def __init__(self, others: Any, threads: RequestThreads) -> None:
        super().__init__(others)
        self.threads = threads

    def __contains__(self, context: object) -> bool:
        return isinstance(context, _engine.RequestThread) or super().__contains__(context)

    def __getitem__(self, context: Any) -> Executor:
        if not isinstance(context, _engine.RequestThread):
            return super().__getitem__(context)
        if context.ended:
            # A task that outlived its request has a thread for one call at a time.
            return Lease(self.threads, ended=True)
        lease: Executor | None = context.executor
        if lease is None:
            lease = Lease(self.threads, started=context if context.is_here() else None)
            context.keep(lease)
        return lease


#: What asgiref keeps a ``Local``'s values in: tagged with a thread, and invisible on any other.
_Storage: Any = getattr(asgiref.local, "_Storage", None)


def move_context(context: contextvars.Context, thread: int | None = None) -> None:
    """Has the ``Local`` values of ``context`` (Django's language and time zone) go on with it to
    ``thread``, the calling one where none is named: a coroutine whose first step was taken on the
    I/O thread, a stream that is produced on a thread of its own."""
    if _Storage is None:
        return
    ident = threading.get_ident() if thread is None else thread
    for value in context.values():
        if isinstance(value, _Storage):
            value.thread_id = ident


def install(limit: int) -> RequestThreads:
    """Has asgiref ask us for at most ``limit`` threads; once in a process, later calls only set
    the limit."""
    executors = SyncToAsync.context_to_thread_executor
    if not isinstance(executors, Executors):
        executors = Executors(executors, RequestThreads(limit))
        SyncToAsync.context_to_thread_executor = executors
    executors.threads.limit = limit
    return executors.threads
