"""Coroutines that start on a lane: sync code runs there, everything else is as on the loop."""

import asyncio
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction
from django.utils import translation

import pybolt
from pybolt import BoltAPI
from pybolt.testing import Client

PATIENCE = 5

#: So many requests have a route start on a lane.
WARM = 10

api = BoltAPI()


def has_loop():
    try:
        return asyncio.get_running_loop() is not None
    except RuntimeError:
        return False


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@api.get("/seen")
async def seen(request, wait: bool = False):
    if wait:
        await asyncio.sleep(0)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def call():
        inside = {"thread": threading.get_ident(), "loop": has_loop()}
        return inside | {"task": asyncio.current_task(loop) is task, "rows": execute("SELECT 1")}

    told = await sync_to_async(call)()
    told["here"] = threading.get_ident() == told.pop("thread")
    told["same"] = asyncio.get_running_loop() is loop and asyncio.current_task() is task
    try:
        execute("SELECT 1")
    except SynchronousOnlyOperation:
        told["refused"] = True
    return told


@api.get("/where")
async def where(request, route: str):
    return pybolt.stats()["routes"][f"GET {route}"]


counted = {"now": 0, "overtaken": 0, "last": 0.0}


def count():
    """As code between two awaits may: nobody else's runs meanwhile."""
    now = counted["now"]
    until = time.perf_counter() + 0.0005
    while time.perf_counter() < until:
        pass
    counted["overtaken"] += counted["now"] != now
    counted["now"] = now + 1


@api.get("/count")
async def count_on_a_lane(request):
    count()
    await sync_to_async(time.sleep)(0.0005)
    count()
    return {}


@api.get("/count-on-the-loop")
async def count_on_the_loop(request):
    await asyncio.sleep(0.0001)
    count()
    await asyncio.sleep(0)
    count()
    return {}


@api.get("/raises/{name}")
async def raises(request, name: str, caught: bool = True):
    calls = {"stop": lambda: next(iter(())), "value": lambda: int("x"), "exit": exit}
    if name == "none":
        return await sync_to_async(dict)()
    try:
        await sync_to_async(calls[name])()
    except BaseException as error:
        if not caught:
            raise
        return {"type": type(error).__name__, "cause": type(error.__cause__).__name__}


def begin():
    transaction.set_autocommit(False)
    execute("SELECT 1")
    return threading.get_ident()


def state():
    return {"open": not transaction.get_autocommit(), "thread": threading.get_ident()}


def commit():
    transaction.commit()
    transaction.set_autocommit(True)


@api.get("/transaction")
async def in_transaction(request, wait: float = 0, end: bool = True):
    thread = await sync_to_async(begin)()
    if wait:
        await asyncio.sleep(wait)
    told = await sync_to_async(state)()
    if end:
        await sync_to_async(commit)()
    return {"open": told["open"], "same": told["thread"] == thread}


@api.get("/open")
def is_open(request):
    return state()


together = {"needed": 0, "here": 0}
all_here: asyncio.Event | None = None


@api.get("/together")
async def wait_together(request, needed: int = 0):
    global all_here
    await sync_to_async(execute)("SELECT 1")
    if needed:
        if all_here is None:
            all_here = asyncio.Event()
        together["here"] += 1
        if together["here"] == needed:
            all_here.set()
        await all_here.wait()
    return {"n": len(await sync_to_async(execute)("SELECT 1"))}


made = []


@api.get("/given-up", timeout="200ms")
async def given_up(request, seconds: float = 0, spin: bool = False):
    try:
        await sync_to_async(keep_busy if spin else time.sleep)(seconds)
        await sync_to_async(made.append)("second")
    finally:
        await sync_to_async(made.append)("cleanup")
        if seconds:
            await asyncio.sleep(0.01)
            made.append("and more")
    return {}


def keep_busy(seconds):
    """With the GIL: nobody else sees the client go."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)
    try:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
    finally:
        sys.setswitchinterval(interval)


@api.get("/timed/{how}")
async def timed(request, how: str, seconds: float = 0):
    call = sync_to_async(time.sleep)
    try:
        if how == "timeout":
            async with asyncio.timeout(0.05):
                await call(seconds)
        elif how == "wait-for":
            await asyncio.wait_for(call(seconds), 0.05)
        else:
            tasks[:] = [asyncio.current_task()]
            await call(seconds)
        await sync_to_async(made.append)("second")
    except (TimeoutError, asyncio.CancelledError) as error:
        return {"raised": type(error).__name__}
    return {"raised": None}


tasks: list[asyncio.Task[None]] = []


@api.get("/left-behind")
async def left_behind(request, leave: bool = False):
    if leave:
        tasks.append(asyncio.create_task(sync_to_async(made.append)("left behind")))
    await sync_to_async(made.append)("here")
    return {}


@api.get("/cancel")
async def cancel(request):
    return {"cancelled": tasks[0].cancel()}


@api.get("/language")
async def language(request, seconds: float = 0):
    async def other():
        return translation.get_language()

    with translation.override("de"):
        task = asyncio.create_task(other()) if seconds else None
        inside = await sync_to_async(told_language)(seconds)
        return [inside, translation.get_language(), await task if task else "de"]


def told_language(seconds):
    time.sleep(seconds)
    return translation.get_language()


@api.get("/held")
async def held(request, until: bool = False):
    """Leaves a transaction open while it waits."""
    await sync_to_async(begin)()
    while until and not let_go.is_set():
        await asyncio.sleep(0.005)
    await sync_to_async(commit)()
    return {}


let_go = threading.Event()


@api.get("/beside")
async def beside(request, seconds: float = 0):
    order = []

    async def other():
        order.append("task")

    def call():
        time.sleep(seconds)
        order.append("call")

    if seconds:
        asyncio.get_running_loop().call_later(0.01, order.append, "timer")
        tasks.append(asyncio.create_task(other()))
    await sync_to_async(call)()
    return order


@api.get("/sync")
def sync(request):
    # Where asgiref knows of no loop, it makes one.
    return {"loop": async_to_sync(the_loop)() is loops[0]}


async def the_loop():
    return asyncio.get_running_loop()


loops: list[asyncio.AbstractEventLoop] = []


@api.get("/loop")
async def loop(request):
    loops[:] = [await sync_to_async(async_to_sync(the_loop))()]
    return {"same": loops[0] is asyncio.get_running_loop()}


@api.get("/many")
async def many(request, count: int = 0):
    async def inner():
        return await sync_to_async(lambda: "inner")()

    nested = await sync_to_async(lambda: async_to_sync(inner)())()
    first = await sync_to_async(str)("first")
    calls = (sync_to_async(lambda number: number)(number) for number in range(count))
    return [nested, first, *(await asyncio.gather(*calls) if count else ())]


@pytest.fixture
def client(tmp_path, monkeypatch):
    from django.conf import settings

    global all_here
    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        database.execute("PRAGMA journal_mode=WAL")
    database.close()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "db.sqlite3"))
    counted.update(now=0, overtaken=0)
    together["here"], all_here = 0, None
    made.clear()
    with Client(api) as client:
        yield client


def lane(client, route):
    return client.get(f"/where?route={route}").json()["lane"]


def warmed(client, url, route=None):
    """``client``, with the route started on a lane."""
    for _ in range(WARM):
        assert client.get(url).status == 200
    assert lane(client, route or url) in ("pool", "brief")
    made.clear()
    return client


def at_once(client, urls):
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(client.get, urls))


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_the_call_is_made_where_the_coroutine_is(client):
    on_loop = client.get("/seen").json()
    assert on_loop.pop("here") is False
    on_lane = warmed(client, "/seen").get("/seen").json()
    assert on_lane.pop("here") is True
    expected = {"loop": False, "task": False, "rows": [[1]], "same": True, "refused": True}
    assert on_loop == on_lane == expected


def test_one_that_waits_for_other_things_stays_on_the_loop(client):
    for _ in range(30):
        client.get("/seen?wait=true")
    assert lane(client, "/seen") == "loop"
    warmed(client, "/seen")
    for _ in range(3):
        client.get("/seen?wait=true")
    assert lane(client, "/seen") == "loop"


def test_no_two_coroutines_run_at_once(client, monkeypatch):
    warmed(client, "/count")
    counted.update(now=0, overtaken=0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    try:
        answers = at_once(client, ["/count", "/count-on-the-loop"] * 16)
    finally:
        sys.setswitchinterval(interval)
    assert {answer.status for answer in answers} == {200}
    assert counted["overtaken"] == 0
    assert counted["now"] == 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stop", {"type": "RuntimeError", "cause": "StopIteration"}),
        ("value", {"type": "ValueError", "cause": "NoneType"}),
        ("exit", {"type": "SystemExit", "cause": "NoneType"}),
    ],
)
def test_what_a_call_raises_is_raised_where_it_is_awaited(client, name, expected):
    assert client.get(f"/raises/{name}").json() == expected
    warmed(client, "/raises/none", "/raises/{name}")
    assert client.get(f"/raises/{name}").json() == expected
    assert client.get(f"/raises/{name}?caught=false").status == 500
    assert client.get("/raises/none").status == 200


@pytest.mark.parametrize("wait", [0, 0.05])
def test_a_transaction_is_one_request_s(client, wait):
    warmed(client, "/transaction")
    for end in ("true", "false"):
        url = f"/transaction?wait={wait}&end={end}"
        answers = at_once(client, [url, "/open", "/open", "/open"])
        assert answers[0].json() == {"open": True, "same": True}
        assert [answer.json()["open"] for answer in answers[1:]] == [False] * 3
    # Its threads have come back, with nothing left open on any.
    answers = at_once(client, ["/open", "/transaction"] * 16)
    assert {answer.status for answer in answers} == {200}
    assert {answer.json()["open"] for answer in answers[::2]} == {False}


def test_a_thread_is_not_kept_while_its_coroutine_waits(client):
    warmed(client, "/together")
    answers = at_once(client, ["/together?needed=24"] * 24)
    assert [answer.json() for answer in answers] == [{"n": 1}] * 24


@pytest.mark.parametrize("spin", ["false", "true"])
def test_one_that_nobody_waits_for_stops_at_its_next_call(client, spin):
    warmed(client, "/given-up")
    assert client.get(f"/given-up?seconds=0.4&spin={spin}").status == 504
    wait_until(lambda: "and more" in made)
    assert made == ["cleanup", "and more"]


@pytest.mark.parametrize(
    ("how", "raised"),
    [("timeout", "TimeoutError"), ("wait-for", "TimeoutError"), ("cancel", "CancelledError")],
)
def test_a_call_that_is_cancelled_raises_where_it_is_awaited(client, how, raised):
    def once():
        made.clear()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(client.get, f"/timed/{how}?seconds=0.2")
            time.sleep(0.05)
            if how == "cancel":
                assert client.get("/cancel").json() == {"cancelled": True}
            return asked.result().json(), list(made)

    expected = ({"raised": raised}, [])
    assert once() == expected
    for _ in range(WARM):
        assert client.get(f"/timed/{how}").json() == {"raised": None}
    # With a timer of its own it is not started on a lane.
    assert (lane(client, "/timed/{how}") == "loop") is (how != "cancel")
    assert once() == expected


def test_a_task_that_is_left_behind_is_made_and_keeps_nobody(client):
    warmed(client, "/left-behind")
    for _ in range(8):
        assert client.get("/left-behind?leave=true").status == 200
    wait_until(lambda: len(made) == 16)
    assert sorted(made) == ["here"] * 8 + ["left behind"] * 8


def test_the_loop_goes_on_during_a_call(client):
    warmed(client, "/beside")
    assert client.get("/beside?seconds=0.2").json() == ["task", "timer", "call"]
    # It goes on on the loop; the others start on lanes as before.
    assert lane(client, "/beside") != "loop"


def test_tasks_have_the_language_of_their_request(client):
    on_loop = client.get("/language?seconds=0.05").json()
    warmed(client, "/language")
    assert on_loop == client.get("/language?seconds=0.05").json() == ["de"] * 3


def test_a_thread_that_has_stayed_is_as_it_was(client):
    warmed(client, "/transaction")
    client.get("/loop")
    assert client.get("/transaction?wait=0.02").json() == {"open": True, "same": True}
    for _ in range(40):
        assert client.get("/sync").status == 200
    told = client.get("/where?route=/sync").json()
    assert told["reason"] != "database"
    assert {client.get("/sync").json()["loop"] for _ in range(8)} == {False}


def test_those_that_keep_a_thread_keep_no_other_handler_waiting(client):
    warmed(client, "/held")
    let_go.clear()
    with ThreadPoolExecutor(41) as pool:
        waiting = [pool.submit(client.get, "/held?until=true") for _ in range(40)]
        time.sleep(0.3)
        try:
            begun = time.monotonic()
            assert client.get("/open").json()["open"] is False
            assert time.monotonic() - begun < 1
        finally:
            let_go.set()
        assert {one.result().status for one in waiting} == {200}


def test_sync_handlers_are_told_of_no_loop_afterwards(client):
    warmed(client, "/loop")
    assert client.get("/loop").json() == {"same": True}
    assert [client.get("/sync").json() for _ in range(8)] == [{"loop": False}] * 8


def test_calls_within_calls_and_many_at_once(client):
    warmed(client, "/many")
    answers = at_once(client, ["/many?count=5", "/many"] * 2)
    expected = ["inner", "first"]
    assert [answer.json() for answer in answers] == [[*expected, 0, 1, 2, 3, 4], expected] * 2
