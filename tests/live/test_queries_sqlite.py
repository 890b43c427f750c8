"""Declared reads over an SQLite file that is locked, missing, replaced, written to, or slow."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from tests.live.reads import Pace, ask, make, names, serve, until

WORKERS = 2


def on_sqlite(path, **more):
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), **more}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "db.sqlite3"
    make(on_sqlite(path))
    return path


@contextlib.contextmanager
def locked(path):
    """A file that another process has for itself."""
    script = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "connection.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def test_a_locked_file_is_waited_for(path, tmp_path):
    with serve(tmp_path / "server", on_sqlite(path)) as server:
        assert len(names(server)) == 10
        with locked(path):
            answers = []
            # More than there are readers: they wait side by side, not one after the other.
            threads = [
                threading.Thread(target=lambda: answers.append(timed(server, "/items")))
                for _ in range(12)
            ]
            threads += [
                threading.Thread(target=lambda: answers.append(timed(server, "/timed")))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            statuses = sorted(status for status, _ in answers)
            slowest = max(took for _, took in answers)
            print(json.dumps({"name": "locked", "slowest": slowest}))
            assert statuses == [503] * 12 + [504] * 4
            assert slowest < 8
            waiting = server.connect()
            waiting.request("GET", "/items")
        # It is answered when the lock is gone.
        response = waiting.getresponse()
        assert (response.status, len(json.loads(response.read()))) == (200, 10)
        waiting.close()
        assert len(names(server)) == 10


def timed(server, url):
    begun = time.monotonic()
    status, headers, _ = server.request("GET", url)
    if status == 503:
        assert headers["retry-after"] == "1"
    return status, time.monotonic() - begun


def test_a_file_that_is_missing_at_the_start_is_read_when_it_is_there(tmp_path):
    path = tmp_path / "later.sqlite3"
    with serve(tmp_path / "server", on_sqlite(path)) as server:
        # Django makes an empty file where it looks for one.
        path.unlink(missing_ok=True)
        assert ask(server, "/items")[0] == 503
        assert not path.exists()
        make(on_sqlite(path))
        assert len(names(server)) == 10


def test_a_file_that_another_takes_the_place_of_is_read(path, tmp_path):
    with serve(tmp_path / "server", on_sqlite(path)) as server:
        assert names(server)[0] == "secret-1"
        for number in range(3):
            other = tmp_path / "other.sqlite3"
            with contextlib.closing(sqlite3.connect(path)) as before:
                with contextlib.closing(sqlite3.connect(other)) as after:
                    before.backup(after)
                    after.execute(f"UPDATE reading_item SET name = 'new {number}' WHERE id = 1")
                    after.commit()
            other.replace(path)
            assert {names(server)[0] for _ in range(20)} == {f"new {number}"}
        path.unlink()
        assert ask(server, "/items")[0] == 503


def test_what_takes_long_is_ended(path, tmp_path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = ((number, "x", "y", 0) for number in range(100, 3000))
        connection.executemany("INSERT INTO reading_item VALUES (?, ?, ?, ?)", rows)
        connection.commit()
    with serve(tmp_path / "server", on_sqlite(path), workers=1) as server:
        begun = time.monotonic()
        # As many as there are readers, and more.
        slow = [server.connect() for _ in range(6)]
        for connection in slow:
            connection.request("GET", "/heavy")
        time.sleep(0.3)
        for connection in slow[:4]:
            connection.close()
        assert [ended(connection) for connection in slow[4:]] == [504, 504]
        assert time.monotonic() - begun < 5
        # And those who went leave the readers free.
        begun = time.monotonic()
        assert len(names(server)) == 10
        assert time.monotonic() - begun < 2
        counters = ask(server, "/stats")[1]["databases"]["default"]
        assert (counters["in_flight"], counters["failed"]) == (0, 6)


def ended(connection):
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def test_reads_beside_a_writer_that_is_killed(path, tmp_path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    with serve(tmp_path / "server", on_sqlite(path)) as server:
        for _ in range(6):
            with Pace(server, "/pairs", rate=200, connections=8) as pace:
                writers = [threading.Thread(target=write, args=(server,)) for _ in range(2)]
                for writer in writers:
                    writer.start()
                count = len(pace.answers)
                until(lambda count=count, pace=pace: len(pace.answers) > count + 60)
                pace.over.set()
                before = server.workers()
                for writer in writers:
                    writer.join()
            assert pace.statuses().keys() == {200}
            # Both rows of a transaction, or none.
            for answer in pace.answers:
                first, second = json.loads(answer[3])
                assert first == second
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            until(lambda before=before: not {*before} & {*server.workers()})
            until(lambda: reached(server))
        assert len(names(server)) == 10
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def reached(server):
    with contextlib.suppress(OSError):
        return server.request("GET", "/pairs")[0] == 200


def write(server):
    for _ in range(20):
        with contextlib.suppress(OSError):
            assert server.request("POST", "/pairs")[0] == 200


def test_words_of_sqlite_that_quote_a_value_are_not_told(path, tmp_path):
    with serve(tmp_path / "server", on_sqlite(path), workers=1) as server:
        # A JSON path of the data, which is none.
        assert ask(server, "/json")[0] == 500
        assert server.logs('"failed":"SQLite 1: ')
        assert "secret-" not in server.log()
