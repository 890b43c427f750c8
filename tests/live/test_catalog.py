"""``examples/catalog`` on SQLite and on PostgreSQL: its reads answer what Django does."""

import json
import re
import shutil
import time
from decimal import Decimal
from urllib.parse import urljoin

import jwt
import pytest

from tests.command import bolt, python, said
from tests.live.postgres import postgres
from tests.live.server import ROOT, Server

ITEMS = 5_000
SECRET = "example-" * 8


@pytest.fixture(scope="module")
def postgresql():
    with postgres() as cluster:
        yield {
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(cluster.port),
            "POSTGRES_USER": "bolt",
            "POSTGRES_DB": "postgres",
        }


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    return {"CATALOG_DATABASE": str(tmp_path_factory.mktemp("catalog") / "catalog.sqlite3")}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def project(request, tmp_path_factory):
    """The directory of the project, and its environment, with all rows."""
    environ = {"JWT_SECRET": SECRET} | request.getfixturevalue(request.param)
    directory = tmp_path_factory.mktemp(request.param)
    shutil.copytree(ROOT / "examples" / "catalog", directory, dirs_exist_ok=True)
    said(python(directory, "manage.py", "migrate", environ=environ))
    done = seeded(directory, environ)
    assert done.splitlines()[-1] == f"orders: {ITEMS:,} of {ITEMS:,}"
    return directory, environ


def seeded(directory, environ):
    return said(python(directory, "manage.py", "seed", "--items", str(ITEMS), environ=environ))


@pytest.fixture(scope="module")
def answers(project):
    """What Django answers."""
    directory, environ = project
    script = "from tests.live.catalog_answers import as_json; print(as_json())"
    shell = python(directory, "manage.py", "shell", "-v0", "-c", script, environ=environ)
    return json.loads(said(shell))


@pytest.fixture(scope="module")
def server(project, answers):
    """The project, served; what Django answers is known before anything is written."""
    directory, environ = project
    with Server(directory, environ=environ) as server:
        yield server


def bearer(user):
    claims = {"sub": user, "aud": "catalog", "exp": int(time.time()) + 300}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET)}"}


def test_every_answer_is_django_s(server, answers):
    for said_as, expected in answers.items():
        url, _, user = said_as.partition(" as ")
        status, headers, body = server.request("GET", url, headers=bearer(user) if user else {})
        assert (status, body.decode()) == (200, expected), url
        assert headers["content-type"] == "application/json"
    assert answers["/mine as 3"] != answers["/mine as 4"]
    for url in answers.keys() - {"/search?name=%25", "/mine as 999999"}:
        assert len(json.loads(answers[url])) > 2, url


def followed(server, url):
    """The rows of all pages from ``url`` on."""
    while url:
        status, headers, body = server.request("GET", url)
        assert status == 200, body
        yield from json.loads(body)
        following = re.fullmatch(r'<(.*)>; rel="next"', headers.get("link", ""))
        url = following and urljoin(url, following[1])


def test_pages_show_every_row_once(server):
    every = [*range(1, ITEMS + 1)]
    assert [row["id"] for row in followed(server, "/items?limit=999")] == every
    assert [row["id"] for row in followed(server, "/feed?limit=1000")] == every[::-1]
    authors = list(followed(server, "/authors?limit=20"))
    assert [author["id"] for author in authors] == [*range(1, ITEMS // 50 + 1)]
    assert sorted(item["id"] for author in authors for item in author["items"]) == every


def test_what_is_not_there_and_what_does_not_fit(server):
    assert server.request("GET", "/items/999999")[0] == 404
    assert server.request("GET", "/mine")[0] == 401
    for url, where in [
        ("/items/x", "path"),
        ("/search", "query"),
        ("/search?name=a&max_price=cheap", "query"),
        ("/items?limit=0", "query"),
        ("/feed?after=none", "query"),
    ]:
        status, _, body = server.request("GET", url)
        assert status == 422, url
        assert [error["in"] for error in json.loads(body)["errors"]] == [where], url
    status, _, body = server.request("GET", "/mine", headers=bearer("somebody"))
    assert (status, json.loads(body)["errors"][0]["in"]) == (422, "principal")


def test_every_query_is_of_the_first_tier(project):
    directory, environ = project
    assert said(bolt(directory, "routes", environ=environ)).count(", in Rust over ") == 8
    explained = said(bolt(directory, "explain", "GET", "/items/7", environ=environ))
    assert "handler none: answered by Rust" in explained
    assert "query   tier 1, in Rust" in explained
    assert "path: id (int)" in explained


def test_seeding_again_changes_nothing(project, server):
    before = server.request("GET", "/feed?limit=1000")[2]
    seeded(*project)
    assert server.request("GET", "/feed?limit=1000")[2] == before


def test_an_order_of_a_handler_is_there_for_the_next_read(server):
    item = next(row for row in followed(server, "/items") if row["stock"] > 5)

    def order(item_id):
        wanted = json.dumps({"item": item_id, "quantity": 2})
        headers = bearer("3") | {"Content-Type": "application/json"}
        return server.request("POST", "/orders", wanted, headers)

    status, _, body = order(item["id"])
    assert status == 201, body
    newest = json.loads(server.request("GET", "/mine", headers=bearer("3"))[2])[0]
    assert (newest["id"], newest["item_name"]) == (json.loads(body)["id"], item["name"])
    assert newest["id"] > ITEMS
    left = json.loads(server.request("GET", f"/items/{item['id']}")[2])["stock"]
    assert left == item["stock"] - 2
    assert order(999999)[0] == 409


def test_the_handlers_beside_them(server):
    first, second = json.loads(server.request("GET", "/items?limit=2")[2])
    compared = json.loads(server.request("GET", "/compare/1/2")[2])
    assert compared["items"] == [first, second]
    difference = Decimal(first["price"]) - Decimal(second["price"])
    assert Decimal(compared["difference"]) == difference
    assert server.request("GET", "/compare/1/999999")[0] == 404
    assert {"id", "name"} == json.loads(server.request("GET", "/sold-out")[2])[0].keys()
    stock = json.loads(server.request("GET", "/authors/7/stock")[2])
    assert stock.keys() == {"name", "stock"}
    assert server.request("GET", "/authors/999999/stock")[0] == 404
