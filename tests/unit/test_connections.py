"""Connections on the engine's threads: marked, aged, and never left in a transaction."""

import asyncio
import gc
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.db.backends.signals import connection_created

from pybolt import BoltAPI, Stream
from pybolt.django import connections
from pybolt.testing import Client

api = BoltAPI()
used: list[int] = []


@api.get("/leave-open")
def leave_open(request):
    transaction.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO left_behind VALUES (1)")
    return {}


@api.get("/enter-atomic")
def enter_atomic(request):
    transaction.atomic().__enter__()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {}


@api.get("/begin")
def begin(request):
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO left_behind VALUES (1)")
    return {}


@api.get("/look")
def look(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM left_behind")
        [found] = cursor.fetchone()
    used.append(id(connection.connection))
    return {"found": found, "open": connection.in_atomic_block, "thread": threading.get_ident()}


@api.get("/wrapped")
def wrapped(request):
    seen = []

    def note(execute, sql, *rest):
        seen.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note), connection.cursor() as cursor:
        cursor.execute("SELECT 42")
    return {"queries": seen.count("SELECT 42"), "left": connection.execute_wrappers.count(note)}


@api.get("/age")
def age(request):
    return told()


@api.get("/age-async")
async def age_async(request):
    return await sync_to_async(told)()


def told():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    late = connection.close_at is not None and time.monotonic() >= connection.close_at
    return {"thread": threading.get_ident(), "late": late}


@api.get("/streamed")
def streamed(request):
    def rows():
        yield str(told()["thread"])

    return Stream(rows())


@api.get("/streamed-async")
async def streamed_async(request):
    async def rows():
        yield str((await sync_to_async(told)())["thread"])

    return Stream(rows())


@api.get("/leave-open-in-stream")
def leave_open_in_stream(request):
    async def rows():
        yield str((await sync_to_async(left_open)())["autocommit"])

    return Stream(rows())


def left_open():
    found = {"autocommit": transaction.get_autocommit()}
    transaction.set_autocommit(False)
    return found


@api.get("/audit")
async def audit(request, seconds: float = 2):
    tasks.append(asyncio.create_task(sync_to_async(time.sleep)(seconds)))
    await asyncio.sleep(0.01)
    return {}


tasks: list[asyncio.Task[None]] = []


@api.get("/leave-open-unasked")
def leave_open_unasked(request):
    # No query tells of it.
    transaction.set_autocommit(False)
    return {"connected": connection.connection is not None}


@api.get("/insert")
def insert(request):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO left_behind VALUES (1)")
    return {}


@api.get("/hold")
def hold(request, seconds: float = 0):
    told()
    time.sleep(seconds)
    return {}


@api.get("/where")
def where(request, route: str = "/look"):
    import pybolt

    return pybolt.stats()["routes"][f"GET {route}"]


@pytest.fixture
def client(tmp_path, monkeypatch):
    from django.conf import settings

    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE left_behind (n INTEGER)")
    database.close()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "db.sqlite3"))
    with Client(api) as client:
        yield client
    connections.close_all()


@pytest.mark.parametrize("url", ["/leave-open", "/enter-atomic", "/begin"])
def test_the_next_request_sees_nothing_of_an_open_transaction(client, url):
    for _ in range(8):
        assert client.get(url).status == 200
    for _ in range(40):
        told = client.get("/look").json()
        assert (told["found"], told["open"]) == (0, False)


def test_a_transaction_that_no_query_tells_of_takes_no_other_request_s_rows_along(
    client, monkeypatch
):
    from django.conf import settings

    monkeypatch.setitem(settings.DATABASES["default"], "CONN_MAX_AGE", 600)
    for inserted in range(1, 41):
        client.get("/leave-open-unasked")
        client.get("/insert")
        told = client.get("/look").json()
        assert (told["found"], told["open"]) == (inserted, False)


def test_a_route_that_queries_never_runs_on_the_io_thread(client):
    for _ in range(100):
        client.get("/look")
    told = client.get("/where").json()
    assert (told["inline"], told["lane"], told["reason"]) == (False, "brief", "database")


def test_a_query_that_waits_for_a_lock_holds_up_no_other(client):
    # Where it had to wait for a core it takes a while.
    for _ in range(60):
        for _ in range(50):
            client.get("/hold")
        if (lane := client.get("/where?route=/hold").json()["lane"]) == "brief":
            break
    assert lane == "brief"
    with ThreadPoolExecutor(11) as pool:
        begun = time.monotonic()
        held = pool.submit(client.get, "/hold?seconds=2")
        # Those that came right behind it, and those that come later.
        behind = [pool.submit(client.get, "/hold") for _ in range(10)]
        assert {one.result().status for one in behind} == {200}
        assert [client.get("/hold").status for _ in range(10)] == [200] * 10
        assert time.monotonic() - begun < 1.5
        assert held.result().status == 200


@pytest.mark.parametrize("url", ["/age", "/age-async"])
def test_no_request_gets_a_connection_older_than_its_age(client, monkeypatch, url):
    from django.conf import settings

    monkeypatch.setitem(settings.DATABASES["default"], "CONN_MAX_AGE", 0.2)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            answers = list(pool.map(lambda _: client.get(url).json(), range(40)))
            assert not [answer for answer in answers if answer["late"]]
            time.sleep(0.3)


def test_async_requests_that_come_one_after_the_other_share_a_thread(client):
    threads = [client.get("/age-async").json()["thread"] for _ in range(20)]
    # Those of the first are lent; the others start on the lane of what queries for a moment.
    assert (len(set(threads[:8])), len(set(threads[-8:]))) == (1, 1)


@pytest.mark.parametrize(("url", "kept"), [("/streamed", 1), ("/streamed-async", 8)])
def test_the_thread_of_a_stream_leaves_no_connection_behind(client, tmp_path, url, kept):
    gc.disable()
    try:
        for _ in range(30):
            client.get(url)
    finally:
        gc.enable()
    descriptors = Path("/proc/self/fd").iterdir()
    database = str(tmp_path / "db.sqlite3")
    assert sum(1 for fd in descriptors if fd.exists() and str(fd.readlink()) == database) <= kept


def test_a_stream_sees_nothing_of_another_one_s_transaction(client):
    for _ in range(10):
        assert client.get("/leave-open-in-stream").body == b"True"


def test_an_answer_does_not_wait_for_what_its_handler_left_behind(client):
    begun = time.monotonic()
    assert client.get("/audit").status == 200
    assert time.monotonic() - begun < 1


def test_a_connection_that_cannot_be_closed_takes_no_answer_back(client, monkeypatch):
    from django.db import connections as of_django

    close_all = of_django.close_all

    def fail():
        close_all()
        raise RuntimeError("on purpose")

    monkeypatch.setattr(of_django, "close_all", fail)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.get("/age-async").status, range(64)))
    assert answers == [200] * 64


def test_an_execute_wrapper_of_a_handler_s_own_is_gone_with_its_block(client):
    # Its query is the first on that thread's connection, which is marked then.
    assert [client.get("/wrapped").json() for _ in range(3)] == [{"queries": 1, "left": 0}] * 3


def test_what_a_project_s_own_wrapper_executes_counts_as_well(client):
    def tenant(execute, sql, params, many, context):
        execute("PRAGMA cache_size = 100", None, False, context)
        return execute(sql, params, many, context)

    def add(sender, connection, **kwargs):
        connection.execute_wrappers.append(tenant)

    used = []

    def use():
        connections.lend()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        del cursor
        used.append(connections.is_in_use())
        connections.close_all()

    connection_created.connect(add)
    try:
        # As a project's receiver does, which is there before ours is.
        connection_created.receivers.insert(1, connection_created.receivers.pop())
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    finally:
        connection_created.disconnect(add)
    assert used == [True]
