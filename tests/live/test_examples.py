"""Every example, run as its own text says."""

import gzip
import json
import re
import shutil
import sqlite3
import time
from urllib.parse import urlencode

import pytest

from tests.command import bolt, python, said
from tests.live.server import ROOT, Server

EXAMPLES = ROOT / "examples"
JSON = {"Content-Type": "application/json"}


def post(server, url, value, **headers):
    return server.request("POST", url, json.dumps(value), JSON | headers)


def test_embedded_app(tmp_path):
    shutil.copy(EXAMPLES / "embedded_app.py", tmp_path)
    with Server(tmp_path, "embedded_app.py", "--workers", "2") as server:
        assert server.logs(
            "making the first migrations of embedded_app",
            "workers   2",
            "no auth is declared anywhere",
        )
        for url in ("/hello", "/hello-async"):
            assert json.loads(server.request("GET", url)[2]) == {"message": "Hello, World!"}
        status, _, body = post(server, "/notes", {"text": "first"})
        assert (status, json.loads(body)) == (201, {"id": 1, "text": "first"})
        assert post(server, "/notes", {"text": ""})[0] == 422
        assert json.loads(server.request("GET", "/notes/1")[2])["reads"] == 1
        assert json.loads(server.request("GET", "/notes/1")[2])["reads"] == 2
        assert server.request("GET", "/notes/2")[0] == 404
        [note] = json.loads(server.request("GET", "/notes?limit=5")[2])
        assert (note["id"], note["text"], note["reads"]) == (1, "first", 2)
        assert server.stop() == 0
    with sqlite3.connect(tmp_path / "db.sqlite3") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    # A second start makes and applies nothing.
    with Server(tmp_path, "embedded_app.py") as server:
        assert "making" not in server.log()
        assert "applying" not in server.log()
        assert json.loads(server.request("GET", "/notes/1")[2])["reads"] == 3


def test_django_commands_of_the_embedded_app(tmp_path):
    shutil.copy(EXAMPLES / "embedded_app.py", tmp_path)
    app = ["embedded_app.py"]
    assert "0001_initial" in bolt(tmp_path, "makemigrations", *app).stdout
    assert "Applying embedded_app.0001_initial... OK" in bolt(tmp_path, "migrate", *app).stdout
    assert "[X] 0001_initial" in bolt(tmp_path, "migrations", *app).stdout
    made = bolt(tmp_path, "createuser", "demo", *app, input="demo\n")
    assert (made.returncode, made.stdout) == (0, "user demo made\n")
    assert (
        "has a new password" in bolt(tmp_path, "createuser", "demo", *app, "--password", "x").stdout
    )


def test_one_file_without_models_and_reload(tmp_path):
    app = tmp_path / "app.py"
    text = "from pybolt import BoltAPI\napi = BoltAPI()\n"
    text += "@api.get('/v')\ndef v(request):\n    return {'v': VERSION}\n"
    app.write_text(text.replace("VERSION", "1"))
    with Server(tmp_path, "app.py", "--reload") as server:
        assert json.loads(server.request("GET", "/v")[2]) == {"v": 1}
        app.write_text(text.replace("VERSION", "22"))
        await_answer(server, {"v": 22})
        # A file that does not load leaves the old worker serving.
        app.write_text("this is no Python")
        assert server.logs("not reloaded: ", " goes on")
        # The one before may be draining still.
        await_answer(server, {"v": 22})
        assert server.stop() == 0


def test_a_save_while_the_one_before_is_being_served_is_served_as_well(tmp_path):
    app = tmp_path / "app.py"
    text = "from pybolt import BoltAPI\napi = BoltAPI()\n"
    text += "@api.get('/v')\ndef v(request):\n    return {'v': VERSION}\n"
    app.write_text(text.replace("VERSION", "0"))
    # With byte code, which goes by the second.
    options = ("--reload", "--workers", "2")
    with Server(tmp_path, "app.py", *options, environ={"PYTHONDONTWRITEBYTECODE": ""}) as server:
        for version in (1, 3, 5):
            app.write_text(text.replace("VERSION", str(version)))
            await_answer(server, {"v": version})
            time.sleep(0.1)
            app.write_text(text.replace("VERSION", str(version + 1)))
            await_answer(server, {"v": version + 1})


def await_answer(server, expected):
    deadline = time.monotonic() + 20
    while json.loads(server.request("GET", "/v")[2]) != expected:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


def test_two_workers_write_to_one_sqlite_file(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    shutil.copy(EXAMPLES / "embedded_app.py", tmp_path)
    with Server(tmp_path, "embedded_app.py", "--workers", "2") as server:
        with ThreadPoolExecutor(8) as pool:
            texts = [f"note {number}" for number in range(100)]
            statuses = list(pool.map(lambda text: post(server, "/notes", {"text": text})[0], texts))
        assert statuses == [201] * 100
        assert len(json.loads(server.request("GET", "/notes?limit=100")[2])) == 100
        assert "locked" not in server.log()


def test_yaml_only(tmp_path):
    shutil.copytree(EXAMPLES / "yaml_only", tmp_path, dirs_exist_ok=True)
    with Server(tmp_path, "--config", "bolt.yaml") as server:
        status, headers, body = server.request(
            "GET", "/items", headers={"Origin": "https://app.example.com"}
        )
        assert (status, json.loads(body)) == (200, {"1": "lamp", "2": "chair"})
        assert headers["access-control-allow-origin"] == "https://app.example.com"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["ratelimit-policy"] == '"per_ip";q=600;w=60'
        assert len(headers["x-request-id"]) == 32
        assert json.loads(server.request("GET", "/items/2")[2]) == {"id": 2, "name": "chair"}
        assert server.request("GET", "/items/9")[0] == 404
        assert server.request("GET", "/whoami")[0] == 401
        found = server.request("GET", "/whoami", headers={"X-API-Key": "demo-key"})
        assert json.loads(found[2]) == {"id": "demo", "roles": ["partner"]}
        assert server.stop() == 0
        assert server.logs(" GET /whoami 401 ")
        assert "demo-key" not in server.log()


def environ_of(directory):
    return {"JWT_SECRET": "example-" * 8, "SITE_DATABASE": str(directory / "site.sqlite3")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site with its tables, its user and its static files."""
    directory = tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLES / "site", directory, dirs_exist_ok=True)
    environ = environ_of(directory)
    said(bolt(directory, "migrate", environ=environ))
    said(bolt(directory, "createuser", "ann", "--password", "secret", environ=environ))
    said(python(directory, "manage.py", "collectstatic", "--no-input", environ=environ))
    with gzip.open(directory / "staticfiles" / "articles" / "paper.svg.gz", "wb") as file:
        file.write(b"<svg/>")
    make_author = (
        "from django.contrib.auth.models import User\nfrom articles.models import Author\n"
        "Author.objects.create(user=User.objects.get(username='ann'), name='Ann')\n"
    )
    said(python(directory, "manage.py", "shell", "-v0", "-c", make_author, environ=environ))
    return directory


@pytest.fixture
def site(built, tmp_path):
    """A copy of it, served: what a test writes no other one sees."""
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    with Server(tmp_path, environ=environ_of(tmp_path)) as server:
        yield server


def test_static_files_of_the_site(site, tmp_path):
    manifest = json.loads((tmp_path / "staticfiles" / "staticfiles.json").read_text())
    hashed = manifest["paths"]["articles/site.css"]
    assert hashed != "articles/site.css"
    status, headers, body = site.request("GET", f"/static/{hashed}")
    assert (status, headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    # What the stylesheet names is there under that name, and is kept as long.
    named = body.decode().partition('url("')[2].partition('"')[0]
    status, headers, _ = site.request("GET", f"/static/articles/{named}")
    assert (status, headers["content-type"]) == (200, "image/svg+xml")
    assert "immutable" in headers["cache-control"]
    status, headers, _ = site.request("GET", "/static/articles/site.css")
    assert (status, headers["cache-control"]) == (200, "no-cache")
    again = site.request(
        "GET", "/static/articles/site.css", None, {"If-None-Match": headers["etag"]}
    )
    assert (again[0], again[2]) == (304, b"")
    accepting = {"Accept-Encoding": "gzip"}
    status, headers, body = site.request("GET", "/static/articles/paper.svg", None, accepting)
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(body) == b"<svg/>"
    assert site.request("GET", "/static/articles/")[0] == 404
    assert site.request("GET", "/static/../manage.py")[0] == 400


def test_the_admin_of_the_site(site, tmp_path):
    """Through routes that name nothing: sessions, forms with their tokens, static files."""
    database = sqlite3.connect(tmp_path / "site.sqlite3")
    with database:
        database.execute("UPDATE auth_user SET is_staff = 1, is_superuser = 1")
    database.close()
    cookies: dict[str, str] = {}

    def ask(method, url, **form):
        connection = site.connect()
        headers = {"Cookie": "; ".join(map("=".join, cookies.items()))}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, url, urlencode(form) if form else None, headers)
        response = connection.getresponse()
        body = response.read().decode()
        for cookie in response.headers.get_all("set-cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            cookies[name] = value
        connection.close()
        return response, body

    response, body = ask("GET", "/")
    assert (response.status, "There are none yet." in body) == (200, True)
    response, _ = ask("GET", "/admin")
    assert (response.status, response.getheader("location")) == (301, "/admin/")
    response, _ = ask("GET", "/admin/")
    assert (response.status, response.getheader("location")) == (302, "/admin/login/?next=/admin/")
    response, body = ask("GET", "/admin/login/?next=/admin/")
    assert response.status == 200
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', body)
    assert len(files) >= 4
    for file in files:
        status, headers, _ = site.request("GET", file)
        assert (status, "immutable" in headers["cache-control"]) == (200, True), file
    name, password = {"username": "ann"}, {"password": "secret"}
    assert ask("POST", "/admin/login/", **name, **password)[0].status == 403
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', body)[1]
    fields = {"csrfmiddlewaretoken": token, "next": "/admin/"}
    response, body = ask("POST", "/admin/login/", **name, password="wrong", **fields)
    assert (response.status, "enter the correct username" in body) == (200, True)
    response, _ = ask("POST", "/admin/login/", **name, **password, **fields)
    assert (response.status, response.getheader("location")) == (302, "/admin/")
    response, body = ask("GET", "/admin/articles/comment/")
    assert (response.status, "0 comments" in body) == (200, True)
    # What is written in the admin the api reads, and the page shows who is logged in.
    response, body = ask("GET", "/admin/articles/article/add/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', body)[1]
    article = {"title": "On forms", "text": "They are long.", "author": "1"}
    response, body = ask(
        "POST", "/admin/articles/article/add/", csrfmiddlewaretoken=token, **article
    )
    assert response.status == 302, body
    [found] = json.loads(site.request("GET", "/articles")[2])
    assert (found["title"], found["author__name"]) == ("On forms", "Ann")
    assert "You are ann." in ask("GET", "/")[1]
    cookies.clear()
    assert ask("GET", "/admin/")[0].status == 302
    assert site.request("GET", "/nowhere/")[0] == 404


def test_site(site):
    assert site.logs("django    site_project.settings")
    assert post(site, "/login", {"username": "ann", "password": "wrong"})[0] == 401
    status, _, body = post(site, "/login", {"username": "ann", "password": "secret"})
    assert status == 200
    token = {"Authorization": f"Bearer {json.loads(body)['token']}"}
    article = {"title": "On lamps", "text": "They shine."}
    assert post(site, "/articles", article)[0] == 401
    assert post(site, "/articles", {"title": ""}, **token)[0] == 422
    status, headers, body = post(site, "/articles", article, **token)
    assert (status, headers["location"]) == (201, "/articles/1")
    assert post(site, "/articles/1/comments", {"name": "Bob", "text": "Yes."})[0] == 201
    assert post(site, "/articles/9/comments", {"name": "Bob", "text": "Yes."})[0] == 404
    [found] = json.loads(site.request("GET", "/articles?author=Ann")[2])
    assert (found["id"], found["title"], found["author__name"]) == (1, "On lamps", "Ann")
    read = json.loads(site.request("GET", "/articles/1")[2])
    assert [comment["text"] for comment in read["comments"]] == ["Yes."]
    assert site.request("DELETE", "/articles/1", headers=token)[0] == 403
    assert site.request("PUT", "/articles/1")[0] == 405
    assert site.logs('"status":405')
    lines = [json.loads(line) for line in site.log().splitlines() if line.startswith('{"time"')]
    assert {line["status"] for line in lines} >= {200, 201, 401, 403, 404, 405, 422}
    assert "secret" not in site.log()
