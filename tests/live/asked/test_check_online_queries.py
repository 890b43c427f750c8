"""``bolt check --online`` asks the databases of declared reads, real ones of both kinds."""

import datetime
import json
import socket

import psycopg
import pytest
from django.db import ProgrammingError, connections
from django.db.models import CharField, Count, F, Q

from pybolt import BoltAPI, Nested, Page, Param, Read, count
from pybolt.config import RunOptions, load
from pybolt.config.load import from_api
from pybolt.queries import planner as planner_module
from pybolt.queries.asked import every
from pybolt.queries.bind import forced
from pybolt.queries.planner import planner
from tests.live.asked.conftest import address
from tests.live.pgbouncer import pgbouncer
from tests.reads import rows
from tests.reads.entry import Declared
from tests.reads.models import Author, Book, Tag
from tests.reads.table import BOTH, TABLE
from tests.unit.command import bolt

#: More than may be read from one end to the other.
MANY = 10_500


def execute(alias, *statements):
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connections[alias].close()


def many_tags(alias):
    Tag.objects.using(alias).bulk_create([Tag(name=f"tag {number}") for number in range(MANY)])
    execute(alias, "ANALYZE")


def asked(*reads, tier=1):
    """What is said of routes that ``reads`` answer, as code and message."""
    api = BoltAPI(auth="public")
    for number, read in enumerate(reads):
        api.query(f"/{number}", read)
    with forced(tier):
        loaded = from_api(api)
    assert [item for item in loaded.check() if item.is_error] == []
    return [(item.code, item.message) for item in loaded.check_online()]


def authors(alias):
    return Author.objects.using(alias).order_by("id")


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_all_is_fine(alias, tier):
    name = Param.query("name", optional=True)
    some = Param.query("some", int, optional=True)
    books = Book.objects.using(alias).filter(title__icontains=name, author_id=some)
    assert (
        asked(
            Read(books.order_by("id").values("id", "author__name"), page=Page()),
            Read(books.order_by("-id").values("id"), page=Page(by="id")),
            Read(authors(alias).order_by("name").values("id", "name"), page=Page(by="name")),
            Read({"all": authors(alias).values("id")[:10], "number": count(books)}),
            Read(authors(alias).filter(id=Param.query("id", int)).values("id"), one=True),
            authors(alias)
            .values("id")
            .annotate(below=Nested(Book.objects.values("title"), by="author"))[:5],
            tier=tier,
        )
        == []
    )


def test_every_statement_of_the_table_is_taken(alias):
    table = TABLE if connections[alias].vendor == "postgresql" else BOTH
    assert asked(*(entry.make(Declared()).using(alias) for entry in table.values())) == []


@pytest.mark.parametrize("tier", [1, 2, 3])
def test_a_migration_that_was_not_applied(alias, tier):
    execute(alias, "ALTER TABLE reads_author DROP COLUMN active")
    given = Param.query("q", optional=True)
    found = asked(
        authors(alias).filter(name=given).values("id", "active")[:10],
        Read({"fine": authors(alias).values("id")[:10], "broken": authors(alias).values()[:10]}),
        tier=tier,
    )
    assert [code for code, _ in found] == ["E240", "E240"]
    # Once, however many variants there are.
    (_, first), (_, second) = found
    assert f"the database `{alias}` refuses it: " in first
    assert "reads_author.active" in first
    assert second.startswith("`broken` of ")


def test_a_table_that_is_missing(alias):
    execute(alias, "DROP TABLE reads_book_tags", "DROP TABLE reads_tag")
    below = Nested(Book.objects.values("title"), by="author")
    [(code, message)] = asked(
        Tag.objects.using(alias).values("id")[:10],
        authors(alias).values("id").annotate(below=below)[:5],
    )
    assert code == "E240"
    assert "reads_tag" in message


def test_a_nested_list_has_a_name(alias):
    execute(alias, "ALTER TABLE reads_book DROP COLUMN title")
    below = Nested(Book.objects.values("title"), by="author")
    nested = authors(alias).values("id").annotate(below=below)[:5]
    for read, name in ((nested, "below"), (Read({"first": nested}), "first.below")):
        [(code, message)] = asked(read)
        assert (code, message.startswith(f"`{name}` of ")) == ("E240", True)


def test_a_database_that_is_down_is_told_of_once():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        at = {"USER": "bolt", "PASSWORD": "hush", "HOST": "127.0.0.1"}
        port = str(bound.getsockname()[1])
        engine = "django.db.backends.postgresql"
        rows.connect("asked", ENGINE=engine, NAME="shop", PORT=port, **at)
        [(code, message)] = asked(
            Tag.objects.using("asked").values("id")[:10], authors("asked").values("id")[:10]
        )
        rows.disconnect("asked")
    assert code == "E241"
    assert message.startswith("the database `asked` does not answer: ")
    assert "refused" in message
    assert "hush" not in message


def test_a_file_that_is_not_there_is_not_made(sqlite, tmp_path):
    [(code, message)] = asked(Tag.objects.using(sqlite).values("id")[:10])
    assert (code, "unable to open" in message) == ("E241", True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "shop.sqlite3").write_text("no database at all, but a text that is long" * 99)
    [(code, message)] = asked(Tag.objects.using(sqlite).values("id")[:10])
    assert (code, "not a database" in message) == ("E241", True)


@pytest.mark.parametrize("tier", [1, 3])
def test_a_large_table_is_read_from_one_end_to_the_other(alias, tier):
    many_tags(alias)
    tags = Tag.objects.using(alias)
    found = asked(tags.filter(name=Param.query("name")).values("id")[:10], tier=tier)
    assert [code for code, _ in found] == ["W242"]
    assert "reads all of `reads_tag`, " in found[0][1]
    assert "10,5" in found[0][1] or "more than 10,000" in found[0][1]
    [(code, _)] = asked(count(tags.all()), tier=tier)
    assert code == "W242"


def test_what_ends_early_reads_little_of_a_large_table(alias):
    many_tags(alias)
    tags = Tag.objects.using(alias)
    books = Book.objects.using(alias).filter(tags__id=Param.query("tag", int))
    assert (
        asked(
            tags.values("name")[:10],
            tags.order_by("id").values("name"),
            Read(tags.order_by("id").values("name"), page=Page()),
            Read(tags.order_by("-id").values("id"), page=Page(by="id")),
            tags.filter(id=Param.query("id", int)).values("name")[:1],
            books.order_by("id").values("id", "tags__name")[:10],
        )
        == []
    )


def test_a_table_by_another_name_is_known(alias):
    many_tags(alias)
    Book.objects.using(alias).first().tags.add(*Tag.objects.using(alias).all())
    execute(alias, "ANALYZE")
    one, other = Param.query("one"), Param.query("other")
    books = Book.objects.using(alias).filter(tags__name=one).filter(tags__name=other)
    found = asked(books.order_by("id").values("id")[:10])
    assert {code for code, _ in found} == {"W242"}
    assert all("`reads_" in message for _, message in found)


@pytest.mark.parametrize("tier", [1, 2])
def test_pages_whose_order_no_index_serves(alias, tier):
    other = CharField(max_length=50)
    other.set_attributes_from_name("name")
    other.model = Author
    with connections[alias].schema_editor() as editor:
        editor.alter_field(Author, Author._meta.get_field("name"), other)
    connections[alias].close()
    books = Book.objects.using(alias)
    for read in (
        Read(authors(alias).order_by("name").values("name"), page=Page(by="name")),
        Read(books.order_by("title").values("id"), page=Page()),
    ):
        [(code, message)] = asked(read, tier=tier)
        assert (code, "no index serves the order of its pages" in message) == ("W243", True)
    assert asked(books.order_by("title").values("id")[:10], tier=tier) == []


def configure(directory, *names):
    routes = [f'  - {{path: /{name}, query: "reading:{name}"}}' for name in names]
    (directory / "bolt.yaml").write_text("\n".join(["version: 1", "routes:", *routes]) + "\n")


def test_more_connections_than_the_server_takes(postgresql, tmp_path, monkeypatch):
    rows.fill(postgresql)
    (tmp_path / "reading.py").write_text(
        "from tests.reads.models import Author\n"
        'found = Author.objects.using("asked").values("id")[:10]\n'
        "def hello(request):\n    return {}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    configure(tmp_path, "found")

    def of(workers):
        found = load(RunOptions(config="bolt.yaml", workers=workers)).check_online()
        return [(item.code, item.message, item.severity) for item in found]

    # 50, of which three are the superuser's.
    assert of(23) == []
    [(code, message, severity)] = of(24)
    assert (code, severity) == ("W244", "warning")
    assert message == (
        "up to 48 connections to `asked`, whose server takes 47:"
        " 24 workers, each with 2 of Rust's and 0 of Python's"
    )
    with (tmp_path / "bolt.yaml").open("a") as file:
        file.write('  - {path: /hello, handler: "reading:hello"}\n')
    assert of(2) == []
    [(_, message, _)] = of(3)
    assert message.endswith("3 workers, each with 2 of Rust's and 18 of Python's")


def test_nothing_is_left(postgresql, cluster):
    rows.fill(postgresql)
    given = Param.query("day", datetime.date)
    books = Book.objects.using(postgresql).filter(Q(day=given) | Q(pages=F("stock")))
    api = BoltAPI(auth="public")
    api.query("/", books.values("id", "day").annotate(n=Count("tags"))[:10])
    loaded = from_api(api)
    connections[postgresql].close()
    with planner(postgresql) as asking:
        for one in every(loaded.reads[0].bound):
            assert asking.prepare(one)
            assert asking.analyze(one)
        assert asking._rows("SELECT name FROM pg_prepared_statements") == []
        assert asking._rows("SHOW transaction_read_only") == [("on",)]
    assert loaded.check_online() == []
    where = f"host=127.0.0.1 port={cluster.port} user=bolt dbname=postgres"
    with psycopg.connect(where) as session:
        here = session.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'")
        assert here.fetchone() == (0,)


def test_nothing_is_left_behind_a_pooler(cluster):
    """Where the next client has the same session."""
    with pgbouncer(cluster, 1) as port:
        at = address(cluster, "postgres") | {"PORT": str(port), "DISABLE_SERVER_SIDE_CURSORS": True}
        rows.connect("asked", **at)
        rows.fill("asked")
        tags = Tag.objects.using("asked").filter(name=Param.query("name")).values("id")[:10]
        assert asked(tags) == []
        session = psycopg.connect(
            f"host=127.0.0.1 port={port} user=bolt dbname=postgres", prepare_threshold=None
        )
        with session:
            assert session.execute("SELECT name FROM pg_prepared_statements").fetchall() == []
        rows.disconnect("asked")


def test_what_its_user_may_not_read(postgresql, cluster):
    rows.fill(postgresql)
    execute(postgresql, "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
    rows.disconnect(postgresql)
    rows.connect(postgresql, **address(cluster, "shop") | {"USER": "reader"})
    read = Tag.objects.using(postgresql).values("id")[:10]
    [(code, message)] = asked(read)
    assert (code, "permission denied for table reads_tag" in message) == ("E240", True)
    api = BoltAPI(auth="public")
    api.query("/", read)
    [one] = every(from_api(api).reads[0].bound)
    with planner(postgresql) as asking:
        with pytest.raises(ProgrammingError, match="permission denied"):
            asking.prepare(one)
        assert asking._rows("SELECT name FROM pg_prepared_statements") == []


def test_a_table_that_is_locked_is_waited_for_so_long(postgresql, cluster, monkeypatch):
    rows.fill(postgresql)
    monkeypatch.setattr(planner_module, "PATIENCE", 1)
    where = f"host=127.0.0.1 port={cluster.port} user=bolt dbname=shop"
    with psycopg.connect(where) as session:
        session.execute("LOCK TABLE reads_tag")
        tags = Tag.objects.using(postgresql)
        found = asked(tags.values("id")[:10], tags.values("name")[:10])
    [(code, message)] = found
    assert (code, "statement timeout" in message) == ("E241", True)


PEOPLE = """\
from django.contrib.auth.models import User
from pybolt import BoltAPI, Param, Read

name = Param.query("name", optional=True)
people = User.objects.filter(username=name).order_by("id").values("id", "username")[:10]

api = BoltAPI(auth="public")
find = api.compile(Read(User.objects.filter(id=Param("id", int)).values("last_login"), one=True))
"""


def test_the_command(tmp_path):
    (tmp_path / "people.py").write_text(PEOPLE)
    (tmp_path / "bolt.yaml").write_text(
        'app: "people:api"\nroutes:\n  - {path: /people, query: "people:people", auth: public}\n'
    )
    done = bolt(tmp_path, "check")
    said = "not checked: 3 statements of 1 database; `bolt check --online` prepares them"
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, said)
    assert not (tmp_path / "db.sqlite3").exists()
    [item] = json.loads(bolt(tmp_path, "check", "--online", "--format", "json").stdout)
    assert (item["code"], "`bolt migrate`" in item["hint"]) == ("E241", True)
    assert bolt(tmp_path, "migrate").returncode == 0
    done = bolt(tmp_path, "check", "--online")
    assert (done.returncode, "not checked" in done.stdout) == (0, False)
    rows.connect("asked", ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "db.sqlite3"))
    execute("asked", "ALTER TABLE auth_user DROP COLUMN last_login")
    rows.disconnect("asked")
    before = (tmp_path / "db.sqlite3").read_bytes()
    [item] = json.loads(bolt(tmp_path, "check", "--online", "--format", "json").stdout)
    assert item["code"] == "E240"
    assert "no such column: auth_user.last_login" in item["message"]
    place = item["position"]
    assert (place["file"].rpartition("/")[2], place["line"]) == ("people.py", 8)
    assert (tmp_path / "db.sqlite3").read_bytes() == before
