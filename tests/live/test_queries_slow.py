"""Declared reads that take long: whom they keep waiting, and how they end."""

import json
import re
import resource
import socket
import statistics
import threading
import time

import pytest

from tests.live.reads import (
    POOL,
    Pace,
    ask,
    begin,
    ended,
    names,
    on_postgres,
    serve,
    told,
    until,
)


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory):
    directory = tmp_path_factory.mktemp("slow")
    with serve(directory, on_postgres(cluster)) as server:
        names(server)
        yield server


@pytest.fixture(scope="module")
def alone(cluster, tmp_path_factory):
    """One worker: all requests have the same two connections."""
    with serve(tmp_path_factory.mktemp("alone"), on_postgres(cluster), workers=1) as server:
        names(server)
        yield server


def test_a_slow_read_keeps_no_quick_one_waiting(alone, watcher):
    took = []
    for _ in range(5):
        slow = begin(alone, "/sleep/2")
        begun = time.monotonic()
        # From the first moment on: when nothing says yet that it is slow.
        with Pace(alone, "/items", rate=200, connections=8) as pace:
            until(lambda begun=begun: time.monotonic() - begun > 1)
        assert pace.statuses().keys() == {200}
        took += [answer[2] for answer in pace.answers if answer[0] < begun + 1.5]
        assert ended(slow) == 200
    worst, median = max(took), statistics.median(took)
    print(json.dumps({"name": "slow", "worst": worst, "median": median, "count": len(took)}))
    assert len(took) > 300
    assert median < 0.05
    assert worst < 0.5


def test_what_stands_behind_two_slow_ones_goes_on_when_the_first_of_them_ends(alone):
    long = begin(alone, "/sleep/2")
    time.sleep(0.1)
    short = begin(alone, "/sleep/0.5")
    time.sleep(0.1)
    begun = time.monotonic()
    waiting = [begin(alone, "/items") for _ in range(50)]
    assert {ended(connection) for connection in waiting} == {200}
    took = time.monotonic() - begun
    assert 0.2 < took < 1.2
    assert ended(short) == 200
    assert ended(long) == 200


def test_a_client_that_goes_has_its_statement_cancelled(server, watcher):
    for _ in range(5):
        slow = begin(server, "/sleep/60")
        until(watcher.sleeping)
        slow.close()
        took = until(lambda: not watcher.sleeping())
        assert took < 1


def test_a_timeout_has_its_statement_cancelled(server, watcher):
    begun = time.monotonic()
    assert ask(server, "/sleep/30")[0] == 504
    assert time.monotonic() - begun < 3
    assert until(lambda: not watcher.sleeping()) < 1


def test_one_that_waits_is_cancelled_when_it_would_run(alone, watcher):
    slow = [begin(alone, "/sleep/0.5") for _ in range(2)]
    until(lambda: len(watcher.sleeping()) == 2)
    behind = [begin(alone, "/sleep/60") for _ in range(6)]
    time.sleep(0.1)
    for connection in behind:
        connection.close()
    assert {ended(connection) for connection in slow} == {200}
    begun = time.monotonic()
    assert ask(alone, "/items")[0] == 200
    until(lambda: not watcher.sleeping())
    assert time.monotonic() - begun < 3


def test_cancellations_hit_nobody_else(server, watcher):
    over = threading.Event()

    def leave():
        while not over.is_set():
            connection = begin(server, "/sleep/60")
            time.sleep(0.03)
            connection.close()
            # That is as much as four connections can bear.
            time.sleep(0.15)

    def late():
        while not over.is_set():
            assert ask(server, "/sleep/30")[0] in (504, 503)

    sessions = set(watcher.sessions())
    threads = [threading.Thread(target=one) for one in (leave, leave, late)]
    for thread in threads:
        thread.start()
    with Pace(server, "/items", rate=300, connections=12) as pace:
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > 6)
    over.set()
    for thread in threads:
        thread.join()
    took = [answer[2] for answer in pace.answers]
    figures = {"count": len(took), "worst": max(took), "median": statistics.median(took)}
    print(json.dumps({"name": "cancellations", **figures}))
    assert pace.statuses().keys() == {200}
    assert until(lambda: not watcher.sleeping()) < 1
    # Nobody's connection was given up.
    assert set(watcher.sessions()) == sessions


def test_many_rows_too_many_are_not_waited_for(alone, watcher):
    for _ in range(20):
        assert ask(alone, "/long")[0] == 500
        assert ask(alone, "/items")[0] == 200
    assert told(alone) == []


def test_so_many_wait_and_no_more(alone, watcher):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    slow = [begin(alone, "/sleep/2") for _ in range(POOL)]
    until(lambda: len(watcher.sleeping()) == POOL)
    waiting = [socket.create_connection(("127.0.0.1", alone.port)) for _ in range(2500)]
    for one in waiting:
        one.settimeout(30)
        one.sendall(b"GET /items HTTP/1.1\r\nHost: x\r\n\r\n")
    statuses = []
    for one in waiting:
        head = one.recv(65536)
        while b"\r\n\r\n" not in head:
            head += one.recv(65536)
        found = re.match(rb"HTTP/1.1 (\d+)", head)
        statuses.append(int(found[1]))
        if statuses[-1] == 503:
            assert b"retry-after: 1" in head.lower()
            assert b":overloaded" in head
        one.close()
    bound = 1024 * POOL - POOL
    print(json.dumps({"name": "queue", "answered": statuses.count(200), "bound": bound}))
    assert set(statuses) == {200, 503}
    # A slow one may have had a place on either.
    assert bound - POOL <= statuses.count(200) <= bound + 50
    assert {ended(connection) for connection in slow} == {200}
    assert names(alone)
