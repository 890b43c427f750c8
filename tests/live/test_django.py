"""A Django project behind routes that name nothing: over real sockets, its own URLs answer."""

import hashlib
import http.client
import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.command import bolt, python, said
from tests.live.server import ROOT, Server
from tests.live.wire import connected, received_for, whole

PROJECT = ROOT / "tests" / "live" / "django_project"
KEY = {"X-API-Key": "partner-key"}


def prepare(directory, **environ):
    """A copy of the project with a database; the environment that it needs."""
    shutil.copytree(PROJECT, directory / "django_project")
    shutil.move(directory / "django_project" / "bolt.yaml", directory)
    environ = {"PROJECT_DATABASE": str(directory / "project.sqlite3")} | environ
    for command in (["migrate"], ["createuser", "ann", "--password", "secret"]):
        said(bolt(directory, *command, environ=environ))
    return environ


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("django")
    with Server(directory, environ=prepare(directory)) as server:
        yield server


def ask(server, method, url, body=None, headers=None, source=None):
    """Status, header pairs and body; ``source``: the address that the request comes from."""
    address = (source, 0) if source else None
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=20, source_address=address
    )
    try:
        connection.request(method, url, body, headers or {})
        response = connection.getresponse()
        return response.status, response.getheaders(), response.read()
    finally:
        connection.close()


def told(server, method, url, body=None, headers=None, source=None):
    status, _, text = ask(server, method, url, body, headers, source)
    assert status == 200, text
    return json.loads(text)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/echo/", "/echo/"),
        ("/echo/a%20b", "/echo/a b"),
        ("/echo/%C3%A9%E2%82%AC", "/echo/é€"),
        # Decoded once: what the client has encoded twice is encoded still.
        ("/echo/%2541", "/echo/%41"),
        ("/echo/a+b;c=d", "/echo/a+b;c=d"),
        ("/archive/2026/", "/archive/2026/"),
    ],
)
def test_the_path_is_what_was_matched(server, url, path):
    found = told(server, "GET", f"{url}?q=%C3%A9&q=2")
    assert (found["path"], found["path_info"], found["script_name"]) == (path, path, "")
    assert found["query"] == "q=%C3%A9&q=2"
    assert found["params"] == {"rest": path[1:]}


@pytest.mark.parametrize("url", ["/echo/a%2Fb", "/echo/../me/", "/echo/%00", "/echo/%ff"])
def test_an_ambiguous_path_never_reaches_django(server, url):
    assert ask(server, "GET", url)[0] == 400


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_and_body(server, method):
    found = told(server, method, "/echo/", b"text", {"Content-Type": "text/plain"})
    assert (found["method"], found["body"]) == (method, "text")
    assert found["meta"]["CONTENT_TYPE"] == "text/plain"
    assert found["meta"]["CONTENT_LENGTH"] == "4"
    assert "HTTP_CONTENT_TYPE" not in found["meta"]
    assert found["thread"].startswith("bolt-")


def test_a_head_has_the_length_of_the_answer_and_no_body(server):
    status, _, body = ask(server, "GET", "/alone/")
    assert status == 404
    received = received_for(
        server, b"HEAD /alone/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    head, _, after = received.partition(b"\r\n\r\n")
    assert after == b""
    assert f"content-length: {len(body)}".encode() in head.lower()
    found = received_for(server, b"HEAD /file/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert found.lower().endswith(b"\r\n\r\n")
    assert b"content-length: 1000000" in found.lower()


def test_header_fields_are_joined_and_underscores_dropped(server):
    found = received_for(
        server,
        b"GET /echo/ HTTP/1.1\r\nHost: a.test:81\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=1\r\n"
        b"Cookie: b=2\r\nX_A: 3\r\nProxy: http://x\r\nConnection: close\r\n\r\n",
    )
    meta = json.loads(found.partition(b"\r\n\r\n")[2])
    assert meta["meta"]["HTTP_X_A"] == "1,2"
    assert meta["cookies"] == {"a": "1", "b": "2"}
    assert (meta["host"], meta["url"]) == ("a.test:81", "http://a.test:81/echo/")


FORWARDED = {
    "X-Forwarded-For": "192.0.2.7, 203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.test",
    "X-Real-IP": "192.0.2.8",
    "Forwarded": "for=192.0.2.9;proto=https;host=evil.test",
}


def test_a_stranger_says_nothing_of_the_way(server):
    found = told(server, "GET", "/echo/", headers={"Host": "a.test"} | FORWARDED)
    assert (found["address"], found["secure"], found["host"]) == ("127.0.0.1", False, "a.test")
    assert not {name for name in found["meta"] if "FORWARD" in name or "REAL" in name}


def test_a_trusted_proxy_names_the_client_and_its_scheme(server):
    headers = {"Host": "a.test"} | FORWARDED
    found = told(server, "GET", "/echo/", headers=headers, source="127.0.0.2")
    # The right-most address that is not a trusted proxy's, whatever stands left of it.
    assert (found["address"], found["secure"]) == ("203.0.113.9", True)
    # Settings of the project's own decide what else it takes from its proxy.
    assert found["host"] == "evil.test"


def test_a_stripped_prefix_is_the_script_name(server):
    found = told(server, "GET", "/below/echo/")
    assert (found["script_name"], found["path_info"]) == ("/below", "/echo/")
    assert (found["path"], found["url"][-12:]) == ("/below/echo/", "/below/echo/")


def test_async_views(server):
    found = told(server, "POST", "/async/", b"x")
    assert found["users"] >= 1
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(server, "GET", "/async/")[0], range(40)))
    assert answers == [200] * 40


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_streams(server, kind):
    status, headers, body = ask(server, "GET", f"/stream/{kind}/")
    assert (status, body) == (200, b"0\n1\n2\n3\n4\n")
    assert dict(headers).get("transfer-encoding") == "chunked"


def test_a_stream_that_fails_is_never_ended_cleanly(server):
    received = received_for(server, b"GET /stream/broken/ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200")
    assert not received.endswith(b"0\r\n\r\n")


def test_files(server):
    status, headers, body = ask(server, "GET", "/file/")
    assert (status, body) == (200, b"0123456789" * 100_000)
    headers = dict(headers)
    assert headers["content-length"] == "1000000"
    assert headers["content-disposition"] == 'attachment; filename="numbers.bin"'


def chunks(count, size=65536):
    for _ in range(count):
        yield b"x" * size


def sha256(count, size=65536):
    return hashlib.sha256(b"x" * count * size).hexdigest()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_upload_is_not_kept_in_memory(server, chunked):
    before = told(server, "POST", "/upload/", b"x" * 100)
    assert (before["length"], before["sha256"]) == (100, sha256(100, 1))
    count = 1600
    headers = {} if chunked else {"Content-Length": str(count * 65536)}
    found = told(server, "POST", "/upload/", chunks(count), headers)
    assert (found["length"], found["sha256"]) == (count * 65536, sha256(count))
    assert found["kib"] - before["kib"] < 40_000


def test_a_body_past_the_limit_is_refused_before_django(server):
    assert ask(server, "POST", "/echo/", b"x" * 65536)[0] == 200
    status, _, body = ask(server, "POST", "/echo/", b"x" * 65537)
    assert (status, json.loads(body)["type"]) == (413, "urn:pybolt:problem:body_too_large")
    assert ask(server, "POST", "/echo/", chunks(2, 40_000))[0] == 413


def test_a_client_that_waits_is_told_to_go_on(server):
    with connected(server) as connection:
        connection.sendall(
            b"POST /echo/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"text")
        received = whole(connection)
    assert json.loads(received.partition(b"\r\n\r\n")[2])["body"] == "text"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_forms_and_their_files(server, chunked):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n'
        b"\r\nfile\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    found = told(server, "POST", "/form/", iter([body]) if chunked else body, headers)
    assert found == {"post": {"a": "one"}, "files": {"f": ["f.txt", "file"]}}


def test_cookies_stand_alone_and_framing_is_the_servers(server):
    connection = server.connect()
    for _ in range(2):
        connection.request("GET", "/cookies/")
        response = connection.getresponse()
        assert response.read() == b"set"
        cookies = response.headers.get_all("set-cookie")
        assert sorted(cookies) == ["a=1; HttpOnly; Path=/", "b=2; Path=/; Secure"]
        assert response.headers["content-length"] == "3"
        for name in ("transfer-encoding", "connection", "keep-alive"):
            assert name not in response.headers
    connection.close()


def test_errors_are_djangos_own(server):
    status, headers, body = ask(server, "GET", "/nowhere/")
    assert (status, dict(headers)["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"The requested resource was not found" in body
    # Only a project's middleware says so.
    assert dict(headers)["x-content-type-options"] == "nosniff"
    status, _, body = ask(server, "GET", "/fails/")
    assert status == 500
    assert b"<h1>Server Error (500)</h1>" in body
    assert server.logs("django.request: Internal Server Error: /fails/", "RuntimeError: on purpose")


def test_the_pages_of_debug(tmp_path):
    with Server(tmp_path, environ=prepare(tmp_path, PROJECT_DEBUG="1")) as server:
        for url, told in (("/nowhere/", b"archive/(?P&lt;year&gt;"), ("/fails/", b"on purpose")):
            status, _, body = ask(server, "GET", url)
            assert status in (404, 500)
            assert told in body


def test_a_session_decides_and_rust_only_gates(server):
    # No session: Django itself sends the client away, not Rust.
    status, headers, _ = ask(server, "GET", "/me/")
    assert (status, dict(headers)["location"]) == (302, "/accounts/login/?next=/me/")
    wrong = {"username": "ann", "password": "wrong"}
    right = {"username": "ann", "password": "secret"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def log_in(fields):
        return ask(server, "POST", "/login/", "&".join(map("=".join, fields.items())), form)

    assert log_in(wrong)[0] == 403
    status, headers, body = log_in(right)
    assert (status, json.loads(body)) == (200, {"user": "ann"})
    cookie = next(v for k, v in headers if k == "set-cookie" and v.startswith("sessionid="))
    session = {"Cookie": cookie.partition(";")[0]}
    assert told(server, "GET", "/me/", headers=session) == {"user": "ann"}
    assert ask(server, "GET", "/me/", headers={"Cookie": "sessionid=forged"})[0] == 302
    # What Rust answers or denies is not Django's to say.
    assert ask(server, "GET", "/healthz", headers=session)[2] == b"ok"
    assert ask(server, "GET", "/alive/", headers=session)[0] == 403


def test_a_route_of_djangos_has_an_auth_method_of_rusts(server):
    status, headers, _ = ask(server, "GET", "/reports/7/")
    assert (status, dict(headers)["content-type"]) == (401, "application/problem+json")
    found = told(server, "GET", "/reports/7/", headers=KEY)
    assert (found["principal"], found["params"]) == ("acme", {"pk": "7"})
    # A handler never sees the key, and neither does a view.
    assert "HTTP_X_API_KEY" not in found["meta"]
    assert "partner-key" not in json.dumps(found)


def test_the_signals_of_a_request_come_in_pairs(server):
    first = told(server, "GET", "/signals/")
    for url in ("/alive/", "/cookies/", "/stream/sync/", "/stream/async/", "/fails/"):
        ask(server, "GET", url)
    second = told(server, "GET", "/signals/")
    # One of the routes is denied and never comes to Django; this request has yet to end.
    assert second["started"] == first["started"] + 5
    assert second["finished"] == second["started"] - 1


def test_what_a_view_leaves_open_is_rolled_back(server):
    for _ in range(20):
        assert told(server, "GET", "/write/")["in_atomic_block"] is False
    database = server.output.parent / "project.sqlite3"
    with sqlite3.connect(database) as connection:
        left = connection.execute(
            "SELECT count(*) FROM auth_user WHERE username LIKE 'left-%'"
        ).fetchone()
    assert left == (0,)
    connection.close()


def test_a_slash_is_added_by_django_and_by_the_engine(server):
    for url in ("/echo", "/reports/7"):
        status, headers, _ = ask(server, "GET", f"{url}?a=b")
        assert (status, dict(headers)["location"]) == (301, f"{url}/?a=b")


API = """\
from pybolt import BoltAPI

api = BoltAPI(auth="deny")
api.django("/{*rest}", auth="public")
api.group("/alive").django("/")
"""


def test_an_api_leaves_paths_to_the_project(tmp_path):
    settings = {"DJANGO_SETTINGS_MODULE": "django_project.settings"}
    environ = prepare(tmp_path) | settings
    (tmp_path / "served.py").write_text(API)
    with Server(tmp_path, "served.py", environ=environ) as server:
        assert told(server, "POST", "/echo/", b"text")["body"] == "text"
        assert told(server, "GET", "/async/")["users"] == 1
        # The group inherits what the api says of all.
        assert ask(server, "GET", "/alive/")[0] == 403
    told_in_test = python(
        tmp_path,
        "-c",
        "import served, pybolt.testing as t\n"
        "with t.Client(served.api) as client: print(client.get('/echo/').status)",
        environ=environ,
    )
    assert told_in_test.stdout == "200\n", told_in_test.stderr
