"""Where sync code of an async handler runs, and with it the database connections.

asgiref gives all of a process's sync code one thread unless a context says otherwise, and with it
one connection and one transaction for everybody. Here a context says which request it is of, and
the request has a ``Lease`` of one thread among ``python.threads`` (``leases.py``), so nobody sees a
transaction that another request left open, and ``CONN_MAX_AGE`` and health checks hold.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import weakref
from concurrent.futures import Executor
from typing import Any

import asgiref.local
from asgiref.sync import SyncToAsync

from .. import _engine
from ..loop import TASK_NAME
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
            lease = Lease(self.threads, lane=context.lane)
            context.keep(lease)
        return lease


def _here(call: Any) -> Any:
    """``SyncToAsync.__call__``, but that it calls at once on a lane's thread that starts the
    request's coroutine. What asgiref does to have the context there and back is not needed then."""

    @functools.wraps(call)
    async def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        request: Any = request_thread.get(None)
        if type(request) is not _engine.RequestThread or not request.may_call(self):
            return await call(self, *args, **kwargs)
        task: Any = asyncio.current_task()
        # Tasks that it has made have the context as well, and may begin here.
        if task is None or task.get_name() != TASK_NAME:
            return await call(self, *args, **kwargs)
        if _is_cancelled(request, task):
            await asyncio.sleep(0)
            return await call(self, *args, **kwargs)
        try:
            return request.outside(functools.partial(self.func, *args, **kwargs))
        finally:
            if _is_cancelled(request, task):
                await asyncio.sleep(0)

    return called


def _is_cancelled(request: Any, task: Any) -> bool:
    """Whether the next step of the request's ``task``, which the loop takes, is to raise: somebody
    cancelled it during its first, or nobody waits for the request any more."""
    if request.take_cancellation():
        task.cancel()
    return bool(task._must_cancel)


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
        SyncToAsync.__call__ = _here(SyncToAsync.__call__)  # type: ignore[method-assign]
    executors.threads.limit = limit
    return executors.threads
