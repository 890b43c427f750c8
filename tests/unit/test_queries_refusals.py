"""What cannot be answered is said at the start, with the place and what to do."""

import datetime
import uuid

import pytest
from django.conf import settings
from django.db import models
from django.db.models import Count, F
from django.db.models.lookups import Exact
from django.test import override_settings

from pybolt import BoltAPI, DeclarationError, Nested, Page, Param, Read, count
from pybolt.config.load import from_api
from pybolt.queries.bind import bind_read
from tests.reads.models import Author, Book, Everything, Odd
from tests.unit.command import bolt

BOOKS = Book.objects.order_by("id")
IDS = BOOKS.values("id")

#: What is declared, a part of what is said, and what of the hint.
REFUSED = {
    "whole objects": (lambda: BOOKS[:3], "whole objects", ".values("),
    "a list": (lambda: [1, 2], "a list is no queryset", "values"),
    "a manager": (lambda: Book.objects, "is no queryset", "values"),
    "an empty dict": (dict, "an empty dict", "items"),
    "a key that is no text": (lambda: {1: IDS}, "the key 1", "name"),
    "a dict in a dict": (lambda: {"a": Read({"b": IDS})}, "`a` cannot be", "route of its own"),
    "a page in a dict": (lambda: {"a": Read(IDS, page=Page())}, "`a` cannot be", "route"),
    "bytes": (lambda: Odd.objects.values("raw")[:3], "`raw` is a BinaryField", "leave it out"),
    "a text for a number": (
        lambda: IDS.filter(pk=Param.query("id")),
        "expected a number but got",
        "Param.path(name, int)",
    ),
    "a text for a uuid": (
        lambda: IDS.filter(ident=Param.query("u")),
        "is not a valid UUID",
        "give a parameter the type",
    ),
    "a parameter from nowhere": (lambda: IDS.filter(pk=Param("id", int)), "`id`", "Param.path"),
    "a path that captures nothing": (
        lambda: IDS.filter(pk=Param.path("id", int)),
        "does not capture it",
        "the path captures: other",
    ),
    "isnull": (lambda: IDS.filter(pages__isnull=Param.query("no", bool)), "__isnull", "two routes"),
    "two of one name": (
        lambda: IDS.filter(pk=Param.query("x", int), title=Param.query("x")),
        "`x` is declared twice",
        "once",
    ),
    "in raw SQL": (
        lambda: IDS.extra(where=["id = %s"], params=[Param.query("x", int)]),
        "stands in raw SQL",
        "filter",
    ),
    "pages of a slice": (lambda: Read(IDS[:3], page=Page()), "a slice has no pages", "leave out"),
    "pages by no column": (
        lambda: Read(BOOKS.values("title"), page=Page(by="id")),
        "`id`, which is no column",
        "values",
    ),
    "pages by what is not unique": (
        lambda: Read(Book.objects.order_by("title").values("title"), page=Page(by="title")),
        "no column of its own for every row",
        "primary key",
    ),
    "pages in another order": (
        lambda: Read(Book.objects.order_by("title").values("id"), page=Page(by="id")),
        "not ordered by it alone",
        'order_by("id")',
    ),
    "a page's own parameter": (
        lambda: Read(IDS.filter(stock=Param.query("limit", int)), page=Page()),
        "`limit` is the page's own",
        "otherwise",
    ),
    "a count of pages": (lambda: Read(count(BOOKS), page=Page()), "a count is one number", ""),
    "a nested list without a key": (
        lambda: Author.objects.values(x=Nested(Odd.objects.values("id"))),
        "no foreign key of Odd to Author",
        "by=",
    ),
    "a nested list with two keys": (
        lambda: Author.objects.values(x=Nested(Book.objects.values("id"))),
        "several fields of Book to Author",
        'by="author" or by="editor"',
    ),
    "a nested slice": (
        lambda: Author.objects.values(x=Nested(Book.objects.values("id")[:3], by="author")),
        "`x` is sliced",
        "max_rows",
    ),
    "a nested list of a part": (
        lambda: Author.objects.values(x=Nested(Book.objects.values("id"), by="author"))[:2],
        "would be of other rows",
        "order_by",
    ),
    "a nested list of a part by chance": (
        lambda: Author.objects.order_by("?").values(
            x=Nested(Book.objects.values("id"), by="author")
        )[:2],
        "would be of other rows",
        "order_by",
    ),
    "nested arrays": (
        lambda: Author.objects.annotate(x=Nested(Book.objects.values("id"))).values_list("x"),
        "needs a name",
        "values()",
    ),
    "a nested list of groups": (
        lambda: (
            Author.objects.values("active")
            .annotate(n=Count("id"))
            .annotate(x=Nested(Book.objects.values("id"), by="author"))
        ),
        "needs the column `id`",
        'add "id"',
    ),
    "for update": (lambda: IDS.select_for_update()[:3], "outside of a transaction", ""),
    "pages of a union": (
        lambda: Read(IDS.order_by().union(IDS.order_by()).order_by("id"), page=Page(by="id")),
        "NotSupportedError",
        "",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_answered(name, sqlite, postgresql):
    make, said, hint = REFUSED[name]
    what = make()
    read = what if isinstance(what, Read) else Read(what)
    if name == "for update":
        read = Read(what.using(postgresql))
    with pytest.raises(DeclarationError) as caught:
        bind_read(read, "shop:read", ["other"])
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Param.query("x", dict),
        lambda: Param.query("x", list),
        lambda: Param.query("x", list[dict]),
        lambda: Param.query("x", int, default="1"),
        lambda: Param.query("x", list[int], default=1),
        lambda: Param.query("x", int, default=1, optional=True),
        lambda: Page(default=0),
        lambda: Page(default=5, max=4),
        lambda: Read(IDS, one=True, page=Page()),
        lambda: Read(IDS, max_rows=0),
        lambda: Read({"a": IDS}, one=True),
        lambda: BoltAPI().query("/", Read(IDS), one=True),
    ],
)
def test_what_cannot_be_declared(make):
    with pytest.raises(DeclarationError) as caught:
        make()
    assert caught.value.hint


def test_a_text_cannot_be_made_of_a_parameter():
    for make in (str, "{}".format):
        with pytest.raises(DeclarationError, match="before there is a value"):
            make(Param.query("q"))


def test_declarations_are_their_own_source():
    import decimal

    names = {"Param": Param, "datetime": datetime.datetime, "UUID": uuid.UUID}
    names |= {"Decimal": decimal.Decimal, "Page": Page}
    for made in (
        Param("a", int),
        Param.path("a", datetime.datetime),
        Param.query("a", list[uuid.UUID], optional=True),
        Param.query("a", decimal.Decimal, default=decimal.Decimal("1.5")),
        Param.principal("sub"),
        Page(default=3, by="id"),
    ):
        assert eval(repr(made), names) == made


def test_mistakes_have_the_place_of_the_route(sqlite):
    api = BoltAPI(auth="public")
    api.query("/a", BOOKS)
    api.query("/b", IDS.using(sqlite)[:3])
    api.query("/c/{id}", IDS.using(sqlite).filter(sold=Param.query("s", bool)))
    api.compile(IDS.using(sqlite).filter(pk=Param("id", int)), one=True)
    api.compile(IDS.using(sqlite).filter(pk=Param.path("id", int)), one=True)
    found = from_api(api).diagnostics
    assert [(one.code, one.severity) for one in found] == [
        ("E170", "error"),
        ("W173", "warning"),
        ("E170", "error"),
    ]
    first = found[0].position.line
    assert [one.position.line - first for one in found] == [0, 2, 4]
    assert {one.position.file for one in found} == {__file__}


def reason(what):
    read = bind_read(what, "shop:read", [])
    return read.tier, read.reason


class Router:
    """Reads from another database than it writes to."""

    def db_for_read(self, model, **hints):
        return "reads"


def test_a_router_is_asked(sqlite):
    with override_settings(DATABASE_ROUTERS=["tests.unit.test_queries_refusals.Router"]):
        from django.db import router

        router.__dict__.pop("routers", None)
        router._routers = settings.DATABASE_ROUTERS
        try:
            assert reason(IDS[:3]) == (
                2,
                "a database router is asked; `.using(...)` says which database it is",
            )
            assert reason(IDS.using(sqlite)[:3]) == (1, None)
        finally:
            router.__dict__.pop("routers", None)
            router._routers = None


def test_memory_and_another_time_zone(sqlite):
    from tests.reads import rows

    rows.connect("asked", ENGINE="django.db.backends.sqlite3", NAME=":memory:")
    assert reason(IDS.using("asked")[:3]) == (
        2,
        "the database is in memory, where nobody else sees it",
    )
    rows.disconnect("asked")
    rows.connect("asked", ENGINE="django.db.backends.sqlite3", NAME="x", TIME_ZONE="Asia/Tokyo")
    assert reason(IDS.using("asked")[:3]) == (1, None)
    said = (2, "the time zone of the database is Asia/Tokyo")
    assert reason(BOOKS.using("asked").values("moment")[:3]) == said
    rows.disconnect("asked")


class OwnExact(Exact):
    """A lookup of one's own."""

    lookup_name = "own"

    def get_rhs_op(self, connection, rhs):
        return f"= {rhs}"


def test_lookups_of_one_s_own(sqlite):
    models.CharField.register_lookup(OwnExact)
    try:
        what = IDS.using(sqlite).filter(title__own=Param.query("t"))
        assert reason(what[:3]) == (3, "`t` is compared by a lookup of one's own, OwnExact")
    finally:
        models.CharField._unregister_lookup(OwnExact)


def test_an_address_is_cleaned_by_django(sqlite):
    what = Everything.objects.using(sqlite).filter(address=Param.query("ip")).values("id")
    assert reason(what[:3]) == (3, "`ip` is compared with a GenericIPAddressField")


def test_where_a_value_is_written_in_python(sqlite):
    what = BOOKS.using(sqlite).annotate(x=F("stock") + Param.query("n", int)).values("x")
    assert reason(what[:3])[0] == 2


def test_check_says_what_runs_in_python(tmp_path):
    (tmp_path / "people.py").write_text(
        "from django.contrib.auth.models import User\nfrom pybolt import Param\n"
        "ids = Param.query('id', list[int])\n"
        "some = User.objects.filter(pk__in=ids).values('id')[:5]\n"
    )
    (tmp_path / "bolt.yaml").write_text(
        'routes:\n  - {path: /some, query: "people:some", auth: public}\n'
    )
    done = bolt(tmp_path, "check")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-3:-1] == [
        "0 queries in Rust, 1 in Python:",
        "  people:some (queryset): the parameter `id` is a list, whose length the SQL shows",
    ]
