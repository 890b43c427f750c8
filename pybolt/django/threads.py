"""The thread that sync code of an async handler runs on, and with it the database connections.

asgiref gives all of a process's sync code one thread unless a context says otherwise, and with it
one connection and one transaction for everybody. Here a request has a thread of its own from its
first ``sync_to_async`` to its answer, as under Django's ASGI handler. Then the thread's connections
are looked after and the next request gets it, so ``CONN_MAX_AGE`` and health checks hold, and
nobody sees a transaction that another request left open.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import asgiref.local
from asgiref.sync import SyncToAsync

from .. import _engine
from . import connections

#: asgiref's variable; a request's context holds a ``RequestThread``.
request_thread = SyncToAsync.thread_sensitive_context


class RequestExecutor(ThreadPoolExecutor):
    """One thread; knows whether it has anything to do."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="bolt-sync")
        self._last: Future[Any] | None = None

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As the base class's."""
        self._last = super().submit(function, *args, **kwargs)
        return self._last

    def is_busy(self) -> bool:
        """Whether what was submitted last has yet to end."""
        return self._last is not None and not self._last.done()


class Executors(weakref.WeakKeyDictionary[Any, Executor]):
    """What asgiref keeps by context, with ours by request. ``keep``: how many idle threads wait
    for the next request with their connections open."""

    def __init__(self, others: Any, keep: int) -> None:
        super().__init__(others)
        self.keep = keep
        self._idle: deque[RequestExecutor] = deque()
        self._passing = _Passing(self)

    def __contains__(self, context: object) -> bool:
        return isinstance(context, _engine.RequestThread) or super().__contains__(context)

    def __getitem__(self, context: Any) -> Executor:
        if not isinstance(context, _engine.RequestThread):
            return super().__getitem__(context)
        if context.ended:
            # A task that outlived its request.
            return self._passing
        executor: Executor | None = context.executor
        if executor is None:
            executor = self.lease()
            context.keep(executor)
        return executor

    def lease(self) -> RequestExecutor:
        """An idle thread, or a new one."""
        try:
            executor = self._idle.pop()
        except IndexError:
            return RequestExecutor()
        # What has grown old while it was idle is not handed on.
        executor.submit(connections.housekeeping)
        return executor

    def release(self, executor: RequestExecutor, done: Callable[[], None]) -> None:
        """Takes a request's thread back. ``done`` is called once its connections are in order, or
        at once where a task that the request left behind still uses them."""
        if executor.is_busy():
            done()
            done = _nothing
        try:
            executor.submit(self._take_back, executor, done)
        except RuntimeError:
            # The interpreter is ending and starts nothing any more.
            done()

    def _take_back(self, executor: RequestExecutor, done: Callable[[], None]) -> None:
        try:
            connections.housekeeping()
            if len(self._idle) < self.keep:
                self._idle.append(executor)
            else:
                connections.close_all()
                executor.shutdown(wait=False)
        finally:
            done()

    def close(self) -> None:
        """Ends the threads that are idle."""
        while self._idle:
            executor = self._idle.pop()
            executor.submit(connections.close_all)
            executor.shutdown(wait=False)


class _Passing(Executor):
    """A thread for each call: it goes back as soon as the call has ended."""

    def __init__(self, executors: Executors) -> None:
        self._executors = executors

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        executor = self._executors.lease()
        future = executor.submit(function, *args, **kwargs)
        self._executors.release(executor, _nothing)
        return future


def _nothing() -> None:
    pass


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


def install(keep: int) -> Executors:
    """Has asgiref ask us; once in a process, later calls only set how many threads are kept."""
    executors = SyncToAsync.context_to_thread_executor
    if not isinstance(executors, Executors):
        executors = Executors(executors, keep)
        SyncToAsync.context_to_thread_executor = executors
    executors.keep = keep
    return executors
