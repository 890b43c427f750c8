"""An attached project on a real PostgreSQL: the ORM on every lane, restarts, open transactions."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.command import python, said
from tests.live.postgres import postgres
from tests.live.server import ROOT, Server

WORKERS = 2
ARGUMENTS = ("tests.live.orm_project.api:api", "--workers", str(WORKERS))
#: Of each worker: the pool's eight, the compute and quick lanes, and as many for async handlers.
THREADS = 18


@pytest.fixture(scope="module")
def cluster():
    with postgres() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def environ(cluster):
    environ = {
        "DJANGO_SETTINGS_MODULE": "tests.live.orm_project.settings",
        "POSTGRES_PORT": str(cluster.port),
    }
    script = (
        "import django; django.setup()\n"
        "from django.db import connection\n"
        "from tests.live.orm_project.models import Note\n"
        "with connection.schema_editor() as editor: editor.create_model(Note)\n"
    )
    said(python(ROOT, "-c", script, environ=environ))
    return environ


@pytest.fixture(scope="module")
def server(environ, tmp_path_factory):
    with Server(tmp_path_factory.mktemp("postgres"), *ARGUMENTS, environ=environ) as server:
        yield server


def get(server, url):
    status, _, body = server.request("GET", url)
    return status, json.loads(body)


def test_the_orm_sync_and_async(server):
    status, _, body = server.request("POST", "/notes", json.dumps({"text": "ä"}))
    assert status == 201
    pk = json.loads(body)["id"]
    assert get(server, "/notes") == (200, [{"id": pk, "text": "ä"}])
    assert get(server, f"/notes/{pk}") == (200, {"id": pk, "text": "ä", "of": 1})


@pytest.mark.parametrize(
    ("url", "status"),
    [("/leave-open", 200), ("/enter-atomic", 200), ("/begin", 200), ("/raise-in-atomic", 500)],
)
def test_the_next_requests_see_nothing_of_an_open_transaction(server, url, status):
    before = get(server, "/count")[1]["count"]
    for _ in range(2 * WORKERS * THREADS):
        assert server.request("GET", url)[0] == status
    for _ in range(200):
        assert get(server, "/count") == (200, {"count": before, "open": False})


def test_async_requests_share_no_transaction(server):
    with ThreadPoolExecutor(9) as pool:
        leaving = pool.submit(lambda: [server.request("GET", "/aleave-open")[0] for _ in range(40)])
        answers = list(pool.map(lambda _: server.request("POST", "/anotes"), range(200)))
        assert leaving.result() == [200] * 40
    assert {status for status, _, _ in answers} == {201}
    for _, _, body in answers[::10]:
        assert get(server, f"/notes/{json.loads(body)['id']}")[0] == 200
    kept = json.loads(server.request("GET", "/notes")[2])
    written = {json.loads(body)["id"] for _, _, body in answers}
    assert written <= {note["id"] for note in kept}
    assert "never committed" not in get(server, "/texts")[1]["texts"]


class Sessions:
    """How many sessions the database has for others, looked at all the time; of an application."""

    def __init__(self, cluster, application="%"):
        self.most = 0
        self._application = application
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(cluster.port,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._over.set()
        self._thread.join(20)

    def _look(self, port):
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND application_name LIKE %s"
        )
        address = f"host=127.0.0.1 port={port} user=bolt dbname=postgres"
        with psycopg.connect(address, autocommit=True) as session:
            while not self._over.wait(0.005):
                self.most = max(
                    self.most, session.execute(query, [self._application]).fetchone()[0]
                )


def test_a_burst_of_slow_and_cancelled_requests_has_so_many_connections(server, cluster):
    with Sessions(cluster) as sessions:
        connections = [server.connect() for _ in range(200)]
        for connection in connections:
            connection.request("GET", "/aslow")
        for connection in connections[::4]:
            connection.close()
        del connections[::4]
        assert {connection.getresponse().status for connection in connections} == {200}
    for connection in connections:
        connection.close()
    print(json.dumps({"name": "D2", "connections": sessions.most, "limit": WORKERS * THREADS}))
    assert 0 < sessions.most <= WORKERS * THREADS


def test_streams_that_stay_open_keep_nobody_from_the_database(server, cluster):
    with Sessions(cluster) as sessions:
        streams = [server.connect() for _ in range(60)]
        for stream in streams:
            stream.request("GET", "/ticks")
        responses = [stream.getresponse() for stream in streams]
        for _ in range(3):
            assert [response.readline().strip().isdigit() for response in responses] == [True] * 60
            begun = time.monotonic()
            assert get(server, "/acount")[0] == 200
            assert time.monotonic() - begun < 2
    for stream in streams:
        stream.close()
    assert sessions.most <= WORKERS * THREADS


def test_a_client_that_goes_leaves_no_connection_behind(server, cluster):
    with Sessions(cluster) as sessions:
        for _ in range(50):
            connection = server.connect()
            connection.request("GET", "/cancelled")
            connection.close()
        assert get(server, "/acount")[0] == 200
    assert sessions.most <= WORKERS * THREADS


def test_a_pool_of_psycopg_s_bounds_the_connections_of_a_worker(environ, cluster, tmp_path):
    pooled = environ | {"POSTGRES_POOL": "3"}
    with (
        Server(tmp_path, *ARGUMENTS, environ=pooled) as server,
        Sessions(cluster, "pooled") as sessions,
    ):
        before = get(server, "/count")[1]["count"]
        for _ in range(20):
            for url in ("/leave-open", "/enter-atomic", "/begin", "/aleave-open"):
                assert server.request("GET", url)[0] == 200
            assert get(server, "/count") == (200, {"count": before, "open": False})
        urls = ["/aslow", "/count", "/acount"] * 40
        with ThreadPoolExecutor(30) as pool:
            statuses = list(pool.map(lambda url: server.request("GET", url)[0], urls))
        assert set(statuses) == {200}
        assert get(server, "/count")[1]["count"] == before + urls.count("/aslow")
    print(json.dumps({"name": "pooled", "connections": sessions.most, "limit": 3 * WORKERS}))
    assert 0 < sessions.most <= 3 * WORKERS


class Load:
    """One request after the other on a keep-alive connection, until stopped."""

    def __init__(self, server, url, pause):
        self.server, self.url, self.pause = server, url, pause
        self.answers: list[tuple[float, int]] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        connection = self.server.connect()
        while not self.stopped.wait(self.pause):
            begun = time.monotonic()
            connection.request("GET", self.url)
            response = connection.getresponse()
            response.read()
            self.answers.append((begun, response.status))
        connection.close()

    def stop(self):
        self.stopped.set()
        self.thread.join(20)
        return self.answers


def test_a_restart_of_the_database_is_over_within_a_second(server, cluster):
    # 100 requests a second, sync and async.
    loads = [Load(server, url, 0.04) for url in ("/count", "/acount") * 2]
    time.sleep(1)
    stopping = time.monotonic()
    cluster.stop()
    cluster.start()
    back = time.monotonic()
    time.sleep(2.5)
    answers = [answer for load in loads for answer in load.stop()]
    print(json.dumps({"name": "D1", "answers": len(answers), "outage": back - stopping}))
    assert {status for begun, status in answers if begun < stopping} == {200}
    assert [status for begun, status in answers if begun > back + 1 and status != 200] == []
    after = [status for begun, status in answers if begun > back]
    assert len(after) > 100
    assert {*after} <= {200, 500}
    # At most one failure for each connection that was live when the server went away.
    assert after.count(500) <= WORKERS * THREADS
