"""A server of the project ``reading`` over a database of a test's own, and how to look at both."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg

from tests.command import ROOT, python, said
from tests.live.postgres import Postgres
from tests.live.server import Server

WORKERS = 2
#: Connections of each worker.
POOL = 2
ITEMS = 20
#: What tokens are signed with.
SECRET = "s" * 32

_MAKE = """
import django; django.setup()
from django.db import connection
from tests.live.reading.models import Item, Moment
with connection.schema_editor() as editor:
    editor.create_model(Item)
    editor.create_model(Moment)
Item.objects.bulk_create(
    Item(name=f"secret-{number}", owner=f"user-{number & 1}", count=number)
    for number in range(1, %d + 1)
)
"""


def on_postgres(cluster: Postgres, **more: Any) -> dict[str, Any]:
    """Django's setting of a database of ``cluster``."""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": str(cluster.port),
        "NAME": "postgres",
        "USER": "bolt",
        **more,
    }


def environ(database: Mapping[str, Any]) -> dict[str, str]:
    """The environment of the project over ``database``."""
    return {
        "DJANGO_SETTINGS_MODULE": "tests.live.reading.settings",
        "READ_DATABASE": json.dumps(database),
        "READ_SECRET": SECRET,
        "READ_ENGINE": database["ENGINE"].rpartition(".")[2],
    }


def make(database: Mapping[str, Any]) -> None:
    """Makes the tables, with :data:`ITEMS` rows."""
    said(python(ROOT, "-c", _MAKE % ITEMS, environ=environ(database)))


def serve(
    directory: Path, database: Mapping[str, Any], workers: int = WORKERS, **more: str
) -> Server:
    """The project, served."""
    directory.mkdir(exist_ok=True)
    arguments = ("tests.live.reading.api:api", "--workers", str(workers))
    return Server(directory, *arguments, environ=environ(database) | more)


def ask(server: Server, url: str, **headers: str) -> tuple[int, Any]:
    """Status and JSON."""
    status, _, body = server.request("GET", url, headers=headers)
    return status, json.loads(body)


def begin(server: Server, url: str) -> http.client.HTTPConnection:
    """A request that nobody waits for yet."""
    connection = server.connect()
    connection.request("GET", url)
    return connection


def ended(connection: http.client.HTTPConnection) -> int:
    """The status of what was begun."""
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def names(server: Server) -> list[str]:
    """Of the first ten rows."""
    status, rows = ask(server, "/items")
    assert status == 200, rows
    return [row["name"] for row in rows]


def told(server: Server) -> list[tuple[bool, str | None]]:
    """The log's lines about databases: whether it answers, and why not."""
    lines = [line for line in server.log().splitlines() if line.startswith('{"database":')]
    return [(line["answers"], line.get("reason")) for line in map(json.loads, lines)]


def until(holds: Callable[[], Any], within: float = 20.0) -> float:
    """Waits until it holds; how long that took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < within
        time.sleep(0.005)
    return time.monotonic() - begun


class Watcher:
    """A session that looks at the sessions of others; ``most`` of the server's while entered."""

    def __init__(self, cluster: Postgres) -> None:
        address = f"host=127.0.0.1 port={cluster.port} user=bolt dbname=postgres"
        self.session = psycopg.connect(address, autocommit=True, application_name="watcher")

    def all(self, what: str, *values: Any) -> list[Any]:
        """The rows of a statement."""
        return self.session.execute(what, values or None).fetchall()

    def sessions(self, where: str = "true") -> list[int]:
        """The process ids of the server's sessions."""
        found = self.all(
            f"SELECT pid FROM pg_stat_activity WHERE application_name = %s AND {where}", "pybolt"
        )
        return [pid for (pid,) in found]

    def sleeping(self) -> list[int]:
        """Those that are in `pg_sleep`."""
        return self.sessions("state = 'active' AND query LIKE '%%pg_sleep%%'")

    def close(self) -> None:
        """Ends the session."""
        self.session.close()


@contextlib.contextmanager
def most(cluster: Postgres) -> Iterator[list[int]]:
    """The most sessions that there were in the block, as its only item."""
    found, over = [0], threading.Event()

    def look() -> None:
        watcher = Watcher(cluster)
        while not over.wait(0.005):
            found[0] = max(found[0], len(watcher.sessions()))
        watcher.close()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join(20)


class Pace:
    """``rate`` requests a second for ``url`` on keep-alive connections while entered: when each
    was sent, its status, and how long it took."""

    def __init__(self, server: Server, url: str, rate: int = 100, connections: int = 4) -> None:
        self.server, self.url = server, url
        self.pause = connections / rate
        self.answers: list[tuple[float, int, float, bytes, str | None]] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(connections)]

    def __enter__(self) -> Pace:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def statuses(self, since: float = 0.0, until: float = float("inf")) -> Counter[int]:
        """How often each came, of what was sent between two moments."""
        return Counter(status for begun, status, *_ in self.answers if since <= begun < until)

    def _run(self) -> None:
        connection = self.server.connect()
        while not self.over.wait(self.pause):
            begun = time.monotonic()
            connection.request("GET", self.url)
            response = connection.getresponse()
            body = response.read()
            took = time.monotonic() - begun
            retry = response.headers["retry-after"]
            self.answers.append((begun, response.status, took, body, retry))
        connection.close()
