"""``config/default.yaml``: complete, loadable, and without effect as it stands."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.default_config import own_keys
from pybolt import _engine
from pybolt.config import RunOptions, load
from pybolt.config.schema import Schema, block, blocks, schema

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "config" / "default.yaml").read_text()
ROUTE = {"path": "/", "handler": "m:f"}


def uncommented(text: str) -> str:
    """The lines with the outermost ``#`` taken off where it hides an option."""
    return re.sub(r"^( *)#(?=[^ \n#]|  )", r"\1", text, flags=re.M)


def plan(*documents: Any) -> tuple[Any, Any]:
    """The server's settings and the chain of a route of documents."""
    wire = json.dumps({"documents": [{"source": "x", "config": config} for config in documents]})
    assert not [item for item in json.loads(_engine.check(wire)) if item["severity"] == "error"]
    told = json.loads(_engine.explain(wire, "GET", "/", [], "127.0.0.1"))
    # Why a route is public is told behind a colon.
    stages = [
        (s["slot"], s["summary"].split(":")[0] if s["slot"] == "auth" else s["summary"])
        for s in told["stages"]
    ]
    server = json.loads(_engine.server(wire))
    # Other words for the same are another version.
    server.pop("hash")
    return server, stages


def test_as_it_stands_it_says_what_an_empty_file_says():
    config = yaml.safe_load(TEXT)
    routes = {"routes": [ROUTE]}
    assert plan(config, routes) == plan({}, routes)
    assert set(config) == {"version", "server", "defaults"}


def test_it_loads(tmp_path, monkeypatch):
    """With its examples, too: each block by itself is right."""
    monkeypatch.setenv("JWT_SECRET", "x" * 32)
    written = uncommented(TEXT)
    of_a_project = r"^(settings|app):.*|^(groups|routes):(\n[ #].*)*"
    written = re.sub(of_a_project, "", written, flags=re.M)
    written = written.replace("${file:/run/secrets/api_keys}", "a:sha256:" + "0" * 64)
    written = written.replace("${file:/run/secrets/htpasswd}", "a:{SHA256}" + "0" * 64)
    path = tmp_path / "bolt.yaml"
    path.write_text(written)
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "a.yaml").touch()
    found = load(RunOptions(config=str(path))).check()
    assert [item.render() for item in found if item.is_error] == []


def keys(whole: Schema, part: Schema, value: Any) -> set[tuple[int, str]]:
    """Every key that is written, with the block that it belongs to."""
    found: set[tuple[int, str]] = set()
    if isinstance(value, list):
        for item in value:
            found |= keys(whole, part.get("items", {}), item)
    if not isinstance(value, dict):
        return found
    if isinstance(part.get("additionalProperties"), dict):
        for item in value.values():
            found |= keys(whole, part["additionalProperties"], item)
    for inner in blocks(whole, part):
        for key in inner["properties"].keys() & value.keys():
            found.add((id(inner), key))
            found |= keys(whole, inner["properties"][key], value[key])
    return found


def test_it_is_complete():
    """Every key of every block occurs, once all is uncommented."""
    whole = schema()
    everything = uncommented(uncommented(uncommented(TEXT)))
    found = keys(whole, {"$ref": "#/$defs/Document"}, yaml.safe_load(everything))
    missing = []
    for name, part in whole["$defs"].items():
        properties = part["properties"]
        if name in ("Group", "Route"):
            properties = own_keys(whole, name)
        if name in (
            "AnyAuth",
            "LimitChange",
            "TimeoutBounds",
        ):  # a slot's value that is no definition
            continue
        missing += [f"{name}.{key}" for key in properties if (id(part), key) not in found]
    assert missing == []


ON = ["request_id", "access_log", "security_headers", "compress", "maintenance", "csrf", "python"]


@pytest.mark.parametrize("slot", ON)
def test_the_defaults_of_a_block_are_what_on_means(slot):
    whole = schema()
    named = block(whole, whole["$defs"]["Document"]["properties"]["define"])["properties"][slot]
    (part,) = blocks(whole, named["additionalProperties"])
    written = {k: field["default"] for k, field in part["properties"].items() if "default" in field}
    assert written or slot == "csrf"
    with_block = plan({"routes": [ROUTE | {slot: written}]})
    assert with_block == plan({"routes": [ROUTE | {slot: True}]})


def test_the_defaults_of_the_server_are_what_nothing_means():
    properties = schema()["$defs"]["Server"]["properties"]
    written = {key: field["default"] for key, field in properties.items() if "default" in field}
    assert plan({"server": written, "routes": [ROUTE]}) == plan({"routes": [ROUTE]})
