"""What a declared read answers beside its rows: one, counts, dicts, pages, nested lists."""

import datetime
import json
import re
import time
from urllib.parse import urljoin

import jwt
import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.db.models import Count, OuterRef, Subquery

from pybolt import JWTAuth, Nested, Page, Param, Read, count
from pybolt.queries.fill import fill
from tests.reads.models import Author, Book
from tests.reads.serving import serving

SECRET = "s" * 48


@pytest.fixture(params=[1, 2, 3])
def tier(request):
    return request.param


@pytest.fixture
def books(alias):
    return Book.objects.using(alias).order_by("id")


def dumps(value):
    return json.dumps(value, cls=DjangoJSONEncoder).encode()


def test_one_is_an_object_or_404(tier, books):
    one = books.filter(pk=Param.path("id", int)).values("id", "title", "moment")
    with serving(tier, one, "/{id}", one=True) as client:
        assert client.get("/2").body == dumps(books.filter(pk=2).values("id", "title", "moment")[0])
        missing = client.get("/99")
        assert (missing.status, missing.json()["type"]) == (404, "urn:pybolt:problem:not_found")
        assert client.request("HEAD", "/2").status == 200


def test_one_of_arrays_and_of_values(tier, books):
    with serving(tier, books.values_list("id", "title"), one=True) as client:
        assert client.get("/").body == b'[1, "Tea"]'
    with serving(tier, Read(books.values_list("title", flat=True)[1:3], one=True)) as client:
        assert client.get("/").body == b'"100% \\\\ sure"'


def test_what_does_not_fit_names_every_field_and_no_value(tier, books):
    what = books.filter(
        pk=Param.path("id", int), stock=Param.query("n", int), title=Param.query("t")
    )
    with serving(tier, what.values("id"), "/{id}") as client:
        answer = client.get("/x1?n=abc")
    assert answer.status == 422
    assert sorted(map(tuple, (e.items() for e in answer.json()["errors"]))) == [
        (("in", "path"), ("field", "id"), ("message", "expected an integer")),
        (("in", "query"), ("field", "n"), ("message", "expected an integer")),
        (("in", "query"), ("field", "t"), ("message", "is required")),
    ]


def test_a_zero_byte_and_a_time_with_a_zone_do_not_fit(tier, books):
    with serving(tier, books.filter(title=Param.query("t")).values("id")) as client:
        assert client.get("/?t=a%00b").status == 422


@pytest.mark.parametrize(
    "said",
    [
        "2026-01-31T12:00:00%2B24:00",
        "2026-01-31T12:00:00%2B05:60",
        "2026-01-31T12:00:00%2B05",
        # Of no year that there is in UTC.
        "0001-01-01T00:00:00%2B00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_moments_that_do_not_fit(tier, books, said):
    later = books.filter(moment__gte=Param.query("t", datetime.datetime)).values("id")
    with serving(tier, later) as client:
        answer = client.get(f"/?t={said}")
    message = "expected a date and time such as 2026-01-31T12:00:00Z"
    assert answer.json()["errors"] == [{"in": "query", "field": "t", "message": message}]


def test_moments_of_a_list_and_of_a_default(tier, books):
    far = datetime.timezone(datetime.timedelta(hours=16, minutes=30))
    moment = datetime.datetime(2020, 2, 1, 15, 33, 5, 3003, tzinfo=far)
    at = Param.query("t", datetime.datetime, default=moment)
    among = Param.query("ts", list[datetime.datetime], default=[moment])
    ids = books.values_list("id", flat=True)
    for what in (ids.filter(moment=at), ids.filter(moment__in=among)):
        with serving(tier, what) as client:
            assert client.get("/").json() == [4]
            said = "2020-02-01T15:34:05.004004%2B16:30"
            assert client.get(f"/?t={said}&ts={said}").json() == [5]


def test_rows_of_one_s_own(tier, books):
    mine = books.filter(author_id=Param.principal("sub", int)).values_list("id", flat=True)
    auth = JWTAuth(secret=SECRET, algorithms=["HS256"], audience="shop", optional=True)
    with serving(tier, mine, auth=auth) as client:

        def ask(**claims):
            told = {"aud": "shop", "exp": int(time.time()) + 60} | claims
            token = jwt.encode(told, SECRET, "HS256")
            return client.get("/", headers={"authorization": f"Bearer {token}"})

        assert ask(sub="1").json() == [1, 2, 7]
        assert ask(sub="2").json() == [3, 5]
        assert [e["in"] for e in ask(sub="x").json()["errors"]] == ["principal"]
        assert client.get("/").json()["errors"] == [
            {"in": "principal", "field": "sub", "message": "is required"}
        ]


def test_a_count(tier, books):
    many = books.filter(title__icontains=Param.query("q", optional=True))
    with serving(tier, count(many)) as client:
        assert client.get("/").body == b"7"
        assert client.get("/?q=tea").body == b"2"
    for other in (
        many[:3],
        many.values("sold").distinct(),
        many.values("author__name"),
        Author.objects.using(books.db).values("active").annotate(n=Count("id")),
    ):
        with serving(tier, count(other)) as client:
            assert client.get("/?q=t").json() == self_count(other)


def self_count(queryset):
    """The same with a value in it."""
    from pybolt.queries.fill import fill, params_of
    from pybolt.queries.rows import with_query

    values = dict.fromkeys(params_of(queryset.query), "t")
    return with_query(queryset, fill(queryset.query, values)).count()


def test_a_dict_of_reads(tier, books):
    what = {
        "latest": books.values("id", "title")[:2],
        "total": count(books),
        "one": Read(books.filter(pk=Param.query("id", int)).values("title"), one=True),
    }
    with serving(tier, what) as client:
        assert client.get("/?id=2").body == dumps(
            {
                "latest": list(books.values("id", "title")[:2]),
                "total": 7,
                "one": {"title": "100% \\ sure"},
            }
        )
        assert client.get("/?id=99").status == 404


def link_of(answer):
    found = answer.headers.get("link")
    return found and re.fullmatch(r'<(\?.*)>; rel="next"', found)[1]


def followed(client, url):
    """The pages from ``url`` on."""
    while url:
        answer = client.get(url)
        assert answer.status == 200, answer.body
        yield answer.json()
        link = link_of(answer)
        url = link and urljoin(url, link)


def test_pages_by_offset(tier, books):
    what = books.filter(title__icontains=Param.query("q", optional=True)).values_list(
        "id", flat=True
    )
    with serving(tier, what, "/p", page=Page(default=3, max=5)) as client:
        assert list(followed(client, "/p")) == [[1, 2, 3], [4, 5, 6], [7]]
        assert list(followed(client, "/p?limit=5")) == [[1, 2, 3, 4, 5], [6, 7]]
        assert list(followed(client, "/p?limit=1&offset=5")) == [[6], [7]]
        assert list(followed(client, "/p?offset=99")) == [[]]
        assert list(followed(client, "/p?q=t%65a&limit=1")) == [[1], [5]]
        assert link_of(client.get("/p?q=a%20&x=%C3%A4&offset=0&limit=1")) is None
        link = link_of(client.get("/p?x=%C3%A4&offset=1&a&limit=1"))
        assert link == "?x=%C3%A4&a&limit=1&offset=2"
        for wrong in ("limit=0", "limit=6", "limit=a", "limit=-1", "offset=-1", "limit=1.0"):
            assert client.get(f"/p?{wrong}").status == 422, wrong
        errors = client.get("/p?limit=6&offset=x").json()["errors"]
        assert errors == [
            {"in": "query", "field": "limit", "message": "expected an integer from 1 to 5"},
            {"in": "query", "field": "offset", "message": "expected an integer from 0 up"},
        ]


@pytest.mark.parametrize(
    ("by", "order"), [("id", "id"), ("id", "-id"), ("ident", "-ident"), ("pk", "-pk")]
)
def test_pages_by_a_key(tier, alias, by, order):
    what = Book.objects.using(alias).order_by(order).values(by, "title")
    with serving(tier, what, "/p", page=Page(default=3, max=5, by=by)) as client:
        pages = list(followed(client, "/p"))
        assert [len(page) for page in pages] == [3, 3, 1]
        assert [row for page in pages for row in page] == json.loads(dumps(list(what)))
        cursor = link_of(client.get("/p")).partition("after=")[2]
        for wrong in ("x", "", cursor[:-2], "A" + cursor[1:], cursor + "A"):
            answer = client.get(f"/p?after={wrong}")
            assert answer.status == 422, wrong
            assert answer.json()["errors"] == [
                {"in": "query", "field": "after", "message": "expected the cursor of a page"}
            ]


def test_a_cursor_is_of_one_query(tier, alias):
    books = Book.objects.using(alias)
    page = Page(default=1, by="id")
    with serving(tier, books.order_by("id").values("id"), page=page) as client:
        url = link_of(client.get("/"))
    with serving(tier, books.order_by("-id").values("id"), page=page) as client:
        assert client.get("/" + url).status == 422


def test_nested_lists(tier, alias):
    authors = Author.objects.using(alias).order_by("id")
    below = Book.objects.order_by("-id").values("title", "price")
    what = authors.values("name").annotate(books=Nested(below, by="author"))[:9]
    with serving(tier, what) as client:
        assert client.get("/").body == dumps(
            [{"name": a.name, "books": list(below.using(alias).filter(author=a))} for a in authors]
        )


def test_nested_lists_with_parameters_pages_and_one(tier, alias):
    authors = Author.objects.using(alias).order_by("id")
    below = Book.objects.filter(stock__gt=Param.query("n", int, optional=True)).order_by("id")
    what = authors.values("id", written=Nested(below.values_list("id", flat=True), by="author"))
    with serving(tier, what, page=Page(default=2)) as client:
        assert list(followed(client, "/?n=1")) == [
            [{"id": 1, "written": [7]}, {"id": 2, "written": [3, 5]}],
            [{"id": 3, "written": []}],
        ]
    one = what.filter(pk=Param.path("id", int))
    with serving(tier, one, "/{id}", one=True) as client:
        assert client.get("/1").json() == {"id": 1, "written": [1, 2, 7]}
        assert client.get("/9").status == 404


def test_a_nested_list_of_rows_without_a_link(tier, alias):
    tags = Book.objects.using(alias).order_by("id").values("id")[:4]
    what = Book.objects.using(alias).filter(pk__in=tags).order_by("id")
    nested = Nested(Author.objects.filter(pk=0).values("name"))
    with pytest.raises(Exception, match="no foreign key"), serving(tier, what.values(a=nested)):
        pass


def test_more_rows_than_may_be_are_an_error(tier, books, caplog, capfd):
    with serving(tier, books.values("id"), max_rows=7) as client:
        assert client.get("/").status == 200
    with serving(tier, books.values("id"), max_rows=6) as client:
        assert client.get("/").status == 500
    said = "more rows than max_rows" if tier == 1 else "more than 6 rows"
    seen, deadline = caplog.text, time.monotonic() + 5
    # The engine's lines are written by a thread of its own.
    while said not in seen and time.monotonic() < deadline:
        seen += capfd.readouterr().out
    assert said in seen


def test_lists_and_defaults(tier, books):
    ids = Param.query("id", list[int], default=[2])
    with serving(tier, books.filter(pk__in=ids).values_list("id", flat=True)) as client:
        assert client.get("/").json() == [2]
        assert client.get("/?id=3&id=1").json() == [1, 3]
        assert client.get("/?id=3&id=x").status == 422


def test_atomic_requests_hold(tier, books, monkeypatch):
    if tier == 1:
        pytest.skip("in Rust a statement is a transaction, and can only read")
    monkeypatch.setitem(connections.settings[books.db], "ATOMIC_REQUESTS", True)
    seen = []
    monkeypatch.setattr(
        "pybolt.queries.run._encoded",
        lambda value: seen.append(connections[books.db].in_atomic_block) or "[]",
    )
    with serving(tier, books.values("id")[:3]) as client:
        assert client.get("/").body == b"[]"
    assert seen == [True]


def test_what_stands_in_two_places_is_one_when_it_is_filled(sqlite):
    newest = Book.objects.filter(author=OuterRef("pk"), pages__gt=5).order_by("id").values("id")
    counted = Author.objects.annotate(newest=Subquery(newest[:1])).values("newest")
    query = counted.annotate(n=Count("id")).query
    filled = fill(query, {})
    assert filled.get_compiler(sqlite).as_sql() == query.get_compiler(sqlite).as_sql()
    # Django counts in it while it compiles, and other threads do as well.
    inner = [one.annotations["newest"] for one in (filled, query)]
    # Before Django 6 it is the query itself.
    ours, theirs = (getattr(one, "query", one) for one in inner)
    assert ours is not theirs
