"""What ``bolt explain`` says of a declared read, without asking a database."""

import json

import pytest

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
    assert "query   tier 3, the queryset itself: the parameter `id` is a list" in told(
        "/listed?id=1"
    )
    assert "query   " not in told("/none")
