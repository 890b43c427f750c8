"""``tests/vectors/plan_errors.yaml`` through the extension; cargo runs the same rows."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pybolt import _engine

TABLE = yaml.load(
    (Path(__file__).parent.parent / "vectors" / "plan_errors.yaml").read_text(), yaml.CSafeLoader
)


def spelled(value: Any) -> Any:
    if value == "H":
        return {"path": "/", "handler": "m:f"}
    if isinstance(value, dict):
        return {key: spelled(item) for key, item in value.items()}
    return [spelled(item) for item in value] if isinstance(value, list) else value


def dotted(location: list[Any]) -> str:
    text = ""
    for part in location[1:]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@pytest.mark.parametrize("row", TABLE["rows"], ids=lambda row: row["name"])
def test_row(row):
    documents = row.get("documents", [row.get("config")])
    wire = {"documents": [{"source": "x", "config": spelled(config)} for config in documents]}
    found = json.loads(_engine.check(json.dumps(wire)))
    assert [[item["code"], dotted(item["location"])] for item in found] == row["expect"]
    for item in found:
        assert item["severity"] == ("warning" if item["code"].startswith("W") else "error")
