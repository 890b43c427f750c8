"""Declared reads through a pooler, which keeps no session: every statement has a transaction of its
own."""

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections import Counter

import psycopg
import pytest

from tests.live.pgbouncer import pgbouncer
from tests.live.reads import (
    ITEMS,
    Pace,
    Watcher,
    ask,
    begin,
    ended,
    environ,
    names,
    on_postgres,
    serve,
    told,
    until,
)
from tests.live.server import Server

#: What no session has by itself.
ZONE = "Asia/Tokyo"
MADE = [
    f"ALTER DATABASE postgres SET TimeZone = '{ZONE}'",
    "CREATE SEQUENCE drawn",
    "CREATE TABLE notes (at timestamptz)",
    "CREATE FUNCTION noted() RETURNS int LANGUAGE sql VOLATILE"
    " AS 'INSERT INTO notes VALUES (now()) RETURNING 1'",
]


@pytest.fixture(scope="module")
def cluster(cluster):
    with contextlib.closing(Watcher(cluster)) as watcher:
        for statement in MADE:
            watcher.session.execute(statement)
    return cluster


@pytest.fixture(scope="module")
def pooler(cluster):
    """A database behind a pooler that has room for all connections of a worker."""
    with pgbouncer(cluster, 8) as port:
        yield on_postgres(cluster, PORT=str(port), DISABLE_SERVER_SIDE_CURSORS=True)


@pytest.fixture(scope="module")
def server(pooler, tmp_path_factory):
    """One worker, whose reads say whether they may write."""
    directory = tmp_path_factory.mktemp("pooler")
    with serve(directory, pooler, workers=1, READ_SETTING="transaction_read_only") as server:
        names(server)
        yield server


def test_fifty_clients_read_through_a_pooler_with_two_connections(cluster, watcher, tmp_path):
    with pgbouncer(cluster, 2) as port:
        database = on_postgres(cluster, PORT=str(port), DISABLE_SERVER_SIDE_CURSORS=True)
        with serve(tmp_path / "server", database) as server:
            found = Counter()

            def read(client):
                connection = server.connect()
                for number in range(40):
                    wanted = (client + number) % ITEMS + 1
                    connection.request("GET", f"/item?id={wanted}")
                    response = connection.getresponse()
                    rows = json.loads(response.read())
                    found[
                        response.status, rows == [{"id": wanted, "name": f"secret-{wanted}"}]
                    ] += 1
                    connection.request("GET", "/items")
                    response = connection.getresponse()
                    found[response.status, len(json.loads(response.read())) == 10] += 1
                connection.close()

            threads = [threading.Thread(target=read, args=(client,)) for client in range(50)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == {(200, True): 50 * 80}
            # Nothing is prepared, and nobody was told so.
            assert told(server) == []
            [(sessions,)] = watcher.all(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pybolt'"
            )
            assert sessions <= 2
            # A client that goes has its statement cancelled through the pooler as well.
            connection = server.connect()
            connection.request("GET", "/sleep/60")
            until(lambda: naps(watcher))
            connection.close()
            assert until(lambda: not naps(watcher)) < 2
            assert len(names(server)) == 10


def naps(watcher):
    return watcher.all(
        "SELECT pid FROM pg_stat_activity WHERE state = 'active'"
        " AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
    )


def open_transactions(watcher):
    return watcher.all(
        "SELECT state, query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    )


def held(pooler):
    """The sessions that the pooler has given to somebody."""
    address = f"host=127.0.0.1 port={pooler['PORT']} user=bolt dbname=pgbouncer"
    with psycopg.connect(address, autocommit=True) as session:
        return [row for row in session.execute("SHOW SERVERS").fetchall() if "active" in row]


def test_a_read_writes_nothing(server, watcher):
    for url in ("/draw", "/note"):
        assert ask(server, url)[0] == 500
    until(lambda: server.log().count('"failed":"SQLSTATE 25006"') == 2)
    assert watcher.all("SELECT last_value, is_called FROM drawn") == [(1, False)]
    assert watcher.all("SELECT * FROM notes") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("transaction_read_only", "on"), ("TimeZone", "UTC"), ("statement_timeout", "1h")],
)
def test_a_transaction_is_set_as_a_session_is(pooler, watcher, tmp_path, name, value):
    with serve(tmp_path / "server", pooler, workers=1, READ_SETTING=name) as server:
        assert ask(server, "/setting") == (200, [value])
    # That of others is as it was.
    address = f"host=127.0.0.1 port={pooler['PORT']} user=bolt dbname=postgres"
    with psycopg.connect(address, autocommit=True) as session:
        for _ in range(4):
            [(found,)] = session.execute(f"SHOW {name}").fetchall()
            assert found == {"TimeZone": ZONE, "statement_timeout": "0"}.get(name, "off")


@pytest.mark.parametrize(
    ("name", "value"),
    [("search_path", '"$user", public, "a b"'), ("transaction_isolation", "repeatable read")],
)
def test_a_transaction_has_the_options_that_django_gives_a_session(
    cluster, watcher, tmp_path, name, value
):
    # Without a pooler, which may refuse them.
    options = r'-c search_path="$user",\ public,\ "a\ b" -c default_transaction_isolation='
    options += r"repeatable\ read"
    database = on_postgres(cluster, DISABLE_SERVER_SIDE_CURSORS=True, OPTIONS={"options": options})
    with serve(tmp_path / "server", database, workers=1, READ_SETTING=name) as server:
        assert ask(server, "/setting") == (200, [value])


def test_the_server_ends_what_nobody_cancels(pooler, watcher, tmp_path):
    (tmp_path / "bolt.yaml").write_text("version: 1\ndefaults: {timeout: 2s}\n")
    arguments = ("tests.live.reading.api:api", "--config", "bolt.yaml", "--workers", "1")
    given = environ(pooler) | {"READ_LONGEST": "3s"}
    with Server(tmp_path, *arguments, environ=given) as server:
        assert len(names(server)) == 10
        slow = server.connect()
        slow.request("GET", "/sleep/60")
        until(lambda: naps(watcher))
        [worker] = server.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            took = until(lambda: not naps(watcher))
            assert 2 < took < 5
            assert open_transactions(watcher) == []
        finally:
            os.kill(worker, signal.SIGCONT)
        assert slow.getresponse().status == 504
        slow.close()
        assert len(names(server)) == 10


def test_nothing_is_left_open_however_reads_end(server, pooler, watcher):
    over, found = threading.Event(), Counter()

    def leave():
        while not over.is_set():
            connection = server.connect()
            connection.request("GET", "/sleep/60")
            time.sleep(0.03)
            connection.close()
            time.sleep(0.15)

    def often(url):
        while not over.is_set():
            found[url, ask(server, url)[0]] += 1
            time.sleep(0.05)

    threads = [threading.Thread(target=leave)]
    urls = ("/sleep/30", "/long", "/cast", "/draw")
    threads += [threading.Thread(target=often, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    with Pace(server, "/setting", rate=200, connections=8) as pace:
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > 6)
        over.set()
    for thread in threads:
        thread.join()
    assert {(status, body) for _, status, _, body, _ in pace.answers} == {(200, b'["on"]')}
    assert {key for key in found if key[1] != 503} == {
        ("/sleep/30", 504),
        ("/long", 500),
        ("/cast", 500),
        ("/draw", 500),
    }
    assert until(lambda: not naps(watcher) and not held(pooler)) < 2
    assert open_transactions(watcher) == []
    assert told(server) == []
    assert watcher.all("SELECT is_called FROM drawn") == [(False,)]


def test_cancellations_at_any_moment_leave_nothing_open(server, pooler, cluster, watcher):
    cancel = (
        "SELECT count(pg_cancel_backend(pid)) FROM generate_series(1, 50),"
        " (SELECT pid FROM pg_stat_activity WHERE application_name = 'pybolt') AS sessions"
    )
    with contextlib.closing(Watcher(cluster)) as canceller:
        for _ in range(60):
            with Pace(server, "/setting", rate=400, connections=4) as pace:
                begun = time.monotonic()
                while time.monotonic() - begun < 0.1:
                    canceller.all(cancel)
            # Nobody has left, so nobody but the one that was hit is told so.
            assert pace.statuses().keys() <= {200, 504}
            assert until(lambda: not open_transactions(watcher) and not held(pooler)) < 2
            assert ask(server, "/setting") == (200, ["on"])


class Late:
    """A way to a server on which ``hits`` transactions are cancelled when they end."""

    END = b"Q\0\0\0\x0bCOMMIT\0"
    HIT = b"DO $$ BEGIN RAISE SQLSTATE '57014'; END $$\0"

    def __init__(self, port: int) -> None:
        self.server, self.hits, self.lock = port, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for ends in ((client, server, self._hit), (server, client, bytes)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source, target, change) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(change(data))
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _hit(self, data: bytes) -> bytes:
        with self.lock:
            count = min(self.hits, data.count(self.END))
            self.hits -= count
        hit = b"Q" + (len(self.HIT) + 4).to_bytes(4, "big") + self.HIT
        return data.replace(self.END, hit, count)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_a_cancellation_that_hits_the_end_of_a_transaction_leaves_nothing_open(
    pooler, watcher, tmp_path
):
    with contextlib.closing(Late(int(pooler["PORT"]))) as late:
        database = pooler | {"PORT": str(late.port)}
        given = {"READ_SETTING": "transaction_read_only"}
        with serve(tmp_path / "server", database, workers=1, **given) as server:
            names(server)
            # The first time a connection asks for the types alone, in a transaction as well.
            first = []
            for count in (1, 2):
                first.append(begin(server, "/sleep/0.5"))
                until(lambda count=count: len(naps(watcher)) == count)
                # The next one sees that it is slow.
                time.sleep(0.05)
            first += [begin(server, "/setting") for _ in range(6)]
            assert [ended(connection) for connection in first] == [200] * 8
            for _ in range(5):
                late.hits = 1
                # Who is hit has not been told whether the server is content.
                assert ask(server, "/setting")[0] == 504
                assert until(lambda: not open_transactions(watcher) and not held(pooler)) < 2
            slow = []
            for count in (1, 2):
                late.hits = 1
                slow.append(begin(server, "/sleep/0.5"))
                until(lambda count=count: len(naps(watcher)) == count)
                assert late.hits == 0
                # The next one sees that it is slow.
                time.sleep(0.05)
            # What stands behind on the same connections finds the transactions that failed.
            behind = [begin(server, "/setting") for _ in range(6)]
            assert [ended(connection) for connection in behind] == [200] * 6
            assert [ended(connection) for connection in slow] == [504] * 2
            assert until(lambda: not open_transactions(watcher) and not held(pooler)) < 2
            late.hits = 2
            gone = begin(server, "/sleep/60")
            until(lambda: naps(watcher))
            gone.close()
            assert until(lambda: not open_transactions(watcher) and not held(pooler)) < 2
            # It was our own cancellation, as far as anybody knows: who is hit by it is asked again.
            late.hits = 1
            assert ask(server, "/setting") == (200, ["on"])


def test_a_server_that_goes_is_no_mistake_of_a_read(server, cluster, pooler):
    with Pace(server, "/timed", rate=100) as pace:
        until(lambda: len(pace.answers) > 50)
        cluster.stop()
        down = time.monotonic()
        until(lambda: sum(pace.statuses(down).values()) > 10)
        cluster.start()
        until(lambda: len(pace.answers) and pace.answers[-1][1] == 200)
    assert pace.statuses().keys() <= {200, 503, 504}
    assert pace.statuses(down).keys() & {503, 504}
    assert ask(server, "/setting") == (200, ["on"])


def test_other_types_of_parameters_are_tried_and_those_that_fit_are_kept(server, cluster, watcher):
    found = ask(server, "/item?id=3")
    assert found == (200, [{"id": 3, "name": "secret-3"}])
    execute = watcher.session.execute
    execute("ALTER TABLE reading_item ALTER COLUMN id DROP IDENTITY")
    execute("ALTER TABLE reading_item ALTER COLUMN id TYPE text")
    for _ in range(10):
        assert ask(server, "/item?id=3") == (200, [{"id": "3", "name": "secret-3"}])
    log = (cluster.directory / "log").read_text()
    assert log.count("operator does not exist: text = bigint") == 1
    execute("ALTER TABLE reading_item ALTER COLUMN id TYPE bigint USING id::bigint")
    assert [ask(server, "/item?id=3") for _ in range(10)] == [found] * 10


def test_a_type_of_the_project_s_own_holds_nobody_up(pooler, watcher, tmp_path):
    watcher.session.execute("CREATE EXTENSION citext")
    watcher.session.execute("ALTER TABLE reading_item ALTER name TYPE citext")
    # More than a client holds back while it asks what the type is.
    grown = "UPDATE reading_item SET name = name || repeat('.', 20000) WHERE id <= 10"
    watcher.session.execute(grown)
    try:
        setting = {"READ_SETTING": "transaction_read_only"}
        with serve(tmp_path / "server", pooler, workers=1, **setting) as server:
            for _ in range(5):
                begun = time.monotonic()
                status, rows = ask(server, "/timed")
                assert (status, [len(row["name"]) > 20_000 for row in rows]) == (200, [True] * 10)
                assert ask(server, "/setting") == (200, ["on"])
                assert time.monotonic() - begun < 1
    finally:
        watcher.session.execute("UPDATE reading_item SET name = rtrim(name, '.')")
        watcher.session.execute("ALTER TABLE reading_item ALTER name TYPE varchar(100)")
        watcher.session.execute("DROP EXTENSION citext")
