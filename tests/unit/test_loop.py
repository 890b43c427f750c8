"""The loop that gives the slot back while it sleeps, driven from a second thread."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import os
import sys
import threading

import pytest

from pybolt._engine import Step
from pybolt.loop import SlotLoop, pump, pump_sync

seen = contextvars.ContextVar("seen", default=0)


class Slot:
    """The engine's side, in Python: a lock, an eventfd, a list of calls for the loop's thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.event = os.eventfd(0, os.EFD_NONBLOCK)
        self.calls = []

    def acquire(self):
        self.lock.acquire()

    def release(self):
        self.lock.release()

    def fileno(self):
        return self.event

    def wake(self):
        os.eventfd_write(self.event, 1)

    def drain(self):
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.event)
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Engine:
    """The I/O thread's side: starts tasks on the loop while it sleeps."""

    def __init__(self):
        self.slot = Slot()
        self.loop = SlotLoop(self.slot)
        self.loop.watch(self.slot)
        self.thread = threading.Thread(target=self.loop.serve)
        self.thread.start()

    def start(self, coroutine):
        """A task whose first step was taken on this thread."""
        with self.slot.lock:
            asyncio._set_running_loop(self.loop)
            sys.set_asyncgen_hooks(*self.loop.asyncgen_hooks)
            try:
                context = contextvars.Context()
                task = self.loop.start_task(coroutine, context=context, **self.loop.task_options)
            finally:
                asyncio._set_running_loop(None)
                sys.set_asyncgen_hooks(None, None)
        self.slot.wake()
        return task

    def finish(self, task):
        done = threading.Event()
        self.slot.calls.append(lambda: task.add_done_callback(lambda _: done.set()))
        self.slot.wake()
        assert done.wait(5)
        return task

    def run(self, coroutine):
        task = self.start(coroutine)
        return task.result() if task.done() else self.finish(task).result()

    def close(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.end)
            self.thread.join(5)
        os.close(self.slot.event)


@pytest.fixture
def engine():
    engine = Engine()
    yield engine
    engine.close()


def test_the_slot_is_free_exactly_while_the_loop_sleeps(engine):
    assert engine.slot.lock.acquire(timeout=5)
    engine.slot.lock.release()
    held = []

    async def look():
        await asyncio.sleep(0)
        held.append((threading.current_thread() is engine.thread, engine.slot.lock.locked()))

    engine.run(look())
    assert held == [(True, True)]


def test_a_coroutine_that_never_suspends_is_done_when_start_returns(engine):
    async def handler():
        return threading.get_ident()

    task = engine.start(handler())
    assert task.done()
    assert task.result() == threading.get_ident()


def test_the_first_step_has_a_task_and_the_rest_runs_on_the_loops_thread(engine):
    async def handler():
        first = (asyncio.current_task(), asyncio.get_running_loop(), threading.get_ident())
        await asyncio.sleep(0)
        second = (asyncio.current_task(), asyncio.get_running_loop(), threading.get_ident())
        return first, second

    first, second = engine.run(handler())
    assert first[0] is second[0] is not None
    assert first[1] is second[1] is engine.loop
    assert (first[2], second[2]) == (threading.get_ident(), engine.thread.ident)


def test_no_task_is_current_after_the_first_step(engine):
    async def handler():
        await asyncio.sleep(0.01)

    task = engine.start(handler())
    asyncio._set_running_loop(engine.loop)
    try:
        assert asyncio.current_task() is None
    finally:
        asyncio._set_running_loop(None)
    engine.finish(task)


def test_contextvars_are_isolated_and_survive_suspension(engine):
    async def handler(number):
        before = seen.get()
        seen.set(number)
        await asyncio.sleep(0)
        return before, seen.get()

    tasks = [engine.start(handler(number)) for number in range(1, 6)]
    assert [engine.finish(task).result() for task in tasks] == [(0, n) for n in range(1, 6)]
    assert seen.get() == 0


def test_timeouts_and_groups_work_from_the_first_step_on(engine):
    async def handler():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0.001 * n, n)) for n in range(3)]
        return [task.result() for task in tasks]

    assert engine.run(handler()) == [0, 1, 2]


def test_a_task_made_in_the_first_step_is_not_taken_for_the_handlers(engine):
    async def child():
        return asyncio.current_task()

    async def handler():
        made = asyncio.get_running_loop().create_task(child())
        return await made is made

    assert engine.run(handler())


def test_a_tasks_own_calls_make_no_handles_and_everybody_elses_do(engine, monkeypatch):
    made = []

    class Handle(asyncio.Handle):
        __slots__ = ()

        def __init__(self, *args):
            super().__init__(*args)
            made.append(self._callback)

    monkeypatch.setattr(asyncio, "Handle", Handle)
    called = []

    async def handler():
        loop = asyncio.get_running_loop()
        waited = loop.create_future()
        for number in range(3):
            await asyncio.sleep(0)
            assert not made
            if number == 1:
                loop.call_later(0.001, waited.set_result, "woken")
        assert await waited == "woken"
        loop.call_soon(called.append, "cancelled").cancel()
        kept = loop.call_soon(called.append, "kept")
        await asyncio.sleep(0)
        return kept.cancelled()

    assert engine.run(handler()) is False
    assert called == ["kept"]
    assert made[:2] == [called.append, called.append]


def test_what_a_step_raises_is_told_to_its_loop_and_ends_nothing():
    told = []

    class Loop:
        def call_exception_handler(self, context):
            told.append(context)

    def fails(*args):
        raise asyncio.CancelledError(*args)

    def exits():
        raise SystemExit(3)

    context = contextvars.Context()
    step = Step(Loop(), fails, ("a",), context)
    step._run()
    step._run()  # once is all
    [failure] = told
    assert repr(fails) in failure["message"]
    assert failure["exception"].args == ("a",)
    with pytest.raises(SystemExit):
        Step(Loop(), exits, (), context)._run()
    context.run(Step(Loop(), fails, (), context)._run)
    assert isinstance(told[1]["exception"], RuntimeError)  # it is entered already
    assert len(told) == 2


def test_exceptions_come_out_of_the_task(engine):
    async def at_once():
        raise ValueError("a")

    async def later():
        await asyncio.sleep(0)
        raise ValueError("b")

    with pytest.raises(ValueError, match="a"):
        engine.run(at_once())
    with pytest.raises(ValueError, match="b"):
        engine.run(later())


def test_a_system_exit_ends_neither_loop_nor_thread_and_asyncio_logs_no_second_record(
    engine, caplog
):
    async def at_once():
        raise SystemExit(3)

    async def later():
        await asyncio.sleep(0)
        raise SystemExit(4)

    with pytest.raises(SystemExit, match="3"):
        engine.start(at_once())
    with pytest.raises(SystemExit, match="4"):
        engine.run(later())
    gc.collect()
    assert engine.run(asyncio.sleep(0, "alive")) == "alive"
    assert not caplog.records


def test_the_failure_of_a_background_task_is_still_logged(engine, caplog):
    async def fails():
        raise ValueError("lost")

    async def handler():
        background = asyncio.get_running_loop().create_task(fails())
        await asyncio.sleep(0)
        del background

    engine.run(handler())
    gc.collect()
    engine.run(asyncio.sleep(0))
    assert "never retrieved" in caplog.text


def test_a_generator_left_in_the_first_step_is_closed_on_the_loop(engine):
    closed = threading.Event()

    async def generate():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.set()

    async def handler():
        async for _ in generate():
            return

    engine.start(handler())
    gc.collect()
    assert closed.wait(5)


def test_many_starts_race_with_the_loops_own_work(engine):
    async def handler(number):
        for _ in range(number % 4):
            await asyncio.sleep(0)
        return number

    tasks = [engine.start(handler(number)) for number in range(500)]
    assert sum(engine.finish(task).result() for task in tasks) == sum(range(500))


def test_the_end_cancels_what_runs_and_closes_what_is_open():
    engine = Engine()
    ended = []

    async def handler():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("handler")

    async def generate():
        try:
            yield 1
        finally:
            ended.append("generator")

    generator = generate()
    engine.run(first_of(generator))
    engine.start(handler())
    engine.close()
    assert not engine.thread.is_alive()
    assert sorted(ended) == ["generator", "handler"]
    assert engine.loop.is_closed()


async def first_of(generator):
    return await anext(generator)


class Sink:
    """The engine's side of a stream."""

    def __init__(self, room=1000):
        self.chunks, self.room, self.ends = [], room, []

    def send(self, chunk):
        if len(self.chunks) >= self.room:
            raise ConnectionError
        self.chunks.append(chunk)

    def send_blocking(self, chunk):
        if len(self.chunks) >= self.room:
            return False
        self.chunks.append(chunk)
        return True

    def close(self):
        self.ends.append("close")

    def end(self):
        self.ended = True

    def abort(self):
        self.ends.append("abort")


def streamed(chunks, closed, fail=None):
    try:
        yield from chunks
        if fail:
            raise fail
    finally:
        closed.append(True)


async def streamed_async(chunks, closed, fail=None):
    try:
        for chunk in chunks:
            yield chunk
        if fail:
            raise fail
    finally:
        closed.append(True)


def pump_either(kind, sink, *args):
    if kind == "sync":
        pump_sync(streamed(*args), sink)
    else:
        asyncio.run(pump(streamed_async(*args), sink))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stream_is_ended_cleanly_only_after_its_last_chunk(kind, caplog):
    sink, closed = Sink(), []
    pump_either(kind, sink, [b"a", "ä", b"", bytearray(b"c")], closed)
    assert sink.chunks == [b"a", "ä".encode(), b"c"]
    assert sink.ends[0] == "close"
    assert closed
    assert not caplog.records


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    "failure", [ValueError("x"), ConnectionResetError("upstream"), SystemExit(1)], ids=repr
)
def test_a_stream_that_fails_is_cut_off_with_one_record(kind, failure, caplog):
    sink, closed = Sink(), []
    pump_either(kind, sink, [b"a"], closed, failure)
    assert sink.ends == ["abort"]
    assert closed
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_client_that_goes_ends_the_generator_in_silence(kind, caplog):
    sink, closed = Sink(room=1), []
    pump_either(kind, sink, [b"a", b"b", b"c"], closed)
    assert sink.ends == ["abort"]
    assert closed
    assert not caplog.records


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_chunk_that_is_neither_bytes_nor_text_fails_the_stream(kind, caplog):
    sink = Sink()
    pump_either(kind, sink, [1], [])
    assert sink.ends == ["abort"]
    assert "TypeError" in caplog.text
