"""The asyncio loop that gives the Python slot back while it sleeps.

The engine's I/O thread may run Python exactly while this loop waits in ``select``: the selector
releases the slot before and takes it back after. Because nobody runs the loop's callbacks
meanwhile, the I/O thread may take the first step of a task on this loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import selectors
import sys
from collections.abc import Coroutine
from types import BuiltinFunctionType
from typing import Any, Protocol

from ._engine import Finished, Step
from .django.leases import Lease

#: The name of every task that the engine starts.
TASK_NAME = "bolt-request"

#: What asyncio's tasks ask their loop to call: the type of their steps, the name of their wake-ups.
_STEP, _WAKEUP = "TaskStepMethWrapper", "task_wakeup"


class Slot(Protocol):
    """The engine's side."""

    def acquire(self) -> None:
        """Takes the slot, waiting for it."""

    def release(self) -> None:
        """Gives it back."""

    def fileno(self) -> int:
        """Becomes readable when there is something to drain."""

    def wake(self) -> None:
        """Has it become readable."""

    def drain(self) -> None:
        """Does one batch of what was queued for the loop."""


class SlotSelector(selectors.DefaultSelector):
    """The platform's selector, with the slot released while it waits."""

    def __init__(self, slot: Slot) -> None:
        super().__init__()
        self._slot = slot

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class's."""
        self._slot.release()
        try:
            return super().select(timeout)
        finally:
            self._slot.acquire()


class SlotLoop(asyncio.SelectorEventLoop):
    """The event loop of a worker."""

    def __init__(self, slot: Slot) -> None:
        super().__init__(SlotSelector(slot))
        self._slot = slot
        self._stopped = False
        self._armed = False
        self._first_step: tuple[Any, Any] | None = None
        #: By which asyncio knows, ends and closes async generators, for threads other than the
        #: loop's own on which coroutines run.
        self.asyncgen_hooks = (self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)  # type: ignore[attr-defined]
        #: How many calls were asked for by who has the slot; other threads' are not counted.
        self.asked = 0
        #: What ``start_task`` is called with besides the coroutine and ``context``.
        self.task_options: dict[str, Any] = {}
        if sys.version_info >= (3, 12):
            self.task_options |= {"loop": self, "name": TASK_NAME, "eager_start": True}

    def watch(self, slot: Slot) -> None:
        """Has the engine's queue drained whenever it asks for it."""
        self.add_reader(slot.fileno(), slot.drain)

    def serve(self) -> None:
        """Runs until stopped, then ends every task in order. The body of the loop's thread."""
        asyncio.set_event_loop(self)
        self._slot.acquire()
        try:
            while not self._stopped:
                try:
                    self.run_forever()
                except (KeyboardInterrupt, SystemExit):
                    # asyncio lets these out of a task after noting them in it. They end the
                    # request that raised them, never the worker.
                    continue
        finally:
            self._end()
            self._slot.release()
            self.close()

    def go_on_with(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of the same request that begins when the calling one has ended."""
        return self.create_task(coroutine, name=TASK_NAME)

    def end(self) -> None:
        """Has :meth:`serve` return; called on the loop's thread."""
        self._stopped = True
        self.stop()

    def close(self) -> None:
        """As the base class's; lets go of the engine, which holds this loop in turn."""
        super().close()
        self.__dict__.pop("_slot", None)
        self.task_options.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """As the base class's, except for the exception of a handler's own task: the bridge has
        answered and logged that one, even where it left the task by its first step."""
        task = context.get("future")
        if not (isinstance(task, asyncio.Task) and task.get_name() == TASK_NAME):
            super().call_exception_handler(context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As the base class's; a request's own thread answers without a future between."""
        if type(executor) is Lease:
            return executor.run(self, functools.partial(func, *args) if args else func)
        return super().run_in_executor(executor, func, *args)

    def _write_to_self(self) -> None:
        # The engine's descriptor, once for everything that has come since the loop last looked.
        slot = self.__dict__.get("_slot")
        if slot is not None:
            slot.wake()

    def _end(self) -> None:
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks, timeout=2))
        self.run_until_complete(self.shutdown_asyncgens())
        asyncio.set_event_loop(None)

    def _check_thread(self) -> None:
        """The slot, not the thread, guards this loop: the I/O thread may call in while it holds
        it. Only asyncio's debug mode asks."""

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> Any:
        """As the base class's, except that the answer of a handler's task does not wait for another
        turn, and that the first step of a task that is being made is handed to whoever makes it."""
        if type(callback) is Finished:
            # Called by the task's last step, in the task's own context.
            callback(*args)
            return None
        if self._armed:
            self._armed = False
            self._first_step = (callback, context)
            return None
        self.asked += 1
        if self._debug or self._closed:  # type: ignore[attr-defined]
            return super().call_soon(callback, *args, context=context)
        kind = type(callback)
        if (kind is BuiltinFunctionType and callback.__name__ == _WAKEUP) or kind.__name__ == _STEP:
            # No task keeps the handle of its own calls.
            self._ready.append(Step(self, callback, args, context))  # type: ignore[attr-defined]
            return None
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    if sys.version_info >= (3, 12):
        #: Makes a task whose first step has been taken.
        start_task = asyncio.Task

    else:

        def start_task(
            self, coroutine: Coroutine[Any, Any, Any], *, context: contextvars.Context
        ) -> asyncio.Task[Any]:
            """A task whose first step has been taken: 3.11 has no eager start, so the step that
            the new task schedules is caught and run at once. Not to be called inside a task."""
            self._armed = True
            try:
                task = asyncio.Task(coroutine, loop=self, name=TASK_NAME, context=context)
            finally:
                self._armed = False
            if self._first_step is not None:
                callback, first_context = self._first_step
                self._first_step = None
                first_context.run(callback)
            return task


async def pump(iterator: Any, sink: Any) -> None:
    """Hands an async iterator's chunks to ``sink``, never ahead of the client by more than it."""
    from .bridge import log_stream_failure

    try:
        async for chunk in iterator:
            data = as_bytes(chunk)
            try:
                while data and (room := sink.send(data)) is not None:
                    await room
            except ConnectionError:
                # The client has gone; there is nobody left to tell. The iterator's own connections
                # fail outside of this.
                break
        else:
            sink.close()
    except BaseException as error:
        task = asyncio.current_task()
        gone = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling()
        if not gone:
            log_stream_failure(error)
    finally:
        sink.abort()
        close = getattr(iterator, "aclose", None)
        if close is not None:
            try:
                await close()
            except BaseException as error:
                log_stream_failure(error)
        sink.end()


def pump_sync(iterator: Any, sink: Any) -> None:
    """Hands an iterator's chunks to ``sink``; waits while there is no room."""
    from .bridge import log_stream_failure

    try:
        for chunk in iterator:
            data = as_bytes(chunk)
            if data and not sink.send_blocking(data):
                break
        else:
            sink.close()
    except BaseException as error:
        log_stream_failure(error)
    finally:
        sink.abort()
        close = getattr(iterator, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:
                log_stream_failure(error)


def as_bytes(chunk: Any) -> bytes:
    """A chunk of a stream as bytes; text is UTF-8."""
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, bytearray | memoryview):
        return bytes(chunk)
    raise TypeError(f"a stream yields bytes or str, not {type(chunk).__qualname__}")
