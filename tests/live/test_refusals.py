"""Every row of the table of refusals, over sockets: its form, its headers, its line in the log, and
that it takes no GIL."""

import json
import re
import threading
import time

import pytest

from tests.live.gil import not_taken, read_often
from tests.live.server import ROOT, copied
from tests.live.wire import connected, received_for

ORIGIN = "https://app.example.com"
TABLE = (ROOT / "engine" / "src" / "middleware" / "rejection.rs").read_text()
CODES = {code: int(status) for status, code in re.findall(r'= (\d{3}), "(\w+)", "', TABLE)}

#: For each code: request line, header lines, body. `Host: good.test` where none is given.
WAYS = {
    "bad_request": ("GET  /hello", [], b""),
    "bad_path": ("GET /a/../b", [], b""),
    "bad_host": ("GET /hello", ["Host: a b"], b""),
    "bad_header": ("GET /key", ["X-API-Key: k", "X-API-Key: k"], b""),
    "bad_body": ("POST /small", ["Transfer-Encoding: chunked"], b"zz\r\n"),
    "unauthorized": ("GET /key", [], b""),
    "forbidden": ("GET /denied", [], b""),
    "not_found": ("GET /nowhere", [], b""),
    "method_not_allowed": ("DELETE /hello", [], b""),
    "request_timeout": ("POST /small", ["Content-Length: 4"], b"1"),
    "precondition_failed": ("GET /files/ten.txt", ['If-Match: "other"'], b""),
    "range_not_satisfiable": ("GET /files/ten.txt", ["Range: bytes=10-"], b""),
    "body_too_large": ("POST /small", ["Content-Length: 5"], b"12345"),
    "uri_too_long": ("GET /" + "a" * 9000, [], b""),
    "expectation_failed": ("GET /hello", ["Expect: tea"], b""),
    "misdirected": ("GET /hello", ["Host: other.test"], b""),
    "rate_limited": ("GET /limited", [], b""),
    # Nobody listens on that port.
    "limits_unavailable": ("GET /uncounted", [], b""),
    "database_unavailable": ("GET /absent", [], b""),
    "too_many_in_flight": ("GET /busy", [], b""),
    "forbidden_address": ("GET /office", [], b""),
    "csrf": ("POST /write", ["Sec-Fetch-Site: cross-site", "Content-Length: 0"], b""),
    "maintenance": ("GET /closed", [], b""),
    "headers_too_large": ("GET /hello", [f"X-{n}: a" for n in range(96)], b""),
    "not_implemented": ("TRACE /hello", [], b""),
    "too_many_connections": ("GET /crowded", [], b""),
    "internal": ("GET /fail", [], b""),
    "overloaded": ("GET /one", [], b""),
    "timeout": ("GET /slow", [], b""),
    "http_version": ("GET /hello HTTP/1.9", [], b""),
}
#: Where too many connections come from.
CROWD = "127.0.0.2"
#: What runs a handler, or ends one, is not free.
PYTHON = {"internal", "timeout"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with copied("refusing", tmp_path_factory.mktemp("refusing")) as server:
        yield server


def ask(server, line, headers, body=b"", *, accept="application/json"):
    """Status, headers, body of one request on a connection of its own."""
    host = [] if any(header.startswith("Host:") for header in headers) else ["Host: good.test"]
    version = "" if " HTTP/" in line else " HTTP/1.1"
    source = CROWD if line == "GET /crowded" else "127.0.0.1"
    lines = [f"{line}{version}", *host, *headers, f"Origin: {ORIGIN}", f"Accept: {accept}"]
    head = "\r\n".join([*lines, "Connection: close", "", ""])
    head, _, content = received_for(server, head.encode() + body, source).partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    found: dict[str, str] = {}
    for field in fields:
        name, _, value = field.partition(": ")
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    return int(status.split()[1]), found, content


class Busy:
    """Keeps the one place of a path taken."""

    def __init__(self, server, line):
        self.thread = threading.Thread(target=ask, args=(server, line, []))

    def __enter__(self):
        self.thread.start()
        time.sleep(0.2)

    def __exit__(self, *_):
        self.thread.join()


class Crowd(Busy):
    """Takes every connection that one address may have."""

    def __init__(self, server, _):
        self.server = server

    def __enter__(self):
        self.held = [connected(self.server, CROWD) for _ in range(8)]

    def __exit__(self, *_):
        for held in self.held:
            held.close()


class Nothing(Busy):
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


@pytest.fixture
def way(server, code):
    """The request that is refused with ``code``, and what has to hold meanwhile."""
    if code == "rate_limited":
        ask(server, *WAYS[code])
    meanwhile = {"overloaded": Busy, "too_many_in_flight": Busy, "too_many_connections": Crowd}.get(
        code, Nothing
    )
    return WAYS[code], meanwhile(server, WAYS[code][0])


def lines_of(server, request_id):
    """The access log's lines of a request, as far as they are whole."""
    whole, _, _ = server.log().rpartition("\n")
    return [x for x in whole.splitlines() if f'"{request_id}"' in x and '"status"' in x]


def test_there_is_a_way_to_every_refusal():
    assert WAYS.keys() == CODES.keys()


@pytest.mark.parametrize("code", CODES)
def test_a_refusal_is_a_problem_with_the_headers_of_every_answer(server, way, code):
    request, meanwhile = way
    with meanwhile:
        status, headers, body = ask(server, *request)
    assert status == CODES[code]
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert (problem["type"], problem["status"]) == (f"urn:pybolt:problem:{code}", status)
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "origin" in headers["vary"]
    assert headers["x-content-type-options"] == "nosniff"
    request_id = headers["x-request-id"]
    deadline = time.monotonic() + 5
    # A failure is told of with its request's id as well, before the line of the answer.
    while not (lines := lines_of(server, request_id)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    [line] = lines
    assert json.loads(line)["status"] == status
    for needed, codes in {
        "www-authenticate": {"unauthorized"},
        "allow": {"method_not_allowed"},
        "retry-after": {
            "rate_limited",
            "limits_unavailable",
            "database_unavailable",
            "too_many_in_flight",
            "overloaded",
            "maintenance",
            "too_many_connections",
        },
        "ratelimit": {"rate_limited"},
        "content-range": {"range_not_satisfiable"},
    }.items():
        assert (needed in headers) == (code in codes), needed


@pytest.mark.parametrize("code", sorted(CODES.keys() - PYTHON))
def test_a_refusal_takes_no_gil(server, way, code):
    def takes() -> int:
        return json.loads(ask(server, "GET /stats", [])[2])["gil_takes"]

    read_often(takes)
    request, meanwhile = way
    with meanwhile, not_taken(takes):
        for _ in range(10):
            assert ask(server, *request)[0] == CODES[code]


def test_a_preflight_takes_no_gil_and_reaches_no_limit(server):
    def takes() -> int:
        return json.loads(ask(server, "GET /stats", [])[2])["gil_takes"]

    read_often(takes)
    preflight = ["Access-Control-Request-Method: GET"]
    with not_taken(takes):
        for _ in range(10):
            status, headers, _ = ask(server, "OPTIONS /limited", preflight)
            assert status == 204
            assert headers["access-control-allow-methods"]
            assert "ratelimit" not in headers


@pytest.mark.parametrize("code", sorted(CODES.keys() - {"internal", "bad_body"}))
def test_a_browser_reads_a_page(server, way, code):
    request, meanwhile = way
    with meanwhile:
        status, headers, body = ask(server, *request, accept="text/html")
    assert (status, headers["content-type"]) == (CODES[code], "text/html; charset=utf-8")
    assert body.startswith(b"<!doctype html>")
