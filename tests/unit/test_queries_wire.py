"""What the engine hears of a declared read."""

import datetime
import decimal
import json
import sys
import textwrap
import uuid

import pytest
from django.db.models import Count, Value
from django.db.models.functions import Coalesce, Concat

from pybolt import BoltAPI, Nested, Page, Param, Read, count
from pybolt.config import RunOptions, load
from pybolt.config.load import from_api
from pybolt.queries.bind import bind_read, forced
from pybolt.queries.databases import database
from tests.reads.models import Author, Book, Everything


def wire(what, *captured, **options):
    return bind_read(Read(what, **options), "shop.api:items", captured).wire("shop.api:items", None)


def column(name, kind="raw", places=None):
    return {"name": name, "kind": kind, "places": places}


def test_a_read_in_full(sqlite):
    what = Book.objects.using(sqlite).filter(title__icontains=Param.query("q"))
    assert wire(what.values("id", "price")[:3]) == {
        "name": "shop.api:items",
        "tier": 1,
        "parameters": [
            {
                "name": "q",
                "place": "query",
                "type": "str",
                "optional": False,
                "default": None,
                "max": None,
            }
        ],
        "reads": [
            {
                "alias": "reads",
                "key": None,
                "shape": "list",
                "rows": "objects",
                "columns": [column("id"), column("price", "decimal", 2)],
                "max_rows": None,
                "variants": [
                    {
                        "given": [],
                        "sql": 'SELECT "reads_book"."id" AS "id", "reads_book"."price" AS "price" '
                        'FROM "reads_book" WHERE "reads_book"."title" LIKE ? ESCAPE \'\\\' '
                        "ORDER BY 1 ASC LIMIT 3",
                        "binds": [
                            {
                                "param": 0,
                                "prefix": "%",
                                "suffix": "%",
                                "escape": True,
                                "plus": 0,
                                "type": "str",
                                "pg": "text",
                            }
                        ],
                    }
                ],
                "nested": [],
            }
        ],
        "page": None,
    }


def test_postgresql_has_numbers_and_equal_ones_where_values_are_equal(postgresql):
    name = Coalesce("author__name", Value("a%"))
    what = Book.objects.using(postgresql).order_by().annotate(who=Concat(name, name))
    what = what.filter(stock__gt=Param.query("n", int)).values("who").annotate(n=Count("id"))
    (made,) = wire(what[:5])["reads"][0]["variants"]
    assert "%" not in made["sql"]
    assert made["sql"].count("$1") >= 2
    assert {"value": "a%", "type": "str", "pg": "text"} in made["binds"]
    assert len({str(bind) for bind in made["binds"]}) == len(made["binds"])
    assert [bind["pg"] for bind in made["binds"] if "param" in bind] == ["int8"]


@pytest.mark.parametrize(
    ("value", "field", "type_", "pg", "sqlite_type"),
    [
        (1, "big", "int", "int8", "int"),
        (1.5, "number", "float", "float8", "float"),
        (decimal.Decimal(1), "decimal", "decimal", "numeric", "decimal"),
        ("a", "char", "str", "text", "str"),
        (datetime.date(2020, 1, 1), "date", "date", "date", "date"),
        (datetime.time(1), "time", "time", "time", "time"),
        (datetime.timedelta(1), "duration", "duration", "interval", "duration"),
        (uuid.UUID(int=1), "ident", "uuid", "uuid", "uuid"),
        (1, "char", "str", "text", "str"),
        (1, "decimal", "decimal", "numeric", "decimal"),
    ],
)
def test_what_a_value_becomes(value, field, type_, pg, sqlite_type, sqlite, postgresql):
    for alias, expected in ((postgresql, type_), (sqlite, sqlite_type)):
        rows = Everything.objects.using(alias).filter(**{field: Param.query("x", type(value))})
        told = wire(rows.values("id")[:5])
        (bind,) = told["reads"][0]["variants"][0]["binds"]
        assert (bind["type"], bind["pg"]) == (expected, pg)


def test_columns_say_what_converts_them(sqlite, postgresql):
    names = ["flag", "number", "decimal", "date", "moment", "time", "duration", "ident", "json"]
    kinds = {
        postgresql: ["raw"] * 8 + ["json"],
        sqlite: ["bool", "raw", "decimal", *names[3:7], "uuid", "json"],
    }
    kinds[sqlite][4] = "datetime"
    for alias, expected in kinds.items():
        told = wire(Everything.objects.using(alias).values_list(*names)[:5])["reads"][0]
        assert [one["kind"] for one in told["columns"]] == expected


def test_aggregates_say_what_converts_them(postgresql):
    from django.db.models import Avg, Max, Sum

    what = (
        Book.objects.using(postgresql)
        .values("sold")
        .annotate(a=Avg("stock"), b=Sum("price"), c=Count("id"), d=Max("title"))
    )
    told = wire(what[:5])["reads"][0]
    kinds = [one["kind"] for one in told["columns"]]
    assert kinds == ["raw", "float", "decimal", "int", "raw"]


def test_pages(sqlite):
    what = Book.objects.using(sqlite).order_by("id").values("title", "id")
    told = wire(what, page=Page(default=2, max=9))
    assert told["page"] == {"kind": "offset"}
    assert [(p["name"], p["place"], p["default"], p["max"]) for p in told["parameters"]] == [
        ("limit", "limit", "2", 9),
        ("offset", "offset", "0", None),
    ]
    (made,) = told["reads"][0]["variants"]
    assert made["sql"].endswith("LIMIT ? OFFSET ?")
    assert [bind["plus"] for bind in made["binds"]] == [1, 0]
    told = wire(what, page=Page(by="id"))
    assert (told["page"]["kind"], told["page"]["column"]) == ("key", 1)
    assert len(bytes.fromhex(told["page"]["secret"])) == 32
    assert [made["given"] for made in told["reads"][0]["variants"]] == [["after"], []]


def test_nested_and_dicts(sqlite):
    authors = Author.objects.using(sqlite).order_by("id")
    told = wire(
        {
            "authors": authors.values("name", b=Nested(Book.objects.values("title"), by="author")),
            "n": count(authors),
        }
    )
    first, second = told["reads"]
    assert (first["key"], second["key"], second["shape"]) == ("authors", "n", "value")
    assert first["columns"] == [column("name"), column(None)]
    (nested,) = first["nested"]
    assert (nested["name"], nested["parent"], nested["child"]) == ("b", 1, 1)
    assert nested["read"]["max_rows"] == 10_000


def test_the_document_names_its_databases(sqlite):
    api = BoltAPI(auth="public")
    api.query("/a", Book.objects.using(sqlite).values("id")[:5])
    loaded = json.loads(from_api(api).wire)
    assert loaded["databases"] == {"reads": database("reads")}
    route = loaded["documents"][0]["config"]["routes"][0]
    assert (route["methods"], route["query"]["tier"]) == (["GET"], 1)
    assert "handler" not in route["query"]
    with forced(2):
        loaded = json.loads(from_api(api).wire)
    assert "databases" not in loaded
    route = loaded["documents"][0]["config"]["routes"][0]
    assert (route["query"]["tier"], route["query"]["reads"]) == (2, [])
    assert route["query"]["handler"]["index"] == 0


FILE = """
from pybolt import Read
from django.contrib.auth.models import User

latest = User.objects.order_by("-id").values("id")[:5]
newest = Read(User.objects.order_by("-id").values("id"), one=True)
"""


def test_a_file_names_a_read(tmp_path, monkeypatch):
    (tmp_path / "shelves.py").write_text(FILE)
    (tmp_path / "bolt.yaml").write_text(
        textwrap.dedent(
            """
            routes:
              - {path: /latest, query: "shelves:latest", auth: public}
              - {path: /newest, query: "shelves:newest", auth: public}
              - {path: /wrong, query: "shelves:lattest", auth: public}
              - {path: /posted, query: "shelves:latest", methods: [POST], auth: public}
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load(RunOptions(config=str(tmp_path / "bolt.yaml")))
    monkeypatch.delitem(sys.modules, "shelves")
    routes = json.loads(loaded.wire)["documents"][0]["config"]["routes"]
    assert [route["query"]["name"] for route in routes[:2]] == ["shelves:latest", "shelves:newest"]
    assert [route["query"]["reads"][0]["shape"] for route in routes[:2]] == ["list", "one"]
    found = [(item.code, item.position.line) for item in loaded.diagnostics]
    assert found == [("E008", 5), ("E170", 6)]
    assert "`shelves:latest`?" in loaded.diagnostics[0].hint
