"""Declared reads while PostgreSQL is not there, or is there and does not answer, and when it is
back."""

import contextlib
import json
import signal
import time
from pathlib import Path

import psycopg
import pytest

from tests.live.reads import (
    POOL,
    WORKERS,
    Pace,
    names,
    on_postgres,
    serve,
    told,
    until,
)

#: Of the reads' own session name; a password that only a changed `pg_hba.conf` asks for.
PASSWORD = "correct horse"


@pytest.fixture
def server(cluster, tmp_path):
    with serve(tmp_path / "server", on_postgres(cluster)) as server:
        yield server


def retried(server, url="/items"):
    status, headers, body = server.request("GET", url)
    assert status in (200, 503)
    if status == 503:
        assert headers["retry-after"] == "1"
        assert json.loads(body)["type"] == "urn:pybolt:problem:database_unavailable"
    return status


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_a_restart_is_over_within_a_second_and_costs_no_connection_two_answers(
    server, cluster, ends
):
    with Pace(server, "/items") as pace:
        until(lambda: len(pace.answers) > 50)
        stopping = time.monotonic()
        getattr(cluster, ends)()
        down = time.monotonic()
        until(lambda: pace.statuses(down)[503] > 100)
        starting = time.monotonic()
        cluster.start()
        back = time.monotonic()
        until(lambda: len(pace.statuses(back + 1)) and sum(pace.statuses(back + 1).values()) > 50)
    assert pace.statuses(until=stopping).keys() == {200}
    assert pace.statuses().keys() == {200, 503}
    # While it is down, nobody waits to be told so.
    away = [answer for answer in pace.answers if down < answer[0] < starting]
    assert {answer[1] for answer in away} == {503}
    assert {answer[4] for answer in away} == {"1"}
    slowest = max(answer[2] for answer in away)
    assert slowest < 0.5
    late = pace.statuses(back + 1)
    assert late.keys() == {200}
    failed = [begun for begun, status, *_ in pace.answers if status == 503 and begun > back]
    recovery = max(failed, default=back) - back
    line = {"name": f"D1 reads {ends}", "pass": recovery <= 1, "figure": recovery, "limit": 1}
    print(json.dumps(line | {"slowest_503": slowest}))
    # One line of each worker when it begins, and one when it is over.
    until(lambda: len(told(server)) == 2 * WORKERS)
    assert sorted(answers for answers, _ in told(server)) == [False] * WORKERS + [True] * WORKERS
    assert len(names(server)) == 10


def test_a_restart_that_nobody_notices_fails_one_request_for_each_connection_at_most(
    server, cluster
):
    with Pace(server, "/items") as pace:
        until(lambda: len(pace.answers) > 50)
        begun = time.monotonic()
        cluster.stop()
        cluster.start()
        back = time.monotonic()
        until(lambda: sum(pace.statuses(back).values()) > 100)
    assert pace.statuses(until=begun).keys() == {200}
    assert pace.statuses(back).keys() <= {200, 503}
    assert pace.statuses(back + 1).keys() <= {200}


def test_connections_that_are_ended_cost_nobody_an_answer(server, watcher):
    with Pace(server, "/items", rate=200) as pace:
        for _ in range(20):
            sessions = watcher.sessions()
            for pid in sessions[: len(sessions) // 2]:
                watcher.all("SELECT pg_terminate_backend(%s)", pid)
            count = len(pace.answers)
            until(lambda count=count: len(pace.answers) > count + 10)
        # All at once, too.
        watcher.all(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pybolt'"
        )
        count = len(pace.answers)
        until(lambda: len(pace.answers) > count + 50)
    assert pace.statuses().keys() == {200}
    assert told(server) == []
    until(lambda: len(watcher.sessions()) == WORKERS * POOL)


def test_a_server_without_room_is_waited_for(cluster, watcher, tmp_path):
    [(limit,)] = watcher.all("SHOW max_connections")
    watcher.session.execute("CREATE ROLE plain LOGIN")
    watcher.session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain")
    address = f"host=127.0.0.1 port={cluster.port} user=plain dbname=postgres"
    hogs = []
    try:
        with contextlib.suppress(psycopg.OperationalError):
            while len(hogs) <= int(limit):
                hogs.append(psycopg.connect(address))
        assert len(hogs) < int(limit)
        with serve(tmp_path / "server", on_postgres(cluster, USER="plain")) as server:
            assert retried(server) == 503
            until(lambda: len(told(server)) == WORKERS)
            assert {answers for answers, _ in told(server)} == {False}
            assert all("SQLSTATE 53300" in reason for _, reason in told(server))
            for hog in hogs:
                hog.close()
            took = until(lambda: retried(server) == 200)
            print(json.dumps({"name": "room", "figure": took, "limit": 1}))
            assert took < 2
            until(lambda: len(told(server)) == 2 * WORKERS)
    finally:
        for hog in hogs:
            hog.close()
        watcher.session.execute("DROP OWNED BY plain")
        watcher.session.execute("DROP ROLE plain")


def test_a_wrong_password_is_tried_again(cluster, watcher, tmp_path):
    watcher.session.execute(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
    watcher.session.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO guarded")
    rules = cluster.directory / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + before)
    watcher.all("SELECT pg_reload_conf()")
    try:
        database = on_postgres(cluster, USER="guarded", PASSWORD="wrong horse")
        with serve(tmp_path / "server", database) as server:
            assert retried(server) == 503
            until(lambda: len(told(server)) == WORKERS)
            assert all("SQLSTATE 28P01" in reason for _, reason in told(server))
            watcher.session.execute("ALTER ROLE guarded PASSWORD 'wrong horse'")
            took = until(lambda: retried(server) == 200)
            print(json.dumps({"name": "password", "figure": took, "limit": 1}))
            assert took < 2
            assert "wrong horse" not in server.log()
    finally:
        rules.write_text(before)
        watcher.all("SELECT pg_reload_conf()")
        watcher.session.execute("DROP OWNED BY guarded")
        watcher.session.execute("DROP ROLE guarded")


def memory(server):
    """Of its workers, in MiB."""
    found = 0
    for pid in server.workers():
        status = Path(f"/proc/{pid}/status").read_text()
        found += int(status.partition("VmRSS:")[2].split()[0])
    return found / 1024


def test_a_server_that_stands_still_lets_nothing_hang(server, cluster, watcher):
    before = memory(server)
    with Pace(server, "/timed", rate=200, connections=60) as pace:
        until(lambda: len(pace.answers) > 200)
        stopping = time.monotonic()
        cluster.signal(signal.SIGSTOP)
        try:
            # First the route's timeout; then it is known that nobody answers.
            until(lambda: pace.statuses(stopping)[504] > 60)
            until(lambda: pace.statuses(stopping)[503] > 1000)
            grown = memory(server) - before
        finally:
            cluster.signal(signal.SIGCONT)
        back = time.monotonic()
        until(lambda: sum(pace.statuses(back + 2).values()) > 100)
    # Those that were under way then are not told apart from those that came later.
    assert pace.statuses(until=stopping - 0.1).keys() == {200}
    assert pace.statuses().keys() == {200, 503, 504}
    slowest = max(answer[2] for answer in pace.answers)
    failed = [begun for begun, status, *_ in pace.answers if status != 200 and begun > back]
    recovery = max(failed, default=back) - back
    line = {"name": "D1 reads SIGSTOP", "figure": recovery, "slowest": slowest, "MiB": grown}
    print(json.dumps(line))
    assert slowest < 3
    assert pace.statuses(back + 2).keys() == {200}
    assert grown < 50
    until(lambda: len(watcher.sessions()) == WORKERS * POOL)


def test_a_start_does_not_wait_for_a_server_that_stands_still(cluster, tmp_path):
    cluster.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        # Django asks while the reads are compiled, and about migrations; it waits so long.
        database = on_postgres(cluster, OPTIONS={"connect_timeout": 2})
        with serve(tmp_path / "server", database) as server:
            started = time.monotonic() - begun
            until(lambda: retried(server) == 503)
            until(lambda: len(told(server)) == WORKERS)
            begun = time.monotonic()
            assert retried(server) == 503
            assert time.monotonic() - begun < 0.5
            cluster.signal(signal.SIGCONT)
            assert until(lambda: retried(server) == 200) < 3
    finally:
        cluster.signal(signal.SIGCONT)
    assert started < 40
