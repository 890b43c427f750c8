"""What the file says of the version, the schema and the server."""

import json
import os
import re
import socket

import jsonschema
import yaml

from tests.live.example_file.site import EXAMPLE, PROXY, STRANGER, bolt_of, covers
from tests.live.server import ROOT


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
    dumped = bolt_of(prepared, "dump", "--resolved", "--format", "json")
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
