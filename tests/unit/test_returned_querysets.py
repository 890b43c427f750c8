"""Querysets that a handler returns as they are: read and written where sync code runs."""

import asyncio
import sqlite3
import threading
import time

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.db.backends.signals import connection_created
from django.utils.functional import SimpleLazyObject

import pybolt
from pybolt import JSON, BoltAPI
from pybolt.testing import Client
from tests.reads.models import Author

PATIENCE = 5

#: So many requests have a route start on a lane.
WARM = 10

api = BoltAPI()

#: The threads that queries ran on.
threads: list[int] = []
#: Whether an event loop ran there.
loops: list[bool] = []


def authors():
    return Author.objects.order_by("id").values("id", "name")


def watched(execute, sql, *rest):
    if Author._meta.db_table in sql:
        threads.append(threading.get_ident())
        loops.append(asyncio._get_running_loop() is not None)
    return execute(sql, *rest)


class Watched(type(authors())):
    """A queryset whose queries are noted."""

    def _fetch_all(self):
        with connection.execute_wrapper(watched):
            super()._fetch_all()


def noted(queryset):
    queryset.__class__ = Watched
    return queryset


class Asking(Watched):
    """A queryset that has a coroutine run where it is evaluated."""

    def _fetch_all(self):
        where.append(async_to_sync(the_loop)())
        super()._fetch_all()


#: The loops that coroutines of querysets ran on.
where: list[asyncio.AbstractEventLoop] = []


async def the_loop():
    return asyncio.get_running_loop()


def asking(queryset):
    queryset.__class__ = Asking
    return queryset


SHAPES = {
    "plain": lambda: noted(authors()),
    "flat": lambda: noted(authors().values_list("name", flat=True)),
    "within": lambda: {"authors": noted(authors()), "more": [1]},
    "status": lambda: (201, noted(authors())),
    "response": lambda: JSON(noted(authors()), headers={"x-more": "1"}),
    "lazy": lambda: SimpleLazyObject(lambda: list(noted(authors()))),
}


@api.get("/sync/{shape}")
def sync(request, shape: str):
    return SHAPES[shape]()


@api.get("/quick/{shape}")
async def quick(request, shape: str):
    return SHAPES[shape]()


@api.get("/later/{shape}")
async def later(request, shape: str):
    await asyncio.sleep(0)
    return SHAPES[shape]()


@api.get("/after/{shape}")
async def after(request, shape: str):
    await sync_to_async(int)()
    return SHAPES[shape]()


@api.get("/asking")
async def asks(request):
    return asking(authors())


@api.get("/loop")
async def loop_of_the_worker(request):
    await asyncio.sleep(0)
    where.append(asyncio.get_running_loop())


@api.get("/stubborn", timeout="50ms")
async def stubborn(request):
    try:
        await asyncio.sleep(PATIENCE)
    except asyncio.CancelledError:
        return noted(authors())


@api.get("/wrong/{kind}")
async def wrong(request, kind: str):
    if kind == "query":
        return Author.objects.values("id").extra(where=["nonsense"])
    if kind == "item":
        return {"authors": authors(), "wrong": object()}
    # That it queries on the loop is the handler's own mistake.
    return list(authors())


@api.get("/slow", timeout="100ms")
async def slow(request):
    return Author.objects.extra(select={"n": "slow()"}).values("n")


@api.get("/where")
async def lane_of(request, route: str):
    return pybolt.stats()["routes"][f"GET {route}"]


@pytest.fixture
def client(tmp_path, monkeypatch):
    from django.conf import settings

    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        database.execute("PRAGMA journal_mode=WAL")
    database.close()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "db.sqlite3"))
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "db.sqlite3"))
    connection.close()
    with connection.schema_editor() as editor:
        editor.create_model(Author)
    Author.objects.bulk_create([Author(name="Ann"), Author(name="Bob")])
    connection.close()
    threads.clear()
    loops.clear()
    where.clear()
    with Client(api) as client:
        yield client


ROWS = [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]
ANSWERS = {
    "plain": (200, ROWS),
    "flat": (200, ["Ann", "Bob"]),
    "within": (200, {"authors": ROWS, "more": [1]}),
    "status": (201, ROWS),
    "response": (200, ROWS),
    "lazy": (200, ROWS),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["sync", "quick", "later", "after"])
def test_it_is_read_where_sync_code_runs(client, kind, shape):
    # The first on the loop, where it is async, and later ones on a lane.
    for _ in range(2 * WARM):
        response = client.get(f"/{kind}/{shape}")
        assert (response.status, response.json()) == ANSWERS[shape]
        assert response.headers.get("x-more") == ("1" if shape == "response" else None)
    assert len(threads) == 2 * WARM
    assert loops == [False] * (2 * WARM)
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("kind", ["quick", "after"])
def test_it_starts_on_a_lane_and_is_read_there(client, kind):
    for _ in range(2 * WARM):
        client.get(f"/{kind}/plain")
    route = client.get(f"/where?route=/{kind}/{{shape}}").json()
    assert route["lane"] in ("pool", "brief")


def test_a_coroutine_that_it_needs_runs_on_the_worker_s_loop(client):
    client.get("/loop")
    for _ in range(2 * WARM):
        assert client.get("/asking").json() == ROWS
    assert client.get("/where?route=/asking").json()["lane"] in ("pool", "brief")
    # Also those that are asked for in vain, on the loop.
    assert set(where) == {where[0]}


def test_nothing_is_read_for_who_has_gone(client):
    assert client.get("/stubborn").status == 504
    assert client.get("/quick/plain").json() == ROWS
    assert len(threads) == 1


@pytest.mark.parametrize("kind", ["query", "item", "itself"])
def test_what_fails_there_is_an_error_of_the_handler(client, caplog, kind):
    for _ in range(2):
        assert client.get(f"/wrong/{kind}").status == 500
        assert client.get("/quick/plain").json() == ROWS
    failures = [record for record in caplog.records if "failed" in record.getMessage()]
    assert len(failures) == 2
    assert all("test_returned_querysets:wrong" in record.getMessage() for record in failures)
    text = {"query": "no such column", "item": "object", "itself": "cannot call this from an async"}
    assert text[kind] in caplog.text


def test_who_has_gone_is_not_waited_for(client):
    ended = []

    def slow():
        time.sleep(0.2)
        ended.append(1)

    def add_slow(sender, connection, **kwargs):
        connection.connection.create_function("slow", 0, slow)

    connection_created.connect(add_slow)
    try:
        assert [client.get("/slow").status for _ in range(3)] == [504] * 3
        assert client.get("/quick/plain").json() == ROWS
        until = time.monotonic() + PATIENCE
        while len(ended) < 3 * len(ROWS) and time.monotonic() < until:
            time.sleep(0.01)
        assert len(ended) == 3 * len(ROWS)
    finally:
        connection_created.disconnect(add_slow)
