"""The tables of ``tests/vectors`` through the test client: the same rows that cargo runs."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from pybolt import JSON, Bytes, Stream, Text
from pybolt.config import RunOptions, load
from pybolt.testing import Client

VECTORS = Path(__file__).parent.parent / "vectors"
FILES = [
    "routing",
    "hosts",
    "cors",
    "auth",
    "auth_methods",
    "policies",
    "security_headers",
    "compress",
    "answers",
    "guards",
    "rewrite",
    "limiter",
]
LONG = "0123456789" * 500
TOLD = {"params", "client", "scheme", "path", "original_path", "script_name"}
ROW = {"name", "config", "before", "repeat", "request", "expect"}
REQUEST = {"method", "url", "host", "headers", "peer", "body"}
EXPECT = {"status", "code", "headers", "not_headers", "body", "seen"} | TOLD
OWN_FIELDS = {
    "access-control-allow-origin": "https://elsewhere.test",
    "access-control-allow-credentials": "true",
    "access-control-allow-methods": "GET",
    "access-control-allow-headers": "x-own",
    "access-control-expose-headers": "x-own",
    "access-control-max-age": "60",
    "vary": "cookie",
}


def echo(request):
    return {
        "params": dict(request.params),
        "client": request.client,
        "scheme": request.scheme,
        "path": request.path,
        "original_path": request.original_path,
        "script_name": request.script_name,
        "seen": {name: request.headers[name] for name in request.headers},
    }


def nonce(request):
    return {"nonce": request.csp_nonce}


def stream(request):
    chunks = [LONG[:6], LONG[6:4000], LONG[4000:]]
    return Stream((chunk.encode() for chunk in chunks), content_type="application/json")


def panic(request):
    raise RuntimeError("as the row asked")


async def slow(request):
    await asyncio.Event().wait()


def busy(request):
    return Text("", status=503)


def fields(request):
    return JSON({}, headers=OWN_FIELDS)


def big(request):
    return Bytes(LONG.encode(), content_type="application/json")


def image(request):
    return Bytes(LONG.encode(), content_type="image/png")


def tables() -> list[Any]:
    rows = []
    for name in FILES:
        table = yaml.load((VECTORS / f"{name}.yaml").read_text(), yaml.CSafeLoader)
        for row in table["rows"]:
            requests = [row["request"], *row.get("before", [])]
            unknown = (row.keys() - ROW) | (row["expect"].keys() - EXPECT)
            unknown |= {key for told in requests for key in told.keys() - REQUEST}
            # A row whose keys are not all read would test less than it says.
            assert not unknown, f"{name}: {row['name']}: unknown keys {unknown}"
        rows += [
            pytest.param(table["configs"][row["config"]], row, id=f"{name}: {row['name']}")
            for row in table["rows"]
            # The test client names a host in every request.
            if "host" not in row["request"]
        ]
    return rows


def with_handlers(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            key: f"{__name__}:{value}" if key == "handler" else with_handlers(value)
            for key, value in config.items()
        }
    if isinstance(config, list):
        return [with_handlers(item) for item in config]
    return config


def send(client: Client, told: dict[str, Any]):
    return client.request(
        told.get("method", "GET"),
        told.get("url", "/"),
        headers=[(name, value) for name, value in told.get("headers", [])],
        content=told.get("body", "").encode(),
        peer=(told.get("peer", "127.0.0.1"), 40000),
    )


@pytest.mark.parametrize(("config", "row"), tables())
def test_row(config, row, tmp_path):
    path = tmp_path / "bolt.yaml"
    path.write_text(yaml.safe_dump(with_handlers({"version": 1, **config})).replace("$", "$$"))
    with Client(load(RunOptions(config=str(path)))) as client:
        for before in row.get("before", []):
            send(client, before)
        for _ in range(row.get("repeat", 1)):
            response = send(client, row["request"])
    expect = row["expect"]
    if "status" in expect:
        assert response.status == expect["status"]
    if "code" in expect and response.body:
        assert response.json()["type"] == f"urn:pybolt:problem:{expect['code']}"
    # What the row cannot know and the handler tells.
    told = response.json() if b'"nonce"' in response.body else {}
    for name, value in expect.get("headers", {}).items():
        expected = value and value.replace("{nonce}", told.get("nonce") or "?")
        assert response.headers.get(name) == expected, name
    for name, value in expect.get("not_headers", {}).items():
        assert response.headers.get(name) not in (value, None), name
    if "body" in expect:
        assert response.text == expect["body"]
    for key in TOLD & expect.keys():
        assert response.json()[key] == expect[key]
    for name, value in expect.get("seen", {}).items():
        assert response.json()["seen"].get(name) == value, name
