"""``bolt explain --analyze``: the database's own plan of what a request reads."""

import json
import sys

import jwt
import pytest

from pybolt.cli.inspect import explain
from pybolt.config import RunOptions
from pybolt.queries.bind import forced
from tests.reads import rows
from tests.reads.models import Author
from tests.unit.command import bolt

SECRET = "s" * 48
READING = """\
from pybolt import Nested, Page, Param, Read, count
from tests.reads.models import Author, Book

books = Book.objects.using("asked")
authors = Author.objects.using("asked").order_by("id")
find = Read(books.filter(id=Param.path("id", int)).values("id", "title"), one=True)
found = books.filter(title__icontains=Param.query("q", optional=True)).order_by("id")
pages = Read(found.values("id"), page=Page())
mine = authors.filter(name=Param.principal("name")).values("id")[:10]
several = Read({"number": count(books), "authors": authors.values("id")[:3]})
below = authors.values("id").annotate(books=Nested(Book.objects.values("title"), by="author"))[:3]
within = Read({"first": below, "authors": authors.values("id")[:3]})

def hello(request):
    return {}
"""
ROUTES = f"""\
defaults: {{access_log: on}}
routes:
  - {{path: "/books/{{id}}", query: "reading:find", auth: public}}
  - {{path: /books, query: "reading:pages", auth: public}}
  - path: /mine
    query: "reading:mine"
    auth: {{type: jwt, secret: "{SECRET}", algorithms: [HS256]}}
  - {{path: /several, query: "reading:several", auth: public}}
  - {{path: /below, query: "reading:below", auth: public}}
  - {{path: /within, query: "reading:within", auth: public}}
  - {{path: /hello, handler: "reading:hello", auth: public}}
"""
# What fits no handler that has this path, or this principal.
OF_HANDLERS = f"""\
define: {{rewrite: {{shop: {{strip_prefix: /elsewhere}}}}}}
groups:
  - prefix: /shop
    rewrite: shop
    request_headers: {{principal: x-user}}
    routes:
      - path: /mine
        query: "reading:mine"
        auth: {{type: jwt, secret: "{SECRET}", algorithms: [HS256]}}
"""


@pytest.fixture(params=[1, 2, 3])
def analyzed(request, alias, tmp_path, monkeypatch, capfd):
    """What is told of a GET, in each tier and on both databases."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "reading", raising=False)
    (tmp_path / "reading.py").write_text(READING)
    (tmp_path / "bolt.yaml").write_text(ROUTES)
    options = RunOptions(config="bolt.yaml")

    def tell(url, *headers, form="json"):
        with forced(request.param):
            code = explain(options, "GET", url, list(headers), form, analyze=True)
        told = capfd.readouterr()
        if code:
            assert told.out == ""
            return code, told.err
        return code, told.out if form == "text" else json.loads(told.out)["analyze"]

    tell.tier = request.param
    tell.is_postgresql = "postgresql" in request.node.name
    return tell


def plan_of(analyzed, one):
    text = "\n".join(one["plan"])
    if analyzed.is_postgresql:
        assert "cost=" in text
        assert "actual time=" in text
        assert "Execution Time: " in text
    else:
        assert text.startswith(("SEARCH", "SCAN"))
    return text


def test_the_values_are_those_of_the_request(analyzed):
    code, [one] = analyzed("/books/7")
    assert (code, one["name"], one["database"], one["values"]) == (0, None, "asked", ["7"])
    assert one["sql"].startswith("SELECT ")
    text = plan_of(analyzed, one)
    assert "reads_book" in text
    code, [one] = analyzed("/books?q=1%25&limit=3")
    assert code == 0
    # In the third tier Django writes the numbers of a page itself.
    limits = [] if analyzed.tier == 3 else ["4", "0"]
    assert one["values"] == ["%1\\%%", *limits]
    plan_of(analyzed, one)
    code, [one] = analyzed("/books")
    assert "LIKE" not in one["sql"]


def test_the_token_says_who_asks(analyzed):
    token = jwt.encode({"sub": "1", "name": "Ann", "exp": 1 << 33}, SECRET, "HS256")
    code, [one] = analyzed("/mine", ("Authorization", f"Bearer {token}"))
    assert (code, one["values"]) == (0, ["Ann"])
    code, said = analyzed("/mine")
    assert (code, "is answered 401" in said) == (1, True)


@pytest.mark.parametrize("analyzed", [1], indirect=True)
def test_what_only_a_handler_has_is_nothing_to_a_read_in_rust(analyzed, tmp_path):
    with (tmp_path / "bolt.yaml").open("a") as file:
        file.write(OF_HANDLERS)
    token = jwt.encode({"sub": "a\nb", "name": "Ann", "exp": 1 << 33}, SECRET, "HS256")
    code, found = analyzed("/shop/mine", ("Authorization", f"Bearer {token}"))
    assert (code, [one["values"] for one in found]) == (0, [["Ann"]])


def test_each_statement_of_a_read(analyzed):
    _, found = analyzed("/several")
    assert [one["name"] for one in found] == ["number", "authors"]
    _, found = analyzed("/below")
    assert [one["name"] for one in found] == [None, "books"]
    for one in found:
        plan_of(analyzed, one)
    _, found = analyzed("/within")
    assert [one["name"] for one in found] == ["first", "first.books", "authors"]


def test_text(analyzed):
    code, text = analyzed("/books/7", form="text")
    lines = text.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith("analyze `asked`: ")]
    assert (code, lines[at + 1]) == (0, "        with 7")
    assert "reads_book" in text[text.index("with 7") :]
    assert "access_log" in text
    assert '"path"' not in text


def test_what_cannot_be_analyzed(analyzed):
    code, said = analyzed("/hello")
    assert code == 1
    assert "/hello is answered by reading:hello, not by a declared read" in said
    code, said = analyzed("/nowhere")
    assert (code, "no route answers this" in said) == (1, True)
    code, said = analyzed("/books/x")
    assert (code, "expected an integer" in said) == (1, True)


def test_a_database_that_refuses(postgresql, tmp_path):
    rows.fill(postgresql)
    told = rows.connections[postgresql].settings_dict
    (tmp_path / "shop_settings.py").write_text(
        f'SECRET_KEY = "{SECRET}"\nUSE_TZ = True\nTIME_ZONE = "UTC"\nINSTALLED_APPS = []\n'
        f"DATABASES = {{'default': {told!r}, 'asked': {told!r}}}\n"
    )
    (tmp_path / "reading.py").write_text(READING)
    (tmp_path / "bolt.yaml").write_text("settings: shop_settings\n" + ROUTES)
    done = bolt(tmp_path, "explain", "GET", "/books/2", "--analyze")
    assert (done.returncode, "Execution Time: " in done.stdout) == (0, True), done.stderr
    with rows.connections[postgresql].cursor() as cursor:
        cursor.execute("ALTER TABLE reads_book DROP COLUMN title")
    done = bolt(tmp_path, "explain", "GET", "/books/2", "--analyze")
    assert (done.returncode, "analyze" in done.stdout) == (1, False)
    assert "the database `asked` says: column reads_book.title does not exist" in done.stderr
    assert Author.objects.using(postgresql).count() == 3
