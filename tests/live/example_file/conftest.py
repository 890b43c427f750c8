"""The site is started once for all tests of the example, and what takes its time goes on beside
every other test: who asks for `long_running` is run last."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import brotli
import pytest

from tests.command import bolt, said
from tests.live.example_file.site import EXAMPLE, FILLED_IN, PROJECT, Site, closed_after, timed
from tests.live.issuer import Issuer
from tests.live.server import Server


def waits(item: pytest.Item) -> bool:
    return "long_running" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=waits)


@pytest.fixture(scope="session")
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
    said(bolt(directory, "migrate", environ=environ))
    said(bolt(directory, "createuser", "ann", "--password", "secret", environ=environ))
    with sqlite3.connect(environ["MYSITE_DATABASE"]) as database:
        database.execute("UPDATE auth_user SET is_staff = 1, is_superuser = 1")
    database.close()
    yield directory, issuer, environ
    issuer.close()


@pytest.fixture(scope="session")
def served(prepared):
    directory, issuer, environ = prepared
    with Server(directory, environ=environ, as_configured=True) as server:
        yield Site(server, issuer, directory)


@pytest.fixture(scope="session")
def site(served, request):
    """The example, served; what takes its time has begun, where a test of the run asks for it."""
    if any(map(waits, request.session.items)):
        request.getfixturevalue("long_running")
    return served


@pytest.fixture(scope="session")
def long_running(served):
    """What takes its time."""
    pool = ThreadPoolExecutor(8)
    head = b"GET /old/ HTTP/1.1\r\nHost: example.com\r\n"
    token = served.bearer(sub="patient", scope="reports:read")
    events = served.bearer(sub="listener")
    running: dict[str, Future[Any]] = {
        "slow head": pool.submit(closed_after, served, head),
        "keep alive": pool.submit(closed_after, served, head + b"\r\n"),
        "slow": pool.submit(timed, served.ask, "GET", "/slow/?seconds=17"),
        "report": pool.submit(timed, served.ask, "GET", "/api/reports/7/?seconds=17", **token),
        "late": pool.submit(timed, served.ask, "GET", "/api/events/?wait=9", **events),
        "long": pool.submit(timed, served.ask, "GET", "/api/events/?seconds=18", **events),
    }
    yield running
    pool.shutdown(wait=False, cancel_futures=True)
