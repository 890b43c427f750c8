"""What ``bolt explain`` says of a declared read, without asking a database."""

import json
import re

import pytest
from django.db.models import Q

from pybolt import BoltAPI, Param
from pybolt.cli.reads import explained
from pybolt.config.load import from_api
from pybolt.queries.bind import forced
from tests.reads.models import Book
from tests.unit.command import bolt

READING = """
from django.contrib.auth.models import User
from pybolt import Page, Param, Read, count

users = User.objects.order_by("id").values("id", "username")
one = Read(users.filter(pk=Param.path("id", int)), one=True)
name = Param.query("q", optional=True)
found = Read(users.filter(username__icontains=name), page=Page())
both = {"users": users[:3], "number": count(User.objects.all())}
listed = users.filter(pk__in=Param.query("id", list[int]))[:5]
"""
ROUTES = """
routes:
  - {path: "/users/{id}", query: "reading:one"}
  - {path: /users, query: "reading:found"}
  - {path: /both, query: "reading:both"}
  - {path: /listed, query: "reading:listed"}
  - {path: /none, respond: {body: hi}}
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    directory = tmp_path_factory.mktemp("reading")
    (directory / "reading.py").write_text(READING)
    (directory / "bolt.yaml").write_text(ROUTES)

    def tell(url, *more):
        done = bolt(directory, "explain", "GET", url, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return tell


def test_statements_and_where_their_values_come_from(told):
    query = json.loads(told("/users/7", "--format", "json"))["query"]
    [statement] = query["statements"]
    assert (query["tier"], query["reason"]) == (1, None)
    assert statement["database"] == "default"
    assert 'WHERE "auth_user"."id" = ?' in statement["sql"]
    assert statement["values"] == ["path: id (int)"]
    query = json.loads(told("/users?q=a", "--format", "json"))["query"]
    assert query["statements"][0]["values"] == [
        "query: q (str, optional), within %…%",
        "limit: limit (int), and 1 more",
        "offset: offset (int)",
    ]
    names = [
        one["name"] for one in json.loads(told("/both", "--format", "json"))["query"]["statements"]
    ]
    assert names == ["users", "number"]


def test_text(told):
    shown = told("/users/7")
    assert "query   tier 1, in Rust\n        `default`: SELECT" in shown
    assert "\n          1. path: id (int)\n" in shown
    assert shown.rstrip().splitlines()[-1].startswith("answer  the query's")
    assert "query   " not in told("/none")


def test_a_tier_and_its_reason_are_said_once(told):
    shown = told("/listed?id=1")
    assert "query   tier 3, the queryset itself: the parameter `id` is a list" in shown
    assert "16 query       reading:listed  " in shown
    assert (shown.count("tier"), shown.count("is a list")) == (1, 1)


@pytest.mark.parametrize("tier", [1, 2])
def test_a_value_that_stands_twice_is_shown_as_it_is_sent(alias, tier):
    text = Param.query("q")
    books = Book.objects.using(alias).filter(
        Q(title=text) | Q(subtitle=text), stock=Param.query("n", int)
    )
    api = BoltAPI(auth="public")
    api.query("/", books.values("id")[:3])
    with forced(tier):
        [read] = from_api(api).reads
    [statement] = explained(read)["statements"]
    both, number = ["query: q (str)"] * 2, "query: n (int)"
    expected = ["?", "?", "?"], [*both, number]
    if alias == "reads_pg":
        expected = ["$1", "$2", "$3"], [*both, number]
        if tier == 1:
            expected = ["$1", "$1", "$2"], [both[0], number]
    assert (re.findall(r"[?]|[$][0-9]", statement["sql"]), statement["values"]) == expected
