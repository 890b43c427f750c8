"""``bolt check --online`` and the log line of a server, against issuers over real sockets."""

import contextlib
import http.server
import json
import socket
import socketserver
import threading

import pytest

from tests.live.server import Server
from tests.unit.command import bolt

JWK = {"kty": "OKP", "crv": "Ed25519", "x": "JTnsBKhvKKULjGOWHUfVbuJ8lDJBh5ecnlGyiUHhVbM"}
RSA = {"kty": "RSA", "kid": "rsa", "n": "u" * 342, "e": "AQAB"}

#: So many are asked at once.
AT_ONCE = 8

KEYS = json.dumps({"keys": [JWK | {"kid": "one"}]})

#: What each path answers: status, body.
ANSWERS = {
    "/fine": (200, KEYS),
    "/held": (200, KEYS),
    "/hop": (302, "/fine"),
    "/away": (302, "http://localhost:{port}/fine"),
    "/round": (302, "/round"),
    "/huge": (200, KEYS + " " * (1 << 20)),
    "/gone": (404, KEYS),
    "/empty": (200, '{"keys": []}'),
    "/other": (200, json.dumps({"keys": [RSA]})),
    "/page": (200, "<!doctype html>"),
}


class Issuer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path == "/held":
            self.server.hold()
        if path == "/slow":
            self.server.over.wait(60)
            return
        status, said = ANSWERS[path]
        body = said.encode() if status != 302 else b""
        self.send_response(status)
        if status == 302:
            self.send_header("location", said.format(port=self.server.server_port))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        # Who has read enough closes.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Issuers(http.server.ThreadingHTTPServer):
    """Keeps whoever asks for what is held until so many have asked, or no more come."""

    request_queue_size = 128

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.here, self.most, self.came = 0, 0, threading.Condition()

    def hold(self):
        with self.came:
            self.here += 1
            self.most = max(self.most, self.here)
            self.came.notify_all()
            self.came.wait_for(lambda: self.most > AT_ONCE, 0.5)
            self.here -= 1


@pytest.fixture
def issuer():
    server = Issuers(("127.0.0.1", 0), Issuer)
    server.asked, server.over = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def nobody():
    """A port of ours where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def configure(directory, *urls):
    """A route for each URL, whose keys stand alone on a line; the number of the first such line."""
    lines = ["version: 1", "routes:"]
    for number, url in enumerate(urls):
        lines += [
            f"  - path: /{number}",
            "    respond: {body: here}",
            "    auth:",
            "      type: jwt",
            "      algorithms: [EdDSA]",
            "      jwks:",
            "        insecure_http: on",
            f'        url: "{url}"',
        ]
    (directory / "bolt.yaml").write_text("\n".join(lines) + "\n")


def test_every_url_that_brings_no_keys_is_a_mistake_at_its_place(tmp_path, issuer, nobody):
    wrong = {
        f"{issuer.url}/slow": "no whole answer in 10 s",
        f"{nobody}/dead": "Connection refused",
        f"{issuer.url}/huge": "larger than 1 MiB",
        f"{issuer.url}/away": "it redirects (302)",
        f"{issuer.url}/round": "it redirects (302)",
        f"{issuer.url}/gone": "the status is 404",
        f"{issuer.url}/empty": "none of its keys",
        f"{issuer.url}/other": "none of its keys",
        f"{issuer.url}/page": "not JSON",
    }
    configure(tmp_path, f"{issuer.url}/fine", *wrong, f"{issuer.url}/hop")
    done = bolt(tmp_path, "check", "--online", "--format", "json")
    found = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert [item["code"] for item in found] == ["E098"] * len(wrong)
    for number, (item, (url, told)) in enumerate(zip(found, wrong.items(), strict=True)):
        assert item["message"].startswith(f"{url}: ")
        assert told in item["message"]
        assert item["position"]["line"] == 18 + 8 * number
        assert item["position"]["column"] == 14
        assert item["hint"]
    # A redirect to another origin was not followed: only `/fine` itself and `/hop` led there.
    assert issuer.asked.count("/fine") == 2


def test_no_more_than_some_are_asked_at_once(tmp_path, issuer):
    configure(tmp_path, *(f"{issuer.url}/held?{number}" for number in range(40)))
    done = bolt(tmp_path, "check", "--online")
    assert done.returncode == 0, done.stdout
    assert issuer.asked.count("/held") == 40
    assert issuer.most == AT_ONCE


class Store(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.readline():
            self.server.issuer.hold()


def test_stores_and_urls_are_asked_in_turn_together(tmp_path, issuer):
    configure(tmp_path, *(f"{issuer.url}/held?{number}" for number in range(AT_ONCE)))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Store) as stores:
        stores.daemon_threads, stores.issuer = True, issuer
        threading.Thread(target=stores.serve_forever, daemon=True).start()
        url = f"redis://127.0.0.1:{stores.server_address[1]}"
        limits = [f'{{rate: 1/1s, store: "{url}/{number}", store_timeout: 1s}}' for number in "012"]
        with (tmp_path / "bolt.yaml").open("a") as file:
            for number, limit in enumerate(limits):
                file.write(f"  - path: /limited/{number}\n    respond: {{body: here}}\n")
                file.write(f"    rate_limit: {{one: {limit}}}\n")
        done = bolt(tmp_path, "check", "--online", "--format", "json")
        stores.shutdown()
    assert [item["code"] for item in json.loads(done.stdout)] == ["E198"] * 3
    assert issuer.most == AT_ONCE


def test_what_is_not_fetched_is_one_line(tmp_path, issuer):
    configure(tmp_path, f"{issuer.url}/fine?token=hush", f"{issuer.url}/hop")
    offline = bolt(tmp_path, "check")
    assert offline.returncode == 0
    assert not issuer.asked
    last = "not checked: 2 URLs of keys; `bolt check --online` fetches them"
    assert offline.stdout.splitlines()[-1] == last
    program = bolt(tmp_path, "check", "--format", "json")
    assert json.loads(program.stdout) == []
    assert program.stderr.strip() == last
    online = bolt(tmp_path, "check", "--online")
    assert online.returncode == 0
    assert issuer.asked.count("/fine") == 2
    assert "not checked" not in online.stdout + online.stderr
    text = (tmp_path / "bolt.yaml").read_text()
    (tmp_path / "bolt.yaml").write_text(text.replace("body: here", "status: 99"))
    asked = len(issuer.asked)
    broken = bolt(tmp_path, "check", "--online")
    assert broken.returncode == 1
    assert len(issuer.asked) == asked
    left_out = "not checked: keys at URLs, stores of limits and databases, before the rest is right"
    assert left_out in broken.stdout


def test_a_query_is_never_shown_and_the_log_says_that_keys_are_not_there(tmp_path, nobody):
    configure(tmp_path, f"{nobody}/keys?token=hush")
    done = bolt(tmp_path, "check", "--online", "--format", "json")
    [found] = json.loads(done.stdout)
    assert found["message"].startswith(f"{nobody}/keys?***: ")
    line = f'{{"keys":"{nobody}/keys?***","fetched":false,"reason":"Connection refused'
    with Server(tmp_path) as server:
        assert server.logs(line), server.log()
        assert server.request("GET", "/0")[0] == 401
    assert "hush" not in server.log()
    explained = bolt(tmp_path, "explain", "GET", "/0", "-H", "Authorization: Bearer a.b.c")
    assert "route   GET /0" in explained.stdout
    assert "fetched" not in explained.stdout
