"""The threads of async handlers' sync code: bounded, lent in turn, never while they are in use."""

import asyncio
import functools
import random
import sqlite3
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from django.db import connection, transaction

from pybolt import BoltAPI, Stream
from pybolt.django import connections
from pybolt.django.leases import Lease, RequestThreads
from pybolt.testing import Client

PATIENCE = 5


@pytest.fixture
def database(tmp_path, monkeypatch):
    from django.conf import settings

    name = str(tmp_path / "db.sqlite3")
    with sqlite3.connect(name) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE numbers (n INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(10)])
    connection.close()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", name)


@pytest.fixture
def one(database):
    threads = RequestThreads(1)
    yield threads
    threads.close()


def result(future):
    return future.result(PATIENCE)


def end(threads, lease):
    """Returns when the lease's connections are in order."""
    done = threading.Event()
    if threads.end(lease, done.set):
        return
    assert done.wait(PATIENCE)


class Busy:
    """A call that is under way until it is let go."""

    def __init__(self, lease):
        self.begun, self.over = threading.Event(), threading.Event()
        self.future = lease.submit(self)
        assert self.begun.wait(PATIENCE)

    def __call__(self):
        self.begun.set()
        assert self.over.wait(PATIENCE)
        return threading.get_ident()

    def let_go(self):
        self.over.set()
        return result(self.future)


def test_no_more_threads_than_the_limit_run_at_once():
    threads, running, most = RequestThreads(3), [], []

    def call():
        running.append(None)
        most.append(len(running))
        time.sleep(0.002)
        running.pop()
        return threading.get_ident()

    leases = [Lease(threads) for _ in range(40)]
    futures = [lease.submit(call) for lease in leases for _ in range(3)]
    assert len({result(future) for future in futures}) == 3
    assert max(most) == 3
    for lease in leases:
        end(threads, lease)
    threads.close()


def test_a_request_keeps_its_thread_while_nobody_needs_it():
    threads = RequestThreads(2)
    first, second = Lease(threads), Lease(threads)
    used = [result(lease.submit(threading.get_ident)) for lease in (first, second) * 5]
    assert len(set(used[::2])) == len(set(used[1::2])) == 1
    assert used[0] != used[1]
    end(threads, first)
    third = Lease(threads)
    assert result(third.submit(threading.get_ident)) == used[0]
    for lease in (second, third):
        end(threads, lease)
    threads.close()


def test_a_thread_at_rest_serves_whoever_needs_it(one):
    resting, other = Lease(one), Lease(one)
    thread = result(resting.submit(threading.get_ident))
    for lease in (other, resting, other):
        assert result(lease.submit(threading.get_ident)) == thread
    end(one, resting)
    end(one, other)


def test_those_that_wait_are_served_in_the_order_in_which_they_asked(one):
    busy = Busy(Lease(one))
    served = []
    futures = [Lease(one).submit(served.append, number) for number in range(20)]
    busy.let_go()
    for future in futures:
        result(future)
    assert served == list(range(20))


def test_many_calls_of_one_request_let_others_in_between(one):
    greedy, modest = Lease(one), Lease(one)
    busy, served = Busy(greedy), []
    futures = [greedy.submit(served.append, "greedy") for _ in range(20)]
    futures.append(modest.submit(served.append, "modest"))
    busy.let_go()
    for future in futures:
        result(future)
    assert served[0] == "modest"


def begin():
    transaction.atomic().__enter__()


def in_transaction():
    return connection.in_atomic_block


def set_autocommit_off():
    transaction.set_autocommit(False)


def rows():
    with connection.cursor() as cursor:
        cursor.execute("SELECT n FROM numbers ORDER BY n")
        yield from cursor


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "leave",
    [
        begin,
        set_autocommit_off,
        functools.partial(execute, "BEGIN"),
        functools.partial(execute, "PRAGMA busy_timeout = 1000"),
        functools.partial(execute, "CREATE TEMP TABLE mine (n INTEGER)"),
        functools.partial(execute, "SELECT 'set_config(...)'"),
    ],
)
def test_a_thread_that_a_later_call_may_go_on_with_is_nobody_else_s(one, leave):
    holder, other = Lease(one), Lease(one)
    result(holder.submit(leave))
    waiting = other.submit(in_transaction)
    result(holder.submit(in_transaction))
    assert not waiting.done()
    end(one, holder)
    assert result(waiting) is False


def test_a_thread_with_an_open_cursor_is_nobody_else_s(one):
    holder, other = Lease(one), Lease(one)
    iterator = rows()
    assert result(holder.submit(next, iterator)) == (0,)
    waiting = other.submit(begin)
    assert result(holder.submit(list, iterator)) == [(n,) for n in range(1, 10)]
    assert result(waiting) is None
    end(one, other)


def test_a_cursor_that_outlives_its_request_keeps_nobody_s_thread(one):
    gone, iterator = Lease(one), rows()
    result(gone.submit(next, iterator))
    end(one, gone)
    holder, other = Lease(one), Lease(one)
    for lease in (holder, other, holder):
        assert result(lease.submit(in_transaction)) is False
    assert iterator.gi_frame is not None


READ, WRITE = "WITH t AS (SELECT 1) SELECT * FROM t", " insert INTO numbers VALUES (0)"


@pytest.mark.parametrize("statement", ["SELECT 1", READ, WRITE])
def test_a_thread_that_has_read_and_written_rows_serves_others(one, statement):
    holder, other = Lease(one), Lease(one)

    def in_atomic():
        with transaction.atomic(), transaction.atomic():
            execute(statement)

    for function in (functools.partial(execute, statement), in_atomic):
        result(holder.submit(function))
        assert result(other.submit(in_transaction)) is False
    end(one, holder)
    end(one, other)


def test_a_transaction_that_is_left_open_is_over_before_the_answer(one):
    holder = Lease(one)
    result(holder.submit(begin))
    end(one, holder)
    assert result(Lease(one).submit(in_transaction)) is False


def test_a_cancelled_call_that_waits_is_never_made(one):
    busy, made = Busy(Lease(one)), []
    given_up, patient = Lease(one), Lease(one)
    cancelled = given_up.submit(made.append, "cancelled")
    waiting = patient.submit(made.append, "patient")
    assert cancelled.cancel()
    end(one, given_up)
    busy.let_go()
    result(waiting)
    with pytest.raises(CancelledError):
        cancelled.result()
    assert made == ["patient"]


def test_a_cancelled_call_keeps_the_place_of_the_next(one):
    busy, made = Busy(Lease(one)), []
    lease, later = Lease(one), Lease(one)
    cancelled = lease.submit(made.append, "cancelled")
    last = later.submit(made.append, "later")
    cancelled.cancel()
    result_of_next = lease.submit(made.append, "next")
    busy.let_go()
    result(result_of_next)
    result(last)
    assert made == ["next", "later"]


def test_what_outlives_its_request_counts_and_goes_back(one):
    lease = Lease(one)
    busy = Busy(lease)
    end(one, lease)
    left_behind = Lease(one, ended=True)
    waiting = left_behind.submit(begin)
    assert not waiting.done()
    busy.let_go()
    result(waiting)
    assert result(Lease(one).submit(in_transaction)) is False


def test_an_exception_of_a_call_is_its_caller_s(one):
    lease = Lease(one)
    with pytest.raises(SystemExit):
        result(lease.submit(exit))
    assert result(lease.submit(abs, -1)) == 1
    end(one, lease)


def test_a_call_that_is_given_up_as_it_begins_is_over(one):
    loop = asyncio.new_event_loop()
    lease, made = Lease(one), []
    busy = Busy(lease)
    given_up = lease.run(loop, functools.partial(made.append, "given up"))
    call = lease.calls[-1]
    run = call.run

    def run_late():
        given_up.cancel()
        run()

    call.run = run_late
    last = lease.submit(made.append, "last")
    busy.let_go()
    result(last)
    assert made == ["last"]
    end(one, lease)
    loop.close()


def test_whatever_is_cancelled_no_call_is_lost_and_every_thread_comes_back(monkeypatch):
    monkeypatch.setattr(connections, "is_in_use", lambda: chance.random() < 0.3)
    threads, chance, used = RequestThreads(3), random.Random(1), set()

    def request(_):
        lease, calls, under_way = Lease(threads), [], []

        def call():
            under_way.append(None)
            assert len(under_way) == 1
            used.add(threading.get_ident())
            under_way.pop()

        for _ in range(chance.randrange(6)):
            calls.append(lease.submit(call))
            if chance.random() < 0.3:
                calls[-1].cancel()
            elif chance.random() < 0.5:
                result(calls[-1])
        end(threads, lease)
        for future in calls:
            assert future.cancelled() or result(future) is None

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(request, range(1000)))
    last = [Busy(Lease(threads, ended=True)) for _ in range(3)]
    assert {busy.let_go() for busy in last} == used
    threads.close()


@pytest.mark.parametrize("is_at_once", [True, False])
def test_a_request_whose_connections_are_in_order_is_over_at_once(one, is_at_once):
    for leave in (in_transaction,) if is_at_once else (begin, spoil):
        lease, done = Lease(one), threading.Event()
        result(lease.submit(leave))
        # What the thread does after a call.
        wait_until(lambda lease=lease: not lease.at_work)
        assert one.end(lease, done.set) is is_at_once
        assert done.wait(PATIENCE if not is_at_once else 0) is not is_at_once
        assert result(Lease(one, ended=True).submit(in_transaction)) is False


def spoil():
    execute("SELECT 1")
    connection.errors_occurred = True


def test_connections_of_no_age_are_closed_before_the_answer_and_not_between_calls(one, monkeypatch):
    from django.conf import settings

    monkeypatch.setitem(settings.DATABASES["default"], "CONN_MAX_AGE", 0)
    lease, seen = Lease(one), []
    for _ in range(3):
        result(lease.submit(lambda: (execute("SELECT 1"), seen.append(connection.connection))))
    assert len(set(map(id, seen))) == 1
    end(one, lease)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        seen[0].execute("SELECT 1")


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


api = BoltAPI()


@api.get("/given-up")
async def given_up(request):
    made, begun, over = [], threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert over.wait(PATIENCE)
        made.append("slow")

    first = asyncio.create_task(sync_to_async(slow)())
    second = asyncio.create_task(sync_to_async(made.append)("second"))
    third = asyncio.create_task(sync_to_async(made.append)("third"))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    for task in (first, second):
        task.cancel()
    given_up = await asyncio.gather(first, second, return_exceptions=True)
    over.set()
    await third
    return {"made": made, "given_up": [type(error).__name__ for error in given_up]}


@api.get("/nested")
async def nested(request):
    async def inner():
        return await sync_to_async(threading.get_ident)()

    def outer():
        return [threading.get_ident(), async_to_sync(inner)(), threading.get_ident()]

    used = await sync_to_async(outer)()
    later = await asyncio.gather(*(sync_to_async(threading.get_ident)() for _ in range(5)))
    assert len(set(later)) == 1
    return {"nested": len(set(used))}


@api.get("/stream")
async def stream(request):
    async def chunks():
        for _ in range(20):
            yield str(await sync_to_async(in_transaction)())
            await asyncio.sleep(0.01)

    await sync_to_async(in_transaction)()
    return Stream(chunks())


@api.get("/left-behind")
async def left_behind(request):
    tasks.append(asyncio.create_task(sync_to_async(begin)()))
    return {"open": await sync_to_async(in_transaction)()}


@api.get("/slow", timeout="50ms")
async def slow(request):
    await sync_to_async(time.sleep)(0.2)


tasks: list[asyncio.Task[None]] = []


@pytest.fixture
def client(database, monkeypatch):
    with Client(api) as client:
        threads = SyncToAsync.context_to_thread_executor.threads
        threads.close()
        monkeypatch.setattr(threads, "limit", 1)
        yield client


@pytest.mark.parametrize("url", ["/nested", "/stream", "/left-behind"])
def test_one_thread_is_enough_for_whatever_a_request_does(client, url):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get(url), range(24)))
    assert {answer.status for answer in answers} == {200}
    expected = {"/nested": b'{"nested":1}', "/stream": b"False" * 20}
    assert {answer.body for answer in answers} == {expected.get(url, b'{"open":false}')}


def test_waiting_for_a_thread_counts_in_the_timeout(client):
    begun = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/slow").status, range(8)))
    assert answers == [504] * 8
    assert time.monotonic() - begun < 1
    assert client.get("/nested").status == 200


def test_calls_that_are_given_up_end_or_are_not_made(client):
    told = client.get("/given-up").json()
    assert told == {"made": ["slow", "third"], "given_up": ["CancelledError"] * 2}
