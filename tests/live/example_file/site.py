"""`config/bolt.example.yaml` as it stands, served, and every line of it exercised.

`FILLED_IN` is all that a test changes of it. A test says by `@covers` which lines it is about;
`test_every_line.py` makes sure that none is left.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

from tests.command import bolt, said
from tests.live.issuer import Issuer
from tests.live.server import ROOT, Server
from tests.live.wire import connected, whole

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


def bolt_of(prepared: tuple[Path, Issuer, dict[str, str]], *arguments: str) -> str:
    """What ``bolt`` says of the example."""
    directory, _, environ = prepared
    return said(bolt(directory, *arguments, environ=environ))


KEY = {"X_API_Key": "partner-key"}


def policies_of(answer: Answer) -> dict[str, tuple[int, int]]:
    """The limits that an answer tells of: how many in how many seconds."""
    found = re.findall(r'"(\w+)";q=(\d+);w=(\d+)', answer["ratelimit-policy"] or "")
    return {name: (int(count), int(window)) for name, count, window in found}


def closed_after(site: Site, sent: bytes) -> tuple[float, bytes]:
    """How long a connection stays open after ``sent``, and what came of it."""
    with connected(site.server, PROXY, timeout=95) as connection:
        connection.sendall(sent)
        begun = time.monotonic()
        received = whole(connection)
        return time.monotonic() - begun, received


def timed(function: Any, *arguments: Any, **options: Any) -> tuple[float, Any]:
    begun = time.monotonic()
    return function(*arguments, **options), time.monotonic() - begun
