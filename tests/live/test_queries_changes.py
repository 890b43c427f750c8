"""Declared reads while tables, plans and workers change."""

import functools
import json
import os
import signal
import time
from urllib.parse import quote

import pytest

from tests.live.reads import (
    POOL,
    WORKERS,
    Pace,
    ask,
    environ,
    most,
    names,
    on_postgres,
    serve,
    told,
    until,
)
from tests.live.server import Server

CHANGES = [
    "ALTER TABLE reading_item ALTER COLUMN count TYPE bigint",
    "ALTER TABLE reading_item ADD COLUMN more text NOT NULL DEFAULT 'x'",
    "ALTER TABLE reading_item ALTER COLUMN name TYPE text",
    "CREATE INDEX by_name ON reading_item (name)",
    "ALTER TABLE reading_item ALTER COLUMN count TYPE integer",
    "ALTER TABLE reading_item DROP COLUMN more",
    "ALTER TABLE reading_item ALTER COLUMN name TYPE varchar(100)",
    "DROP INDEX by_name",
]


def test_migrations_under_load_are_not_noticed(cluster, watcher, tmp_path):
    with serve(tmp_path / "server", on_postgres(cluster)) as server:
        expected = server.request("GET", "/items")[2]
        with Pace(server, "/items", rate=200, connections=8) as pace:
            until(lambda: len(pace.answers) > 50)
            for change in CHANGES * 3:
                watcher.session.execute(change)
                count = len(pace.answers)
                until(lambda count=count: len(pace.answers) > count + 30)
        assert pace.statuses().keys() == {200}
        assert {answer[3] for answer in pace.answers} == {expected}
        # Of the worker that was asked: every connection has prepared it anew, and not for each
        # request. The other one may have had no client.
        counted = [ask(server, "/stats")[1]["databases"]["default"] for _ in range(20)]
        assert 2 <= max(counters["prepared"] for counters in counted) < 100
        assert told(server) == []


ALTER_NAME = "ALTER TABLE reading_item ALTER COLUMN name TYPE"


def test_a_text_is_of_the_type_that_its_column_has(cluster, watcher, tmp_path):
    execute = watcher.session.execute
    quoted = "SELECT string_agg(DISTINCT quote_literal(name), ', ') FROM reading_item"
    [values] = execute(quoted).fetchone()
    with serve(tmp_path / "server", on_postgres(cluster)) as server:
        name = names(server)[0]
        find = functools.partial(ask, server, f"/named?name={quote(name)}")
        found = find()
        assert found[0] == 200
        assert found[1] != []
        for number in range(2):
            execute(f"CREATE TYPE naming{number} AS ENUM ({values})")
            execute(f"{ALTER_NAME} naming{number} USING name::text::naming{number}")
            execute(f"DROP TYPE IF EXISTS naming{number - 1}" if number else "SELECT 1")
            assert [find() for _ in range(6)] == [found] * 6
        execute("CREATE EXTENSION citext")
        execute(f"{ALTER_NAME} citext USING name::text")
        assert [find() for _ in range(6)] == [found] * 6
        assert told(server) == []
    # As in Django, whose literal has no type.
    other = name.swapcase()
    assert other != name
    with serve(tmp_path / "other", on_postgres(cluster)) as server:
        assert [ask(server, f"/named?name={quote(other)}") for _ in range(6)] == [found] * 6
    execute(f"{ALTER_NAME} varchar(100) USING name::text")
    execute("DROP EXTENSION citext")
    execute("DROP TYPE naming1")


def test_a_column_that_goes_is_an_error_until_it_is_back(cluster, watcher, tmp_path):
    with serve(tmp_path / "server", on_postgres(cluster)) as server:
        assert len(names(server)) == 10
        for _ in range(2):
            watcher.session.execute("ALTER TABLE reading_item RENAME COLUMN name TO title")
            assert [ask(server, "/items")[0] for _ in range(20)] == [500] * 20
            watcher.session.execute("ALTER TABLE reading_item RENAME COLUMN title TO name")
            assert [ask(server, "/items")[0] for _ in range(20)] == [200] * 20
        assert server.logs("SQLSTATE 42703 column reading_item.name does not exist")


def test_a_reload_keeps_the_connections(cluster, watcher, tmp_path):
    config = "version: 1\nroutes:\n  - {{path: /{}, respond: {{body: ok}}, auth: public}}\n"
    (tmp_path / "bolt.yaml").write_text(config.format("first"))
    arguments = ("tests.live.reading.api:api", "--config", "bolt.yaml", "--workers", str(WORKERS))
    with Server(tmp_path, *arguments, environ=environ(on_postgres(cluster))) as server:
        until(lambda: len(watcher.sessions()) == WORKERS * POOL)
        before = set(watcher.sessions())
        with most(cluster) as peak, Pace(server, "/items") as pace:
            for version, name in [(2, "second"), (3, "third")]:
                (tmp_path / "bolt.yaml").write_text(config.format(name))
                server.process.send_signal(signal.SIGHUP)
                assert server.logs(f"bolt: version {version} (")
                assert {server.request("GET", f"/{name}")[0] for _ in range(8)} == {200}
        assert pace.statuses().keys() == {200}
        assert set(watcher.sessions()) == before
        assert peak[0] <= WORKERS * POOL


def test_a_worker_that_dies_leaves_nothing_behind(cluster, watcher, tmp_path):
    with serve(tmp_path / "server", on_postgres(cluster)) as server, most(cluster) as peak:
        assert len(names(server)) == 10
        slow = [server.connect() for _ in range(8)]
        for connection in slow:
            connection.request("GET", "/sleep/60")
        until(lambda: len(watcher.sleeping()) >= 2)
        old = server.workers()
        sessions = watcher.sessions()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        for connection in slow:
            connection.close()
        # The server sees that they have gone, even where it was asked to sleep for a minute.
        took = until(lambda: not {*sessions} & {*watcher.sessions()})
        assert took < 5
        until(lambda: len(watcher.sessions()) == WORKERS * POOL)
        assert len(names(server)) == 10
    # Those of dead workers end a moment later than the new ones begin.
    assert peak[0] <= 2 * WORKERS * POOL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_the_end_there_is_no_connection(cluster, watcher, tmp_path, number):
    server = serve(tmp_path / "server", on_postgres(cluster))
    with most(cluster) as peak, Pace(server, "/items", connections=1):
        until(lambda: len(watcher.sessions()) == WORKERS * POOL)
        slow = server.connect()
        slow.request("GET", "/sleep/2")
        until(watcher.sleeping)
        time.sleep(0)
        if number == signal.SIGINT:
            slow.close()
    assert server.stop(number) in (0, 128 + number)
    ended = until(lambda: not watcher.sessions())
    slow.close()
    print(json.dumps({"name": "ended", "signal": int(number), "after": ended}))
    assert ended < 3
    assert peak[0] <= WORKERS * POOL
