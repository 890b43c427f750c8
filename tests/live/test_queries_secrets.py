"""What a declared read may do in a PostgreSQL, and what nobody is told of it."""

import json
import re
import time

import jwt
import pytest

from tests.live.gil import not_taken, read_often
from tests.live.reads import ITEMS, POOL, SECRET, ask, on_postgres, serve, until


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory):
    """One worker, so that its counters are all there are."""
    directory = tmp_path_factory.mktemp("secrets")
    with serve(directory, on_postgres(cluster), workers=1) as server:
        yield server


def failed(server, url):
    """The words of the log about a read that is answered with 500 and with nothing else."""
    before = server.log().count('"failed":')
    status, headers, body = server.request("GET", url)
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert json.loads(body) == {
        "type": "urn:pybolt:problem:internal",
        "title": "Internal Server Error",
        "status": 500,
    }
    until(lambda: server.log().count('"failed":') > before)
    *_, line = (line for line in server.log().splitlines() if '"failed":' in line)
    told = json.loads(line)
    assert re.fullmatch(r"api\.py:\d+", told["query"])
    return told["failed"]


def test_a_read_writes_nothing(server, watcher):
    watcher.session.execute("CREATE SEQUENCE drawn")
    # A read-only transaction.
    assert failed(server, "/draw") == "SQLSTATE 25006"
    assert watcher.all("SELECT last_value, is_called FROM drawn") == [(1, False)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_transaction_read_only", "on"),
        ("TimeZone", "UTC"),
        ("application_name", "pybolt"),
        # That of the route which may take longest, and this one has no timeout.
        ("statement_timeout", "1h"),
        ("client_connection_check_interval", "1s"),
    ],
)
def test_the_sessions_are_set(cluster, tmp_path, name, value):
    with serve(tmp_path / "server", on_postgres(cluster), workers=1, READ_SETTING=name) as server:
        assert ask(server, "/setting") == (200, [value])


def test_a_session_has_the_options_and_the_name_that_django_gives_it(cluster, tmp_path):
    options = {"application_name": "a shop", "options": "-c work_mem=7MB"}
    database = on_postgres(cluster, OPTIONS=options)
    for name, value in [("application_name", "a shop"), ("work_mem", "7MB")]:
        directory = tmp_path / name
        with serve(directory, database, workers=1, READ_SETTING=name) as server:
            assert ask(server, "/setting") == (200, [value])


def test_an_error_that_quotes_a_value_is_told_without_it(server):
    assert failed(server, "/cast") == "SQLSTATE 22P02"
    assert "secret-" not in server.log()


def test_a_table_that_is_not_there_is_told_of_by_name(server, watcher):
    watcher.session.execute("ALTER TABLE reading_moment RENAME TO reading_elsewhere")
    try:
        told = failed(server, "/moments")
        assert told == 'SQLSTATE 42P01 relation "reading_moment" does not exist'
    finally:
        watcher.session.execute("ALTER TABLE reading_elsewhere RENAME TO reading_moment")
    assert ask(server, "/moments") == (200, [])


def test_rights_that_are_not_there_are_told_of(cluster, watcher, tmp_path):
    watcher.session.execute("CREATE ROLE stranger LOGIN")
    try:
        database = on_postgres(cluster, USER="stranger")
        with serve(tmp_path / "server", database, workers=1) as server:
            said = "SQLSTATE 42501 permission denied for table reading_item"
            assert failed(server, "/items") == said
    finally:
        watcher.session.execute("DROP ROLE stranger")


def test_more_rows_than_may_be_are_none(server):
    assert failed(server, "/few") == "more rows than max_rows"


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "10000-01-01", "0044-03-15 BC"])
def test_a_moment_that_python_has_none_for_is_an_error(server, watcher, moment):
    watcher.session.execute("INSERT INTO reading_moment (at) VALUES (%s)", (moment,))
    try:
        assert failed(server, "/moments").startswith("a row has a ")
    finally:
        watcher.session.execute("DELETE FROM reading_moment")
    assert ask(server, "/moments") == (200, [])


def test_nobody_reads_what_is_anothers(server):
    def own(claims, **headers):
        soon = {"exp": int(time.time()) + 600}
        token = jwt.encode(claims | soon, SECRET, algorithm="HS256")
        return ask(server, "/mine", authorization=f"Bearer {token}", **headers)

    for number in range(2):
        expected = [one for one in range(1, ITEMS + 1) if one % 2 == number]
        assert own({"sub": f"user-{number}"}) == (200, expected)
    assert own({"sub": "nobody"}) == (200, [])
    assert own({"sub": "' OR true --"}) == (200, [])
    # Without the claim, or with what is none.
    assert own({})[0] == 422
    assert ask(server, "/mine")[0] == 401
    assert ask(server, "/mine?sub=user-1")[0] == 401
    # Where nobody is asked who they are, nobody is anybody.
    assert ask(server, "/whose")[0] == 422
    assert ask(server, "/whose?sub=user-1", authorization="Bearer x")[0] == 422


def test_a_read_takes_no_gil(server):
    connection = server.connect()

    def get(url):
        connection.request("GET", url)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def takes():
        return get("/stats")[1]["gil_takes"]

    read_often(takes)
    for url, status in [
        ("/items", 200),
        ("/item?id=3", 200),
        ("/item?id=x", 422),
        ("/few", 500),
        ("/cast", 500),
        ("/sleep/0.05", 200),
    ]:
        with not_taken(takes):
            for _ in range(20):
                assert get(url)[0] == status
    connection.close()


def test_the_counters_say_what_was_asked(server):
    def counters():
        return ask(server, "/stats")[1]["databases"]["default"]

    until(lambda: counters()["in_flight"] == 0)
    before = counters()
    assert before["connections"] == POOL
    for _ in range(5):
        assert ask(server, "/items")[0] == 200
    assert ask(server, "/few")[0] == 500
    slow = server.connect()
    slow.request("GET", "/sleep/60")
    until(lambda: counters()["in_flight"] == 1)
    slow.close()
    until(lambda: counters()["in_flight"] == 0)
    after = counters()
    assert after["asked"] - before["asked"] == 7
    # One that nobody waited for was not answered either.
    assert after["failed"] - before["failed"] == 2
    assert after["microseconds"] > before["microseconds"]
