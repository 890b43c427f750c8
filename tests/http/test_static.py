"""Files through the test client: the rows that cargo runs, and what Python declares."""

import json

import pytest

from pybolt import BoltAPI, _engine
from pybolt.config import RunOptions, load
from pybolt.config.load import from_api
from pybolt.testing import Client
from tests.static_tree import TABLE, make, write_config

EXPECT = {"status", "code", "headers", "body", "length", "parts"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    make(root)
    return root


@pytest.fixture
def engine(tree):
    """Makes the client of a configuration of the table."""
    clients = []

    def make_client(name):
        client = Client(load(RunOptions(config=str(write_config(tree, name)))))
        clients.append(client)
        return client

    yield make_client
    for client in clients:
        client.close()


def send(client, told, etag="", *, conditions=True):
    headers = [
        (name, value.replace("{etag}", etag))
        for name, value in told.get("headers", [])
        if conditions or not name.startswith(("if-", "range"))
    ]
    return client.request(told.get("method", "GET"), told["url"], headers=headers)


def parts(response):
    """``Content-Range`` and text of each part."""
    _, _, boundary = response.headers["content-type"].partition("multipart/byteranges; boundary=")
    pieces = response.text.removesuffix(f"\r\n--{boundary}--\r\n").split(f"\r\n--{boundary}\r\n")
    assert pieces[0] == ""
    heads = [piece.partition("\r\n\r\n") for piece in pieces[1:]]
    return [[head.partition("content-range: ")[2], text] for head, _, text in heads]


@pytest.mark.parametrize("row", TABLE["rows"], ids=lambda row: row["name"])
def test_row(row, engine):
    expect, client = row["expect"], engine(row["config"])
    assert not expect.keys() - EXPECT
    etag = send(client, row["request"], conditions=False).headers.get("etag", "")
    for _ in range(row.get("repeat", 1)):
        response = send(client, row["request"], etag)
    assert response.status == expect["status"]
    if "code" in expect and response.body:
        assert response.json()["type"] == f"urn:pybolt:problem:{expect['code']}"
    for name, value in expect.get("headers", {}).items():
        wanted = value and value.replace("{etag}", etag)
        assert response.headers.get(name) == wanted, name
    if "body" in expect:
        assert response.text == expect["body"]
    if "length" in expect:
        assert len(response.body) == expect["length"]
    if "parts" in expect:
        assert parts(response) == expect["parts"]


def test_tags_of_encodings_differ(engine):
    client = engine("encoded")
    accepted = ["", "br", "gzip", "zstd"]
    tags = {
        client.get("/static/css/site.css", headers={"Accept-Encoding": one}).headers["etag"]
        for one in accepted
    }
    assert len(tags) == len(accepted)


def test_python_declares_them_beside_its_own_file(tmp_path, monkeypatch):
    make(tmp_path)
    (tmp_path / "files_app.py").write_text(
        "from pathlib import Path\n"
        "from pybolt import BoltAPI\n"
        "api = BoltAPI()\n"
        "api.files('/static/{*path}', 'www', precompressed=['br'], cache='1h', name='static')\n"
        "group = api.group('/more', security_headers='on')\n"
        "group.files('/{*path}', Path('www'), index='index.html', types={'ours': 'a/b'})\n"
        "group.files('/raw/{*path}', 'www', cache=False, dotfiles=True, symlinks='inside')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import files_app

    with Client(files_app.api) as client:
        css = client.get("/static/css/site.css", headers={"Accept-Encoding": "br"})
        assert (css.text, css.headers["cache-control"]) == ("in brotli", "public, max-age=3600")
        home = client.get("/more/")
        assert (home.text, home.headers["x-content-type-options"]) == ("<h1>home</h1>", "nosniff")
        assert client.get("/more/module.ours").headers["content-type"] == "a/b"
        raw = client.get("/more/raw/link-in")
        assert (raw.text, raw.headers.get("cache-control")) == ("0123456789", None)
        assert client.get("/more/raw/.env").text == "SECRET"
        told = json.loads(_engine.routes(client.loaded.wire))
        answers = {route["path"]: route["answer"] for route in told}
        assert answers["/static/{*path}"] == (
            "files www, precompressed br, cache 1h, hashed names immutable"
        )


def test_mistakes_have_the_line_that_declares():
    api = BoltAPI()
    api.files("/a/{*path}", "nowhere-at-all")
    [found] = from_api(api).check()
    assert (found.code, found.position.file) == ("E160", __file__)
    assert "nowhere-at-all" in found.message


def test_a_manifest_that_is_none(tmp_path):
    (tmp_path / "staticfiles.json").write_text("{")
    api = BoltAPI()
    api.files("/a/{*path}", tmp_path)
    api.files("/b/{*path}", tmp_path, immutable=False)
    [found] = from_api(api).check()
    assert (found.code, found.hint) == (
        "E164",
        "run `collectstatic` again, or write `immutable: off`",
    )


def test_the_project_without_a_static_root():
    api = BoltAPI()
    api.files("/static/{*path}", "django")
    [found] = from_api(api).check()
    assert (found.code, found.message) == ("E160", "the project has no STATIC_ROOT")


def test_the_static_root_of_the_project(tmp_path, settings_of_django):
    make(tmp_path)
    settings_of_django.STATIC_ROOT = tmp_path / "listed"
    api = BoltAPI()
    api.files("/static/{*path}", "django")
    with Client(api) as client:
        hashed = client.get("/static/a.ffffffffffff.css")
        assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.fixture
def settings_of_django():
    from django.test import override_settings

    with override_settings():
        from django.conf import settings

        yield settings
