"""The threads that sync code of async handlers runs on: so many and no more, lent to requests.

A request's calls run one after the other, on one thread. It is lent with the first of them and goes
back with the request's answer, once its connections are in order: at once, where they were so after
the last call. Where all are lent, one that has no call under way, and whose connections are as the
next call would find them anywhere, goes to the next request that needs it, and its own gets another
with its next call. Where there is none of these either, requests wait, in the order in which they
asked.

A request whose coroutine a lane's thread starts has that thread meanwhile, and its calls are made
there and then. The lane gets it back when the coroutine waits for anything else, unless calls wait
for it or its connections are not as the next call would find them anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from asgiref.sync import SyncToAsync

from . import connections

if TYPE_CHECKING:
    from .._engine import RequestThread


class Call(Protocol):
    """A call, and what comes of it."""

    def run(self) -> None:
        """Makes it, unless nobody waits for it any more."""

    def done(self) -> bool:
        """Whether it was made, or is not to be."""


class _Submitted(Future[Any]):
    """A call for whoever waits on a thread, or on a loop that is not the worker's."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__()
        self._function: Callable[[], Any] | None = function

    def run(self) -> None:
        function, self._function = self._function, None
        if function is None or not self.set_running_or_notify_cancel():
            return
        try:
            result = function()
        except BaseException as error:
            self.set_exception(error)
            # The traceback refers to this frame.
            del self
        else:
            self.set_result(result)


class _Awaited:
    """A call for a future of the worker's loop: what ``run_in_executor`` gives, without the locks
    of a future that threads wait for."""

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        #: Until the call begins, or is not to be made any more.
        self._function: Callable[[], Any] | None = function
        self._loop = loop
        self._is_over = False

    def run(self) -> None:
        function, self._function = self._function, None
        if function is not None and not self.future.cancelled():
            self._call(function)
        self._is_over = True

    def _call(self, function: Callable[[], Any]) -> None:
        settle: Callable[[Any], None]
        try:
            result = function()
            settle = self.future.set_result
        except BaseException as error:
            result = error
            settle = self.future.set_exception
            if isinstance(error, StopIteration):
                # No coroutine can have it.
                result = RuntimeError("a sync call raised StopIteration")
                result.__cause__ = error
        # Where the loop has ended, nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_settle, self.future, settle, result)
        # The traceback of an exception refers to this frame.
        del self, settle, result

    def done(self) -> bool:
        return self._is_over or (self._function is not None and self.future.cancelled())


def _settle(future: asyncio.Future[Any], settle: Callable[[Any], None], result: Any) -> None:
    if not future.done():
        settle(result)


class Lease(Executor):
    """One request's: its calls, and the thread that is lent to it. ``ended``: the request is over,
    and the thread goes back when the calls have been made. ``lane``: what starts its coroutine."""

    def __init__(
        self,
        threads: RequestThreads,
        *,
        ended: bool = False,
        lane: _Lane | None = None,
    ) -> None:
        self._threads = threads
        self.calls: deque[Call] = deque()
        self.thread: _Server | None = lane
        self.at_work = lane is not None
        #: Whether the thread's connections were in order after the last call.
        self.is_tidy = False
        self.ended = ended
        self.done: Callable[[], None] = _nothing

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As the base class's; never waits."""
        call = _Submitted(functools.partial(function, *args, **kwargs))
        self._threads.add(self, call)
        return call

    def run(
        self, loop: asyncio.AbstractEventLoop, function: Callable[[], Any]
    ) -> asyncio.Future[Any]:
        """Has ``function`` called; what comes of it is ``loop``'s. On its thread; never waits."""
        call = _Awaited(function, loop)
        self._threads.add(self, call)
        return call.future

    def call(self) -> Call | None:
        """The first that has not ended."""
        while self.calls and self.calls[0].done():
            self.calls.popleft()
        return self.calls[0] if self.calls else None


class RequestThreads:
    """At most ``limit`` threads, and who has them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._count = 0
        self._idle: list[_Server] = []
        #: Those whose thread may be taken, and those that need one; the first of each came first.
        self._resting: dict[Lease, None] = {}
        self._waiting: dict[Lease, None] = {}

    def add(self, lease: Lease, call: Call) -> None:
        """Has ``call`` made when its turn comes."""
        with self._lock:
            lease.calls.append(call)
            self._place(lease)

    def end(self, lease: Lease, done: Callable[[], None]) -> bool:
        """The request is over. Whether nothing is left to do: its connections are in order, or it
        has none, or a task that it left behind still uses them. Where not, ``done`` is called once
        they are in order."""
        with self._lock:
            lease.ended = True
            if lease.call() is not None:
                return True
            self._waiting.pop(lease, None)
            thread = lease.thread
            if thread is None:
                return True
            if lease.is_tidy and lease in self._resting:
                del self._resting[lease]
                lease.thread = None
                self._put_back(thread)
                return True
            lease.done = done
            self._start(lease, thread)
            return False

    def turn(self, lease: Lease) -> tuple[Call | None, bool]:
        """What the thread of ``lease`` has to do, and whether the request is over: neither, where
        the call was cancelled."""
        with self._lock:
            call = lease.call()
            return call, lease.ended and call is None

    def after(self, lease: Lease, thread: _Server, *, over: bool) -> Lease | None:
        """Whom ``thread`` serves after a call of ``lease``; called on it. ``over``: there was none,
        the request is over and everything in order."""
        free = over or not connections.is_in_use()
        is_tidy = free and not connections.is_due()
        with self._lock:
            call = lease.call()
            if lease.ended and call is None and not over:
                return lease
            goes = free and isinstance(thread, _Lane)
            following = self._first() if free and not goes else None
            if following is None and call is not None and not goes:
                return lease
            lease.at_work = False
            if over or goes or following is not None:
                lease.thread = None
            elif free:
                lease.is_tidy = is_tidy
                self._resting[lease] = None
            if following is not None:
                following.thread, following.at_work = thread, True
                if call is not None:
                    self._waiting[lease] = None
            elif goes:
                if call is not None:
                    self._place(lease)
            elif over:
                self._put_back(thread)
            return following

    def new_lane(self) -> _Lane:
        """What is known of the calling thread, a lane's."""
        return _Lane(self)

    def leave(self, request: RequestThread, last: Lease | None) -> tuple[Lease, bool] | None:
        """The calling thread, a lane's, has taken the first step of ``request``'s coroutine; with
        its ``last`` lease the request is over. Gives the lease that the thread is to :meth:`stay`
        with, if any, and whether that is because of its connections; else calls wait."""
        in_use = last is None and connections.is_in_use()
        lease: Lease | None = last or request.executor
        if lease is None:
            if not in_use:
                return None
            lease = Lease(self, lane=request.lane)
            request.keep(lease)
        with self._lock:
            lease.ended |= last is not None
            if lease.call() is not None or in_use:
                return lease, in_use
            lease.thread = None
            lease.at_work = False
            return None

    def stay(self, lease: Lease) -> None:
        """Makes the calls of ``lease`` on the calling thread, a lane's, for as long as they cannot
        be made on another one."""
        if isinstance(lease.thread, _Lane):
            lease.thread.stay(lease)

    def close(self) -> None:
        """Ends the threads that are idle."""
        with self._lock:
            while self._idle:
                self._count -= 1
                self._idle.pop().serve(None)

    def _place(self, lease: Lease) -> None:
        if lease.thread is None and lease not in self._waiting:
            lease.thread = self._find()
        if lease.thread is None:
            self._waiting[lease] = None
        else:
            self._start(lease, lease.thread)

    def _start(self, lease: Lease, thread: _Server) -> None:
        if not lease.at_work:
            self._resting.pop(lease, None)
            lease.at_work = True
            thread.serve(lease)

    def _find(self) -> _Server | None:
        if self._idle:
            return self._idle.pop()
        if self._count < self.limit:
            thread = _Thread(self)
            self._count += 1
            return thread
        if self._resting:
            other = next(iter(self._resting))
            del self._resting[other]
            found, other.thread = other.thread, None
            return found
        return None

    def _first(self) -> Lease | None:
        while self._waiting:
            lease = next(iter(self._waiting))
            del self._waiting[lease]
            if lease.call() is not None:
                return lease
        return None

    def _put_back(self, thread: _Server) -> None:
        if self._count > self.limit:
            self._count -= 1
            thread.serve(None)
        else:
            self._idle.append(thread)


class _Server:
    """What a thread does for leases."""

    def __init__(self, threads: RequestThreads) -> None:
        self._threads = threads
        self._inbox: SimpleQueue[Lease | None] = SimpleQueue()
        self._last: Lease | None = None
        #: Has the thread do what there is to do; ``None``: end.
        self.serve = self._inbox.put

    def _serve(self, lease: Lease) -> Lease | None:
        """Makes one call; gives the lease that is next."""
        if lease is not self._last:
            # What has grown old meanwhile is not handed on, nor what another left open.
            connections.housekeeping()
            self._last = lease
        call, over = self._threads.turn(lease)
        if call is not None:
            call.run()
            del call
        elif over:
            connections.housekeeping()
            self._last = None
            done, lease.done = lease.done, _nothing
            done()
        return self._threads.after(lease, self, over=over)


class _Thread(_Server):
    """One of ours, for any lease."""

    def __init__(self, threads: RequestThreads) -> None:
        super().__init__(threads)
        threading.Thread(target=self._run, name="bolt-sync", daemon=True).start()

    def _run(self) -> None:
        connections.lend()
        while (lease := self._inbox.get()) is not None:
            while lease is not None:
                lease = self._serve(lease)
        connections.close_all()


class _Lane(_Server):
    """One of a lane's, for the lease that it stays with."""

    def __init__(self, threads: RequestThreads) -> None:
        super().__init__(threads)
        connections.lend()

    def stay(self, lease: Lease) -> None:
        self._last = lease
        following: Lease | None = lease
        try:
            while lease.thread is self:
                following = self._serve(following or self._inbox.get() or lease)
        finally:
            self._last = None
            know_loop(None)


def know_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Has asgiref know of ``loop`` on this thread, whose sync code then finds it; of none where
    sync handlers run as well."""
    known = vars(SyncToAsync.threadlocal)
    if loop is None:
        known.pop("main_event_loop", None)
    else:
        known["main_event_loop"], known["main_event_loop_pid"] = loop, os.getpid()
        known["task_context"] = []


def _nothing() -> None:
    pass
