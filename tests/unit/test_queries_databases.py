"""Django's settings of a database, and what libpq would make of the rest."""

import pytest
from django.db import connections

from pybolt.queries import conninfo, databases
from pybolt.queries.databases import Unsupported, database
from tests.reads import rows


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """No variable of libpq's, and a home of its own."""
    for name in [*conninfo.ENVIRONMENT.values(), "PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGSYSCONFDIR", str(tmp_path / "etc"))
    return tmp_path


@pytest.fixture
def told(bare):
    """What the wire says of a PostgreSQL with those settings."""

    def tell(**settings):
        rows.connect("asked", ENGINE="django.db.backends.postgresql", **{"NAME": "shop"} | settings)
        try:
            return database("asked")
        finally:
            connections["asked"].close()
            rows.disconnect("asked")

    return tell


def test_settings_alone(told):
    options = {"sslmode": "require", "application_name": "web", "connect_timeout": 3}
    options |= {"options": r"-c search_path=shop,public --statement-timeout=5s -cx.y=a\ b"}
    assert told(
        USER="u", PASSWORD="p", HOST="db", PORT="6432", OPTIONS=options | {"pool": {"max_size": 7}}
    ) == {
        "engine": "postgresql",
        "hosts": ["db"],
        "ports": [6432],
        "user": "u",
        "password": "p",
        "dbname": "shop",
        "sslmode": "require",
        "sslrootcert": None,
        "sslcert": None,
        "sslkey": None,
        "application_name": "web",
        "options": {"search_path": "shop,public", "statement_timeout": "5s", "x.y": "a b"},
        "timezone": "UTC",
        "use_tz": True,
        "pool": 7,
        "prepare": True,
    }


def test_what_is_left_out(told, monkeypatch):
    monkeypatch.setattr(conninfo, "SOCKETS", ("/nowhere", "/neither"))
    found = told()
    assert (found["hosts"], found["ports"], found["sslmode"]) == (["/nowhere"], [5432], "prefer")
    assert (found["password"], found["pool"], found["options"]) == ("", 2, {})
    assert found["user"]


def test_the_socket_is_where_it_is(told, monkeypatch, bare):
    (bare / ".s.PGSQL.5433").touch()
    monkeypatch.setattr(conninfo, "SOCKETS", ("/nowhere", str(bare)))
    assert told(PORT="5433")["hosts"] == [str(bare)]


def test_the_environment_fills_what_is_empty(told, monkeypatch):
    monkeypatch.setenv("PGHOST", "one,two")
    monkeypatch.setenv("PGPORT", "1,2")
    monkeypatch.setenv("PGUSER", "env")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("PGDATABASE", "other")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=env")
    found = told(USER="given")
    assert (found["hosts"], found["ports"]) == (["one", "two"], [1, 2])
    assert (found["user"], found["password"], found["dbname"]) == ("given", "secret", "shop")
    assert found["options"] == {"search_path": "env"}


def test_a_service(told, monkeypatch, bare):
    (bare / ".pg_service.conf").write_text(
        "# services\n[other]\nhost=no\n\n[shop]\n host = db\nport=7\nuser=su\npassword=a=b\n"
        "dbname=sdb\n[shop]\nhost=never\n"
    )
    monkeypatch.setenv("PGUSER", "env")
    found = told(NAME="", OPTIONS={"service": "shop"})
    assert (found["hosts"], found["ports"], found["user"]) == (["db"], [7], "su")
    assert (found["password"], found["dbname"]) == ("a=b", "sdb")
    monkeypatch.setenv("PGSERVICEFILE", str(bare / ".pg_service.conf"))
    monkeypatch.setenv("PGSERVICE", "other")
    assert told()["hosts"] == ["no"]
    with pytest.raises(Unsupported, match="no file describes the service `none`"):
        told(OPTIONS={"service": "none"})


def test_a_service_of_the_system(told, bare):
    (bare / "etc").mkdir()
    (bare / "etc" / "pg_service.conf").write_text("[shop]\nhost=system\n")
    assert told(OPTIONS={"service": "shop"})["hosts"] == ["system"]


def test_the_password_file(told, monkeypatch, bare):
    path = bare / ".pgpass"
    path.write_text(
        "# host:port:database:user:password\nshort:line\n"
        r"db:5432:shop:a\:b:w\\\:x"
        "\n"
        "localhost:*:*:me:local\ndb:*:*:me:mine:more\n*:*:*:*:any\n"
    )
    path.chmod(0o600)
    monkeypatch.setattr(conninfo, "SOCKETS", ("/socket",))
    assert told(HOST="db", USER="a:b")["password"] == r"w\:x"
    assert told(HOST="db", USER="me")["password"] == "mine"
    assert told(USER="me")["password"] == "local"
    assert told(HOST="elsewhere", USER="x")["password"] == "any"
    assert told(HOST="elsewhere", USER="x", PASSWORD="given")["password"] == "given"
    with pytest.raises(Unsupported, match="another password for each host"):
        told(HOST="db,elsewhere", USER="me")
    path.chmod(0o640)
    assert told(HOST="db", USER="me")["password"] == ""
    other = bare / "other"
    other.write_text("*:*:*:*:other")
    other.chmod(0o600)
    assert told(HOST="db", OPTIONS={"passfile": str(other)})["password"] == "other"
    monkeypatch.setenv("PGPASSFILE", str(other))
    assert told(HOST="db")["password"] == "other"


def test_certificates(told, bare):
    (bare / ".postgresql").mkdir()
    (bare / ".postgresql" / "root.crt").touch()
    found = told(OPTIONS={"sslmode": "require", "sslcert": "/c", "sslkey": "/k"})
    assert found["sslrootcert"] == str(bare / ".postgresql" / "root.crt")
    assert (found["sslcert"], found["sslkey"], found["sslmode"]) == ("/c", "/k", "verify-ca")


def test_behind_a_pooler_nothing_is_prepared(told):
    assert told(DISABLE_SERVER_SIDE_CURSORS=True)["prepare"] is False


@pytest.mark.parametrize(
    "options",
    [
        {"assume_role": "x"},
        {"isolation_level": 4},
        {"server_side_binding": True},
        {"target_session_attrs": "read-write"},
        {"channel_binding": "require"},
        {"sslcrl": "x"},
        {"options": "-d 5"},
        {"hostaddr": "127.0.0.1"},
        {"cursor_factory": "x"},
    ],
)
def test_what_rust_does_not_do_has_a_reason(told, options):
    with pytest.raises(Unsupported):
        told(OPTIONS=options)


def sqlite(**settings):
    rows.connect("asked", ENGINE="django.db.backends.sqlite3", **settings)
    try:
        return database("asked")
    finally:
        rows.disconnect("asked")


def test_sqlite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = {"engine": "sqlite", "path": str(tmp_path / "a.db"), "use_tz": True, "pool": 2}
    assert sqlite(NAME="a.db") == sqlite(NAME=tmp_path / "a.db") == expected
    init = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    options = {"timeout": 5, "transaction_mode": "IMMEDIATE", "init_command": init}
    assert sqlite(NAME="a.db", OPTIONS=options) == expected
    for settings in (
        {"NAME": ":memory:"},
        {"NAME": "file:a.db?mode=ro"},
        {"NAME": "a.db", "OPTIONS": {"init_command": "PRAGMA case_sensitive_like=1"}},
        {"NAME": "a.db", "OPTIONS": {"factory": object}},
    ):
        with pytest.raises(Unsupported):
            sqlite(**settings)
    rows.connect("asked", ENGINE="django.db.backends.dummy")
    with pytest.raises(Unsupported, match="database engine is"):
        database("asked")
    rows.disconnect("asked")


def test_two_copies_of_sqlite_are_never_used(tmp_path, monkeypatch):
    assert databases._is_one_library()
    monkeypatch.setattr(databases, "_is_one_library", lambda: False)
    rows.connect("copied", ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "db"))
    try:
        with pytest.raises(Unsupported, match="of its own"):
            database("copied")
    finally:
        rows.disconnect("copied")
