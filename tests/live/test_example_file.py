"""`config/bolt.example.yaml` as it stands, served, and every line of it exercised.

`FILLED_IN` is all that a test changes of it. A test says by `@covers` which lines it is about; the
last of them makes sure that none is left.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import itertools
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import brotli
import jsonschema
import pytest
import yaml
import zstandard

from tests.live.issuer import Issuer
from tests.live.server import ROOT, Server

EXAMPLE = ROOT / "config" / "bolt.example.yaml"
PROJECT = ROOT / "tests" / "live" / "example_project"
ORIGIN = "https://app.example.com"
#: Where trusted proxies of the test are: all of 127.0.0.0/8 is this machine.
PROXY, STRANGER = "127.10.0.1", "127.0.0.1"
#: What stands in the file, and what the test puts there instead.
FILLED_IN = {
    '"0.0.0.0:8000"': '"0.0.0.0:0"',
    "trusted_proxies: [10.0.0.0/8]": "trusted_proxies: [127.10.0.0/16]",
    "https://id.example.com/jwks.json": "https://{jwks}/jwks.json",
    "/run/secrets/api_keys": "{directory}/api_keys",
}
LINES = [line.strip(" -{") for line in EXAMPLE.read_text().splitlines() if line.strip()]
covered: set[str] = set()


def covers(*beginnings: str) -> Any:
    """The lines that begin so are what a test is about."""
    for beginning in beginnings:
        assert any(line.startswith(beginning) for line in LINES), beginning
    covered.update(beginnings)
    return lambda test: test


class Answer:
    """Status, header fields by lower-case name, body."""

    def __init__(self, response: http.client.HTTPResponse, body: bytes) -> None:
        self.status, self.body = response.status, body
        self.headers: dict[str, str] = {}
        for name, value in response.getheaders():
            known = self.headers.get(name.lower())
            self.headers[name.lower()] = value if known is None else f"{known}, {value}"
        self.cookies = response.headers.get_all("set-cookie") or []

    def __getitem__(self, name: str) -> str | None:
        return self.headers.get(name)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """What a refusal of Rust's is called."""
        return self.json()["type"].rpartition(":")[2]


class Site:
    """The example, served; every request comes from another client unless told."""

    def __init__(self, server: Server, issuer: Issuer, directory: Path) -> None:
        self.server, self.issuer, self.directory = server, issuer, directory
        self._clients = itertools.count(1)

    def client(self) -> str:
        """An address that nobody had."""
        number = next(self._clients)
        return f"198.51.{number // 250}.{number % 250 + 1}"

    def connect(self, source: str = PROXY) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            "127.0.0.1", self.server.port, timeout=40, source_address=(source, 0)
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        client: str | None = None,
        source: str = PROXY,
        over: http.client.HTTPConnection | None = None,
        **headers: str,
    ) -> Answer:
        fields = {"Host": "example.com", "X-Forwarded-For": client or self.client()}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = over or self.connect(source)
        try:
            connection.request(method, path, body, fields)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            if over is None:
                connection.close()

    def bearer(self, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token(**claims)}"}


def run(directory: Path, environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pybolt", *arguments],
        cwd=directory,
        env=os.environ | environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("example")
    issuer = Issuer(directory, "https://id.example.com/")
    shutil.copytree(PROJECT, directory, dirs_exist_ok=True)
    text = EXAMPLE.read_text()
    for written, instead in FILLED_IN.items():
        assert text.count(written) == 1, written
        text = text.replace(written, instead.format(jwks=issuer.host, directory=directory))
    (directory / "bolt.yaml").write_text(text)
    digest = hashlib.sha256(b"partner-key").hexdigest()
    (directory / "api_keys").write_text(f"acme:sha256:{digest}:gold,reader\n")
    static = directory / "staticfiles"
    static.mkdir()
    sheet = b"body { color: black }\n" * 100
    (static / "site.css").write_bytes(sheet)
    (static / "site.css.br").write_bytes(brotli.compress(sheet))
    (static / "site.css.gz").write_bytes(gzip.compress(sheet))
    environ = {
        "MYSITE_DATABASE": str(directory / "db.sqlite3"),
        "SSL_CERT_FILE": str(issuer.ca),
    }
    run(directory, environ, "migrate")
    run(directory, environ, "createuser", "ann", "--password", "secret")
    with sqlite3.connect(environ["MYSITE_DATABASE"]) as database:
        database.execute("UPDATE auth_user SET is_staff = 1, is_superuser = 1")
    database.close()
    yield directory, issuer, environ
    issuer.close()


@pytest.fixture(scope="module")
def site(prepared):
    directory, issuer, environ = prepared
    with Server(directory, environ=environ, as_configured=True) as server:
        yield Site(server, issuer, directory)


def closed_after(site: Site, sent: bytes) -> tuple[float, bytes]:
    """How long a connection stays open after ``sent``, and what came of it."""
    with socket.create_connection(
        ("127.0.0.1", site.server.port), timeout=95, source_address=(PROXY, 0)
    ) as connection:
        connection.sendall(sent)
        begun, received = time.monotonic(), b""
        while chunk := connection.recv(65536):
            received += chunk
        return time.monotonic() - begun, received


def timed(function: Any, *arguments: Any, **options: Any) -> tuple[float, Any]:
    begun = time.monotonic()
    return function(*arguments, **options), time.monotonic() - begun


@pytest.fixture(scope="module", autouse=True)
def long_running(site):
    """What takes its time goes on beside the other tests."""
    pool = ThreadPoolExecutor(8)
    head = b"GET /old/ HTTP/1.1\r\nHost: example.com\r\n"
    token = site.bearer(sub="patient", scope="reports:read")
    events = site.bearer(sub="listener")
    running: dict[str, Future[Any]] = {
        "slow head": pool.submit(closed_after, site, head),
        "keep alive": pool.submit(closed_after, site, head + b"\r\n"),
        "slow": pool.submit(timed, site.ask, "GET", "/slow/?seconds=17"),
        "report": pool.submit(timed, site.ask, "GET", "/api/reports/7/?seconds=17", **token),
        "late": pool.submit(timed, site.ask, "GET", "/api/events/?wait=9", **events),
        "long": pool.submit(timed, site.ask, "GET", "/api/events/?seconds=18", **events),
    }
    yield running
    pool.shutdown(wait=False, cancel_futures=True)


@covers("# yaml-language-server: $schema=./bolt.schema.json", "version: 1")
def test_the_file_fits_the_schema_that_it_names():
    schema = json.loads((EXAMPLE.parent / "bolt.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(EXAMPLE.read_text()))
    shared = ROOT.parent / "shared" / "bolt.example.yaml"
    if shared.exists():
        assert EXAMPLE.read_text() == shared.read_text()


@covers("settings: mysite.settings", "app: mysite.api:api", "listen:", "workers: auto")
def test_what_it_says_when_it_serves(site):
    log = site.server.log()
    assert re.search(r"on +http://0\.0\.0\.0:\d+\n", log)
    assert "django    mysite.settings" in log
    cores = len(os.sched_getaffinity(0))
    assert len(site.server.workers()) == int(re.search(r"workers +(\d+)", log)[1]) <= cores
    listed = log.partition("  public ")[2].partition("  log ")[0].split("\n")
    public = ["GET /healthz", "GET /old/", "GET /static/{*path}", "POST /api/login/"]
    assert sorted(line.strip() for line in listed if line.strip()) == public
    # On every address of the machine, not on one.
    assert site.ask("GET", "/healthz", source=STRANGER).body == b"ok"
    with socket.create_connection(("127.0.0.9", site.server.port), timeout=10):
        pass


@covers("hosts:")
def test_hosts(site):
    for host in ("example.com", "example.com:8000", "a.example.com", "a.b.example.com"):
        assert site.ask("GET", "/healthz", Host=host).status == 200
    for host in ("evil.test", "example.com.evil.test", "notexample.com"):
        assert site.ask("GET", "/healthz", Host=host).code == "misdirected"
    assert site.ask("GET", "/healthz", Host="exa mple.com").code == "bad_host"


@covers("trusted_proxies: [10.0.0.0/8]", "client_ip_header: x-forwarded-for")
def test_the_client_is_whom_a_trusted_proxy_names(site):
    token = site.bearer(sub="addressed")
    for named, client in [
        ("203.0.113.7", "203.0.113.7"),
        ("192.0.2.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 127.10.9.9", "203.0.113.7"),
        ("203.0.113.7, junk", PROXY),
    ]:
        assert site.ask("GET", "/api/me/", client=named, **token).json()["client"] == client
    found = site.ask("GET", "/api/me/", client="203.0.113.7", source=STRANGER, **token)
    assert found.json()["client"] == STRANGER
    # The other header is nobody's.
    found = site.ask("GET", "/api/me/", client="203.0.113.8", Forwarded="for=192.0.2.1", **token)
    assert found.json()["client"] == "203.0.113.8"


@covers("limits:")
def test_limits_of_the_listener(site, prepared):
    assert site.ask("GET", "/healthz", X_Long="x" * 31_000).status == 200
    assert site.ask("GET", "/healthz", X_Long="x" * 33_000).code == "headers_too_large"
    dumped = run(*prepared[::2], "dump", "--resolved", "--format", "json")
    limits = json.loads(dumped)["server"]["limits"]["value"]
    assert (limits["connections"], limits["header_read"]) == (10_000, "10s")


@covers("paths:")
def test_paths(site):
    for path in ("/a%2Fb", "/a%5Cb", "/../a", "/a/%2e%2e/b", "/a/./b"):
        assert site.ask("GET", path).code == "bad_path", path
    for path in ("/old", "/admin", "/api/reports/7"):
        answer = site.ask("GET", f"{path}?a=b", client="10.1.2.3")
        assert (answer.status, answer["location"]) == (301, f"{path}/?a=b")
    # What only Django knows Django adds a slash to.
    answer = site.ask("GET", "/about")
    assert (answer.status, answer["location"]) == (301, "/about/")


@covers("cors:", "spa:", "origins:", "credentials:", "allow_headers:", "max_age:")
def test_preflights(site):
    asked = {
        "Access_Control_Request_Method": "GET",
        "Access_Control_Request_Headers": "authorization,content-type",
    }
    for origin in (ORIGIN, "https://one.preview.example.com"):
        answer = site.ask("OPTIONS", "/api/me/", Origin=origin, **asked)
        assert answer.status == 204
        assert answer["access-control-allow-origin"] == origin
        assert answer["access-control-allow-credentials"] == "true"
        assert answer["access-control-max-age"] == "600"
        allowed = answer["access-control-allow-headers"].split(", ")
        assert sorted(allowed) == ["authorization", "content-type"]
    for origin in ("https://evil.test", "http://app.example.com", "https://preview.example.com"):
        answer = site.ask("OPTIONS", "/api/me/", Origin=origin, **asked)
        assert "access-control-allow-origin" not in answer.headers
    refused = asked | {"Access_Control_Request_Headers": "x-other"}
    answer = site.ask("OPTIONS", "/api/me/", Origin=ORIGIN, **refused)
    assert "x-other" not in (answer["access-control-allow-headers"] or "")


@covers("expose_headers:", "cors: spa")
def test_a_page_reads_answers_and_refusals(site):
    for token, status in ((site.bearer(), 200), ({}, 401)):
        answer = site.ask("GET", "/api/me/", Origin=ORIGIN, **token)
        assert answer.status == status
        assert answer["access-control-allow-origin"] == ORIGIN
        exposed = {name.strip() for name in answer["access-control-expose-headers"].split(",")}
        assert exposed == {"ratelimit", "ratelimit-policy", "retry-after", "x-request-id"}
    # Outside the group there is no CORS.
    assert "access-control-allow-origin" not in site.ask("GET", "/about/", Origin=ORIGIN).headers


@covers("auth:", "jwt:", "type: jwt", "algorithms:", "issuer:", "audience:", "auth: jwt")
def test_tokens(site):
    def status(**options: Any) -> int:
        answer = site.ask("GET", "/api/me/", **site.bearer(**options))
        if answer.status == 401:
            assert answer["www-authenticate"].startswith("Bearer")
        return answer.status

    assert site.ask("GET", "/api/me/").status == 401
    assert [status(algorithm=name) for name in ("RS256", "ES256")] == [200, 200]
    assert status(iss="https://evil.test/") == 401
    assert status(aud="other") == 401
    assert status(aud=["other", "api"]) == 200
    for missing in ("iss", "aud", "exp"):
        assert status(**{missing: None}) == 401, missing
    assert status(key=site.issuer.stranger) == 401
    answer = site.ask("GET", "/api/me/", **site.bearer(sub="bob"))
    assert answer.json()["user"] == "bob"


@covers("leeway: 30s")
def test_clocks_may_differ_by_half_a_minute(site):
    now = int(time.time())
    assert site.ask("GET", "/api/me/", **site.bearer(exp=now - 15)).status == 200
    assert site.ask("GET", "/api/me/", **site.bearer(exp=now - 60)).status == 401
    assert site.ask("GET", "/api/me/", **site.bearer(nbf=now + 15)).status == 200
    assert site.ask("GET", "/api/me/", **site.bearer(nbf=now + 60)).status == 401


@covers("jwks:")
def test_keys_are_fetched_now_and_then_and_old_ones_serve_on(site):
    workers = len(site.server.workers())
    assert site.ask("GET", "/api/me/", **site.bearer()).status == 200
    # Each worker has fetched them when it began, and will not before five minutes are over.
    before = site.issuer.fetched
    assert before <= 2 * workers
    site.issuer.fails = True
    for number in range(20):
        unknown = site.bearer(kid=f"unknown-{number}")
        assert site.ask("GET", "/api/me/", **unknown).status == 401
    # A key that nobody knows has them fetched once in the cooldown, whoever asks.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and site.issuer.fetched == before:
        time.sleep(0.05)
    assert site.issuer.fetched - before <= workers
    # That failed; what was fetched before serves on.
    for _ in range(4 * workers):
        assert site.ask("GET", "/api/me/", **site.bearer()).status == 200
    site.issuer.fails = False


KEY = {"X_API_Key": "partner-key"}


@covers("partner:", "type: api_key", "header: X-API-Key", "keys: ${file:", 'path: "/partners/')
def test_partners_have_keys(site):
    answer = site.ask("GET", "/api/partners/a/b", Origin=ORIGIN, **KEY)
    assert answer.json() == {"partner": "acme", "rest": "a/b"}
    # No CORS for them, and no limit by who asks but their own.
    assert "access-control-allow-origin" not in answer.headers
    policies = policies_of(answer)
    assert policies == {"partner": (10_000, 3600), "per_ip": (100, 60)}
    assert site.ask("GET", "/api/partners/a", X_API_Key="wrong").status == 401
    assert site.ask("GET", "/api/partners/a", **site.bearer()).status == 401
    assert site.ask("GET", "/api/me/", **KEY).status == 401
    assert site.server.logs('"principal":"acme"')
    assert "partner-key" not in site.server.log()


def policies_of(answer: Answer) -> dict[str, tuple[int, int]]:
    """The limits that an answer tells of: how many in how many seconds."""
    found = re.findall(r'"(\w+)";q=(\d+);w=(\d+)', answer["ratelimit-policy"] or "")
    return {name: (int(count), int(window)) for name, count, window in found}


@covers(
    'partner: {rate: 10000/1h, key: api_key, store: "${LIMIT_STORE:-local}", on_store_error: allow}'
)
def test_a_limit_counts_in_the_store_that_is_named(site, prepared):
    first, second = (
        int(re.search(r'"partner";r=(\d+)', answer["ratelimit"])[1])
        for answer in (site.ask("GET", "/api/partners/a", **KEY) for _ in range(2))
    )
    assert second <= first < 10_000
    dumped = json.loads(run(*prepared[::2], "dump", "--resolved", "--format", "json"))
    partner = dumped["define"]["rate_limit"]["partner"]["value"]
    assert (partner["store"], partner["on_store_error"]) == ("local", "allow")


def test_a_store_that_is_not_there_lets_partners_in(prepared, tmp_path):
    directory, issuer, environ = prepared
    shutil.copytree(directory, tmp_path / "again")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        store = {"LIMIT_STORE": f"redis://127.0.0.1:{unused.getsockname()[1]}/0"}
        with Server(tmp_path / "again", environ=environ | store, as_configured=True) as server:
            other = Site(server, issuer, directory)
            for _ in range(10):
                assert other.ask("GET", "/api/partners/a", **KEY).status == 200
            # Nobody else's limit is in that store.
            assert "per_ip" in policies_of(other.ask("GET", "/old/"))


@covers(
    "rate_limit:", "per_ip: {rate: 100/1m, burst: 50", "rate_limit: {per_ip: on}", "path: /healthz"
)
def test_a_client_has_a_limit_for_all_routes_together(site):
    client = site.client()
    connection = site.connect()
    statuses = []
    for number in range(60):
        path = ("/old/", "/nowhere/")[number % 2]
        statuses.append(site.ask("GET", path, client=client, over=connection))
    connection.close()
    refused = [answer for answer in statuses if answer.status == 429]
    # What comes back while they are asked is a request in 0.6 seconds.
    assert 50 <= len(statuses) - len(refused) <= 58
    assert refused[0].code == "rate_limited"
    assert int(refused[0]["retry-after"]) >= 1
    assert policies_of(refused[0]) == {"per_ip": (100, 60)}
    # Another one's are its own, and health is nobody's.
    assert site.ask("GET", "/old/").status == 308
    answer = site.ask("GET", "/healthz", client=client)
    assert (answer.status, answer.body, answer["ratelimit"]) == (200, b"ok", None)
    assert answer["content-type"] == "text/plain; charset=utf-8"


@covers("per_user:", "rate_limit: {per_user: on}")
def test_a_user_has_a_limit_from_everywhere(site):
    token = site.bearer(sub="eager")
    connection = site.connect()
    answers = [site.ask("GET", "/api/me/", over=connection, **token) for _ in range(160)]
    connection.close()
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert len(answers) - len(refused) >= 40
    assert policies_of(refused[0]) == {"per_user": (20, 1), "per_ip": (100, 60)}
    assert site.ask("GET", "/api/me/", **site.bearer(sub="calm")).status == 200
    # Without a user there is nobody to count.
    assert "per_user" not in policies_of(site.ask("GET", "/api/me/"))


@covers("login: {rate: 5/15m", "path: /login/")
def test_passwords_are_guessed_five_times(site):
    client = site.client()
    answers = [site.ask("POST", "/api/login/", client=client) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[0].json() == {"login": True}
    assert policies_of(answers[0]) == {"login": (5, 900), "per_ip": (100, 60)}
    assert int(answers[5]["retry-after"]) > 60
    assert site.ask("POST", "/api/login/").status == 200
    # The route is there for one method, and no other comes to the rest of the group.
    answer = site.ask("GET", "/api/login/")
    assert (answer.status, answer["allow"]) == (405, "OPTIONS, POST")


@covers("auth: deny")
def test_what_nobody_decided_is_denied(site):
    assert site.ask("GET", "/undecided").code == "forbidden"
    assert site.ask("GET", "/undecided", **site.bearer()).code == "forbidden"


@covers("request_id:")
def test_request_ids_are_a_trusted_proxys_or_ours(site):
    assert site.ask("GET", "/healthz", X_Request_Id="from-the-proxy")["x-request-id"] == (
        "from-the-proxy"
    )
    found = site.ask("GET", "/healthz", source=STRANGER, X_Request_Id="from-a-stranger")
    assert re.fullmatch("[0-9a-f]{32}", found["x-request-id"])


@covers("access_log: {format: json")
def test_the_log_is_json_and_has_no_secrets(site):
    client = site.client()
    token = site.bearer(sub="logged")
    sent = token | {"Cookie": "sessionid=cookie-secret"}
    site.ask("GET", "/api/me/?secret=query", client=client, **sent)
    assert site.server.logs(f'"client":"{client}"')
    [line] = [line for line in site.server.log().splitlines() if f'"client":"{client}"' in line]
    told = json.loads(line)
    assert (told["method"], told["path"], told["status"]) == ("GET", "/api/me/", 200)
    assert (told["principal"], len(told["request_id"])) == ("logged", 32)
    for secret in ("cookie-secret", token["Authorization"][7:], "secret=query"):
        assert secret not in site.server.log()
    client = site.client()
    for path in ("/healthz", "/old/"):
        site.ask("GET", path, client=client)
    assert site.server.logs(f'"client":"{client}","method":"GET","path":"/old/"')
    assert f'"client":"{client}","method":"GET","path":"/healthz"' not in site.server.log()


@covers("security_headers:")
def test_every_answer_makes_browsers_careful(site):
    for path in ("/about/", "/healthz", "/old/", "/static/site.css", "/api/me/", "/undecided"):
        answer = site.ask("GET", path, X_Forwarded_Proto="https")
        assert answer["strict-transport-security"] == "max-age=31536000", path
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["x-frame-options"] == "DENY"
        assert answer["referrer-policy"] == "same-origin"
    assert site.ask("GET", "/about/")["strict-transport-security"] is None
    stranger = site.ask("GET", "/about/", source=STRANGER, X_Forwarded_Proto="https")
    assert stranger["strict-transport-security"] is None


DECODERS = {
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "br": brotli.decompress,
    "gzip": lambda data: zlib.decompress(data, wbits=31),
}


@covers("compress: {encodings:")
def test_long_answers_are_compressed(site):
    for encoding, decode in DECODERS.items():
        answer = site.ask("GET", "/about/?words=400", Accept_Encoding=encoding)
        assert answer["content-encoding"] == encoding
        assert decode(answer.body) == b"about " * 400
    answer = site.ask("GET", "/about/?words=400", Accept_Encoding="gzip, br, zstd")
    assert answer["content-encoding"] == "zstd"
    answer = site.ask("GET", "/about/?words=150", Accept_Encoding="gzip, br, zstd")
    assert (answer["content-encoding"], answer.body) == (None, b"about " * 150)


@covers("body_limit: 2MiB")
def test_bodies_have_two_mebibytes(site):
    assert site.ask("POST", "/upload/", b"x" * (2 << 20)).body == b"2097152"
    assert site.ask("POST", "/upload/", b"x" * ((2 << 20) + 1)).code == "body_too_large"


@covers("groups:", "name: api", "prefix: /api", "routes:", 'path: "/{*rest}"}')
def test_the_group_is_asked_for_tokens_down_to_its_rest(site):
    for path in ("/api/", "/api/me/", "/api/what/ever", "/api/admin/"):
        assert site.ask("GET", path).status == 401, path
    # Django answers what Python does not, and its own 404 is seen by who may look.
    answer = site.ask("GET", "/api/what/ever", **site.bearer())
    assert (answer.status, answer["content-type"]) == (404, "text/html; charset=utf-8")
    assert site.ask("GET", "/about/").status == 200


@covers('path: "/reports/{id}/"')
def test_reports_are_for_who_may_read_them(site):
    for claims in ({"scope": "x reports:read"}, {"roles": ["staff"]}):
        answer = site.ask("GET", "/api/reports/7/", **site.bearer(sub="reader", **claims))
        assert answer.json() == {"report": 7, "user": "reader"}
    assert site.ask("GET", "/api/reports/7/", **site.bearer()).code == "forbidden"
    assert site.ask("GET", "/api/reports/7/").status == 401
    assert site.ask("POST", "/api/reports/7/", **site.bearer()).status == 405


@covers("python: {concurrency: 64")
def test_python_has_sixty_four_places(site):
    """Each worker has its own; who finds none waits a quarter of a second."""
    workers = len(site.server.workers())
    held = []
    try:
        for number in range(64 * workers + 1):
            token = site.bearer(sub=f"crowd-{number}")
            connection = site.connect()
            held.append(connection)
            begun = time.monotonic()
            fields = {"Host": "example.com", "X-Forwarded-For": site.client()} | token
            connection.request("GET", "/api/events/?seconds=60", headers=fields)
            response = connection.getresponse()
            if response.status != 200:
                break
        took = time.monotonic() - begun
        assert response.status == 503
        assert int(response.getheader("retry-after")) >= 1
        assert 64 < len(held) <= 64 * workers + 1
        assert 0.2 < took < 3
    finally:
        for connection in held:
            connection.close()
    deadline = time.monotonic() + 10
    while site.ask("GET", "/api/events/", **site.bearer(sub="after")).status != 200:
        assert time.monotonic() < deadline


@covers("path: /events/")
def test_events_are_not_compressed(site):
    answer = site.ask(
        "GET",
        "/api/events/?seconds=1&kind=text/plain",
        Accept_Encoding="gzip",
        **site.bearer(sub="plain"),
    )
    assert (answer.status, answer["content-encoding"]) == (200, None)
    assert answer.body.endswith(b"data: end\n\n")
    assert len(answer.body) > 1024


@covers("name: admin", "prefix: /admin", "ip: {allow:", "auth: django ", "routes: [{path:")
def test_the_admin_is_for_the_office_and_for_djangos_sessions(site):
    for client in ("10.1.2.3", "fd00::5"):
        answer = site.ask("GET", "/admin/", client=client)
        assert (answer.status, answer["location"]) == (302, "/admin/login/?next=/admin/")
    for client in ("192.0.2.1", "fe00::5"):
        assert site.ask("GET", "/admin/", client=client).code == "forbidden_address"
    assert site.ask("GET", "/admin/", client="10.1.2.3", source=STRANGER).status == 403
    page = site.ask("GET", "/admin/login/?next=/admin/", client="10.1.2.3")
    form = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.body)[1].decode()
    [cookie] = [cookie.partition(";")[0] for cookie in page.cookies]
    fields = {"username": "ann", "password": "secret", "next": "/admin/"}
    typed = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": cookie}

    def log_in(**given: str) -> Answer:
        body = urlencode(fields | given)
        return site.ask("POST", "/admin/login/", body, client="10.1.2.3", **typed)

    assert log_in().status == 403  # Django's own, for want of the form's token
    assert b"CSRF verification failed" in log_in().body
    entered = log_in(csrfmiddlewaretoken=form)
    assert (entered.status, entered["location"]) == (302, "/admin/")
    session = next(c.partition(";")[0] for c in entered.cookies if c.startswith("sessionid="))
    page = site.ask("GET", "/admin/", client="10.1.2.3", Cookie=session)
    assert page.status == 200
    assert b"Welcome" in page.body
    assert site.ask("GET", "/admin/", client="192.0.2.1", Cookie=session).status == 403


@covers('path: "/static/{*path}"')
def test_static_files(site):
    for encoding, decode in (("br", brotli.decompress), ("gzip", gzip.decompress)):
        answer = site.ask("GET", "/static/site.css", Accept_Encoding=encoding)
        assert answer["content-encoding"] == encoding
        ending = {"br": "br", "gzip": "gz"}[encoding]
        sent = (site.directory / "staticfiles" / f"site.css.{ending}").read_bytes()
        assert answer.body == sent
        assert decode(answer.body).startswith(b"body { color: black }")
    answer = site.ask("GET", "/static/site.css")
    assert (answer.status, answer["content-type"]) == (200, "text/css; charset=utf-8")
    assert site.ask("GET", "/static/none.css").code == "not_found"


@covers("path: /old/")
def test_the_redirect(site):
    answer = site.ask("GET", "/old/?a=b")
    assert (answer.status, answer["location"]) == (308, "/new/")
    assert site.ask("GET", "/new/").body == b"about "


@covers('path: "/{*rest}", auth: django}')
def test_the_rest_is_the_django_site(site):
    answer = site.ask("GET", "/about/")
    assert (answer.status, answer.body) == (200, b"about ")
    answer = site.ask("GET", "/nowhere/")
    assert (answer.status, answer["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"The requested resource was not found" in answer.body


REPORT = "http://example.com/api/reports/7/"


@covers("defaults:", "define:", "server:")
def test_what_explain_tells(prepared):
    told = run(*prepared[::2], "explain", "GET", REPORT, "-H", f"Origin: {ORIGIN}")
    route, *lines = told.splitlines()
    assert route.startswith("route   api › GET /api/reports/{id}/")
    assert route.endswith("id=7   django: reports:detail")
    stages = [line.split()[1] for line in lines if re.match(r" ?\d", line)]
    assert [stage for stage in stages if stage not in ("compress", "timeout", "body_limit")] == [
        "request_id",
        "access_log",
        "security_headers",
        "cors",
        "rate_limit",
        "auth",
        "allow",
        "rate_limit",
        "python",
    ]
    assert "← stops here: 401" in told
    assert f"access-control-allow-origin: {ORIGIN}" in told
    assert "fine: 11 routes, 4 public" in run(*prepared[::2], "check")


@covers("timeout: 15s", 'path: "/reports/{id}/"', "path: /events/")
def test_timeouts(long_running):
    answer, took = long_running["slow"].result(60)
    assert (answer.code, 14.5 < took < 16.9) == ("timeout", True)
    answer, took = long_running["report"].result(60)
    assert (answer.json(), took > 16.9) == ({"report": 7, "user": "patient"}, True)
    answer, took = long_running["late"].result(60)
    assert (answer.code, 4.5 < took < 8.5) == ("timeout", True)
    # The default would have ended it at fifteen seconds, had it been a total.
    answer, took = long_running["long"].result(60)
    assert (answer.status, answer.body[-11:], took > 17.5) == (200, b"data: end\n\n", True)


@covers("limits: {header_read: 10s, headers: 32KiB, connections: 10000, keep_alive: 75s}")
def test_timers_of_the_listener(long_running):
    took, received = long_running["slow head"].result(60)
    assert (received[:12], 9.5 < took < 13) == (b"HTTP/1.1 408", True)
    took, received = long_running["keep alive"].result(95)
    assert (received[:12], 74 < took < 79) == (b"HTTP/1.1 308", True)


def test_every_line_is_exercised():
    left = [line for line in LINES if not any(map(line.startswith, covered))]
    assert left == []
