"""The tables of ``tests/vectors`` through the test client: the same rows that cargo runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pybolt import Bytes
from pybolt.config import RunOptions, load
from pybolt.testing import Client

VECTORS = Path(__file__).parent.parent / "vectors"
FILES = ["routing", "hosts", "cors", "auth", "policies"]
LONG = "0123456789" * 500


def echo(request):
    return {"params": dict(request.params), "client": request.client}


def big(request):
    return Bytes(LONG.encode(), content_type="application/json")


def image(request):
    return Bytes(LONG.encode(), content_type="image/png")


def tables() -> list[Any]:
    rows = []
    for name in FILES:
        table = yaml.load((VECTORS / f"{name}.yaml").read_text(), yaml.CSafeLoader)
        rows += [
            pytest.param(table["configs"][row["config"]], row, id=f"{name}: {row['name']}")
            for row in table["rows"]
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
    for name, value in expect.get("headers", {}).items():
        assert response.headers.get(name) == value, name
    for name, value in expect.get("not_headers", {}).items():
        assert response.headers.get(name) not in (value, None), name
    for key in {"params", "client"} & expect.keys():
        assert response.json()[key] == expect[key]
