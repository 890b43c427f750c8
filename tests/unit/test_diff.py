"""``bolt diff``: one row for each rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from pybolt.cli import main

ROOT = Path(__file__).parent.parent.parent
JWT = {"type": "jwt", "algorithms": ["HS256"], "secret": "x" * 64}
KEY = {"type": "api_key", "keys": f"a:sha256:{'0' * 64}"}
CORS = {"origins": ["https://a.example.com"]}
LIMIT = {"rate": "10/1m"}


def route(**slots: Any) -> dict[str, Any]:
    return {"routes": [{"path": "/r", "respond": {"body": "ok"}, **slots}]}


def mounted(auth: Any) -> dict[str, Any]:
    """A route that a Django project answers."""
    return {"settings": "shop.settings", "routes": [{"path": "/r", "auth": auth}]}


def server(**settings: Any) -> dict[str, Any]:
    return {"server": settings, **route()}


def files(**options: Any) -> dict[str, Any]:
    root = str(ROOT / options.pop("root"))
    return {"routes": [{"path": "/f/{*p}", "files": {"root": root, **options}}]}


def two(**slots: Any) -> dict[str, Any]:
    return {"routes": [{"path": path, "respond": {"body": "ok"}, **slots} for path in ("/r", "/s")]}


@pytest.fixture
def compare(tmp_path, capsys):
    def run(old: Any, new: Any) -> tuple[int, list[dict[str, Any]]]:
        paths = []
        for name, config in (("old", old), ("new", new)):
            path = tmp_path / f"{name}.yaml"
            # JSON is YAML, and has no anchors.
            path.write_text(json.dumps({"version": 1, **config}))
            paths.append(str(path))
        code = main(["diff", *paths, "--format", "json"])
        return code, json.loads(capsys.readouterr().out)

    return run


ROWS = {
    "public where it was not": (route(auth=JWT), route(auth="public")),
    "no auth anywhere": (route(auth=JWT), route()),
    "optional": (route(auth=JWT), route(auth=JWT | {"optional": True})),
    "optional among several": (
        route(auth={"any": [JWT, KEY]}),
        route(auth={"any": [JWT, KEY], "optional": True}),
    ),
    "one more method": (route(auth=JWT), route(auth={"any": [JWT, KEY]})),
    "another method": (route(auth=JWT), route(auth=KEY)),
    "asked where it was denied": (route(auth="deny"), route(auth=JWT)),
    "Django where it was denied": (mounted("deny"), mounted("django")),
    "Django where it was asked": (mounted(JWT), mounted("django")),
    "public where Django decided": (mounted("django"), mounted("public")),
    "another secret": (route(auth=JWT), route(auth=JWT | {"secret": "y" * 32})),
    "one more algorithm": (
        route(auth=JWT),
        route(auth=JWT | {"algorithms": ["HS256", "HS384"]}),
    ),
    "no issuer": (route(auth=JWT | {"issuer": "i"}), route(auth=JWT)),
    "one more audience": (
        route(auth=JWT | {"audience": "a"}),
        route(auth=JWT | {"audience": ["a", "b"]}),
    ),
    "more leeway": (route(auth=JWT), route(auth=JWT | {"leeway": "10s"})),
    "a claim that is not known to be harmless": (
        route(auth=JWT),
        route(auth=JWT | {"roles_claim": "groups"}),
    ),
    "no allow": (route(auth=JWT, allow='role("a")'), route(auth=JWT)),
    "another allow": (
        route(auth=JWT, allow='role("a")'),
        route(auth=JWT, allow='role("a") || role("b")'),
    ),
    "no limit": (route(rate_limit={"a": LIMIT}), route()),
    "a limit that is off": (
        {"defaults": {"rate_limit": {"a": LIMIT}}, **route()},
        {"defaults": {"rate_limit": {"a": LIMIT}}, **route(rate_limit=False)},
    ),
    "a higher rate": (route(rate_limit={"a": LIMIT}), route(rate_limit={"a": {"rate": "11/1m"}})),
    "a shorter period": (
        route(rate_limit={"a": LIMIT}),
        route(rate_limit={"a": {"rate": "10/59s"}}),
    ),
    "the same rate with a larger burst": (
        route(rate_limit={"a": LIMIT}),
        route(rate_limit={"a": {"rate": "600/1h"}}),
    ),
    "a higher burst": (
        route(rate_limit={"a": LIMIT | {"burst": 5}}),
        route(rate_limit={"a": LIMIT | {"burst": 6}}),
    ),
    "a limit in shadow": (
        route(rate_limit={"a": LIMIT}),
        route(rate_limit={"a": LIMIT | {"shadow": True}}),
    ),
    "a definition in shadow, here": (
        {"define": {"rate_limit": {"a": LIMIT}}, **route(rate_limit={"a": True})},
        {"define": {"rate_limit": {"a": LIMIT}}, **route(rate_limit={"a": {"shadow": True}})},
    ),
    "another key": (
        route(rate_limit={"a": LIMIT}),
        route(rate_limit={"a": LIMIT | {"key": "header:x"}}),
    ),
    "cors": (route(), route(cors=CORS)),
    "one more origin": (
        route(cors=CORS),
        route(cors={"origins": [*CORS["origins"], "https://b.example.com"]}),
    ),
    "every origin": (route(cors=CORS), route(cors={"origins": ["*"]})),
    "credentials": (route(cors=CORS), route(cors=CORS | {"credentials": True})),
    "one more header": (route(cors=CORS), route(cors=CORS | {"allow_headers": ["x-a"]})),
    "a larger body": (route(body_limit="1KiB"), route(body_limit="2KiB")),
    "the default body": (route(body_limit="1KiB"), route()),
    "any body": (route(), route(body_limit=False)),
    "a wider network": (
        route(ip={"allow": ["10.0.0.0/16"]}),
        route(ip={"allow": ["10.0.0.0/8"]}),
    ),
    "every address": (route(ip={"allow": ["10.0.0.0/8"]}), route()),
    "no longer denied": (
        route(ip={"deny": ["10.0.0.0/8"]}),
        route(ip={"deny": ["10.0.0.0/9"]}),
    ),
    "no csrf": (route(csrf=True), route(csrf=False)),
    "a trusted origin": (
        route(csrf=True),
        route(csrf={"trusted_origins": ["https://a.example.com"]}),
    ),
    "no security headers": (route(security_headers=True), route()),
    "shorter hsts": (
        route(security_headers={"hsts": "1y"}),
        route(security_headers={"hsts": "1d"}),
    ),
    "no nosniff": (route(security_headers=True), route(security_headers={"nosniff": False})),
    "another frame": (
        route(security_headers=True),
        route(security_headers={"frame": "sameorigin"}),
    ),
    "fields that a handler sees": (
        route(request_headers={"remove": ["X-A"]}),
        route(request_headers={"remove": ["X-B"]}),
    ),
    "one more host": (server(hosts=["a.example.com"]), server(hosts=["a.example.com", "b.test"])),
    "no in-flight limit": (route(in_flight={"limit": 2}), route()),
    "more at once": (route(in_flight={"limit": 2}), route(in_flight={"limit": 3})),
    "open again": (route(maintenance=True), route(maintenance={"enabled": False})),
    "open to more while it is closed": (
        route(maintenance={"allow": ["10.0.0.0/16"]}),
        route(maintenance={"allow": ["10.0.0.0/8"]}),
    ),
    "other files": (files(root="tests"), files(root="/")),
    "files that are not there": (
        {"routes": [{"path": "/f/{*p}", "files": {"root": "nowhere"}}]},
        {"routes": [{"path": "/f/{*p}", "files": {"root": "django"}}]},
    ),
    "files with dots": (files(root="tests"), files(root="tests", dotfiles=True)),
    "links": (files(root="tests"), files(root="tests", symlinks="inside")),
    "files instead of an answer": (
        {"routes": [{"path": "/f/{*p}", "respond": {"status": 404}}]},
        files(root="tests"),
    ),
    "a handler instead of an answer": (
        {"routes": [{"path": "/r", "respond": {"status": 404}}]},
        {"routes": [{"path": "/r", "handler": "gone.since:r"}]},
    ),
    "no csp": (
        route(security_headers={"csp": "default-src 'self'"}),
        route(security_headers=True),
    ),
    "another csp": (
        route(security_headers={"csp": "default-src 'self'"}),
        route(security_headers={"csp": "default-src *"}),
    ),
    "an issuer that reads like the same number": (
        route(auth=JWT | {"issuer": "07"}),
        route(auth=JWT | {"issuer": "7"}),
    ),
    "counted apart": (
        {"defaults": {"rate_limit": {"a": LIMIT}}, **two()},
        two(rate_limit={"a": LIMIT}),
    ),
    "a new route that asks for less": (
        {
            "routes": [
                {"path": "/a/{x}/b", "respond": {"body": "x"}, "auth": JWT, "allow": 'role("a")'}
            ]
        },
        {
            "routes": [
                {"path": "/a/{x}/b", "respond": {"body": "x"}, "auth": JWT, "allow": 'role("a")'},
                {"path": "/a/c/{y}", "respond": {"body": "x"}, "auth": JWT},
            ]
        },
    ),
    "a route that is gone leaves some of its paths to another": (
        {
            "routes": [
                {"path": "/a/c/{y}", "respond": {"body": "x"}, "auth": JWT, "allow": 'role("a")'},
                {"path": "/a/{x}/b", "respond": {"body": "x"}, "auth": JWT},
            ]
        },
        {"routes": [{"path": "/a/{x}/b", "respond": {"body": "x"}, "auth": JWT}]},
    ),
    "a new route whose auth is optional": (
        route(auth=JWT),
        {
            "routes": [
                *route(auth=JWT)["routes"],
                {"path": "/n", "respond": {"body": "ok"}, "auth": JWT | {"optional": True}},
            ]
        },
    ),
    "any host": (server(hosts=["a.example.com"]), server()),
    "a trusted proxy": (server(), server(trusted_proxies=["10.0.0.0/8"])),
    "beyond this machine": (server(), server(listen=["0.0.0.0:8000"])),
    "a public route": (
        route(),
        {"routes": [*route()["routes"], {"path": "/n", "respond": {"body": "ok"}}]},
    ),
    "a catch-all takes over": (
        {
            "routes": [
                {"path": "/a/{id}", "respond": {"body": "x"}, "auth": JWT},
                {"path": "/{*rest}", "respond": {"body": "x"}, "auth": "public"},
            ]
        },
        {
            "define": {"auth": {"j": JWT}},
            "routes": [
                {"path": "/{*rest}", "respond": {"body": "x"}, "auth": "public"},
            ],
        },
    ),
    "a hole in a catch-all": (
        {"routes": [{"path": "/{*rest}", "respond": {"body": "x"}, "auth": JWT}]},
        {
            "routes": [
                {"path": "/{*rest}", "respond": {"body": "x"}, "auth": JWT},
                {"path": "/a/{id}", "respond": {"body": "x"}, "auth": "public"},
            ]
        },
    ),
}
#: Rows that are no tightening when they are read backwards.
BOTH_WAYS = {
    "another method",
    "another secret",
    "another allow",
    "another key",
    "a claim that is not known to be harmless",
    "every origin",
    "another frame",
    "another csp",
    "a trusted proxy",
    "other files",
    "files that are not there",
    "an issuer that reads like the same number",
    "fields that a handler sees",
}
#: Rows that are only changes when they are read backwards.
NEITHER = {
    "beyond this machine",
    "files instead of an answer",
    "a handler instead of an answer",
    "counted apart",
}
#: Rows that are neither.
HARMLESS = {
    "a timeout": (route(timeout="1s"), route(timeout="2s")),
    "a timeout in parts": (
        route(timeout="1s"),
        route(timeout={"first_byte": "1s", "total": "1m"}),
    ),
    "another log": (route(access_log={"format": "text"}), route(access_log=True)),
    "places": (route(), route(python={"concurrency": 5})),
    "another answer": (route(), {"routes": [{"path": "/r", "respond": {"body": "new"}}]}),
    "the order of origins": (
        route(cors={"origins": ["https://a.example.com", "https://b.example.com"]}),
        route(cors={"origins": ["https://b.example.com", "https://a.example.com"]}),
    ),
    "workers": (server(), server(workers=4)),
    "how files are sent": (files(root="tests"), files(root="tests", cache="1h", memory="1MiB")),
    "another handler": (
        {"routes": [{"path": "/r", "handler": "gone.since:r"}]},
        {"routes": [{"path": "/r", "handler": "gone.since:s"}]},
    ),
}
#: Rows that say the same otherwise.
SAME = {
    "a first byte": (route(timeout="5s"), route(timeout={"first_byte": "5s", "total": False})),
    "a unit": (route(timeout="60s", body_limit="1KiB"), route(timeout="1m", body_limit="1024B")),
    "a default": (route(cors=CORS), route(cors=CORS | {"credentials": False})),
    "a definition": (
        route(auth=JWT),
        {"define": {"auth": {"j": JWT}}, **route(auth="j")},
    ),
    "inherited": (route(timeout="5s"), {"defaults": {"timeout": "5s"}, **route()}),
    "a parameter's name": (
        {"routes": [{"path": "/{a}", "respond": {"body": "x"}}]},
        {"routes": [{"path": "/{b}", "respond": {"body": "x"}}]},
    ),
    "a group": (
        route(),
        {"groups": [{"prefix": "/r", "routes": [{"path": "", "respond": {"body": "ok"}}]}]},
    ),
}


def kinds(found: list[dict[str, Any]]) -> set[str]:
    return {change["kind"] for change in found}


@pytest.mark.parametrize("row", ROWS)
def test_loosened(compare, row):
    code, found = compare(*ROWS[row])
    assert code == 3
    assert found[0]["kind"] == "loosened"


@pytest.mark.parametrize("row", sorted(ROWS.keys() - BOTH_WAYS))
def test_tightened(compare, row):
    code, found = compare(*reversed(ROWS[row]))
    assert code == 0
    # What is answered by another route, or in another way, is said beside it.
    assert "tightened" in kinds(found) or row in NEITHER


@pytest.mark.parametrize("row", sorted(BOTH_WAYS))
def test_what_nobody_can_judge_is_loosened_both_ways(compare, row):
    assert compare(*reversed(ROWS[row]))[0] == 3


@pytest.mark.parametrize("row", HARMLESS)
def test_harmless(compare, row):
    code, found = compare(*HARMLESS[row])
    assert code == 0
    assert kinds(found) == {"changed"}


@pytest.mark.parametrize("row", SAME)
def test_the_same(compare, row):
    assert compare(*SAME[row]) == (0, [])
