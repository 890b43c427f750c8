"""The policies that the file defines, where they are used."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from typing import Any

from tests.live.example_file.site import KEY, ORIGIN, Site, bolt_of, covers, policies_of
from tests.live.server import Server


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


@covers(
    'partner: {rate: 10000/1h, key: api_key, store: "${LIMIT_STORE:-local}", on_store_error: allow}'
)
def test_a_limit_counts_in_the_store_that_is_named(site, prepared):
    first, second = (
        int(re.search(r'"partner";r=(\d+)', answer["ratelimit"])[1])
        for answer in (site.ask("GET", "/api/partners/a", **KEY) for _ in range(2))
    )
    assert second <= first < 10_000
    dumped = json.loads(bolt_of(prepared, "dump", "--resolved", "--format", "json"))
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
