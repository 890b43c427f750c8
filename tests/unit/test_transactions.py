"""``ATOMIC_REQUESTS``, as Django keeps it."""

import contextlib
import sqlite3

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.http import Http404

from pybolt import BoltAPI, ConfigError, DeclarationError
from pybolt.django.connections import close_all
from pybolt.django.transactions import atomic_requests
from pybolt.params import bind
from pybolt.testing import Client


def insert():
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO rows VALUES (1)")
    return {"atomic": connection.in_atomic_block}


@pytest.fixture
def atomic(tmp_path, monkeypatch):
    database = tmp_path / "db.sqlite3"
    with sqlite3.connect(database) as made:
        made.execute("CREATE TABLE rows (n INTEGER)")
    made.close()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(database))
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    def count():
        with contextlib.closing(sqlite3.connect(database)) as asked:
            return asked.execute("SELECT count(*) FROM rows").fetchone()[0]

    yield count
    close_all()


def make():
    api = BoltAPI()

    @api.get("/fine/{n}")
    def fine(request, n: int):
        return insert()

    @api.get("/fails")
    def fails(request):
        insert()
        raise ValueError("on purpose")

    @api.get("/missing")
    def missing(request):
        insert()
        raise Http404

    @api.get("/exempt")
    @transaction.non_atomic_requests
    def exempt(request):
        insert()
        raise ValueError("on purpose")

    return api


def test_what_a_handler_raises_rolls_back_and_is_logged(atomic, caplog):
    with Client(make()) as client:
        assert client.get("/fine/1").json() == {"atomic": True}
        assert atomic() == 1
        assert client.get("/fails").status == 500
        assert "ValueError: on purpose" in caplog.text
        assert "fails failed GET /fails" in caplog.text
        assert client.get("/missing").status == 404
        assert atomic() == 1
        assert client.get("/exempt").status == 500
        assert atomic() == 2


def test_an_async_handler_stops_the_start(atomic):
    async def view(request): ...

    with pytest.raises(DeclarationError, match="ATOMIC_REQUESTS of the database `default`"):
        bind(view, [], ["GET"])
    bind(transaction.non_atomic_requests(view), [], ["GET"])
    api = BoltAPI()
    api.get("/")(atomic_view)
    with pytest.raises(ConfigError, match="atomic_view"):
        Client(api)


async def atomic_view(request): ...


def test_without_the_setting_a_handler_is_untouched():
    assert atomic_requests(insert) is insert
