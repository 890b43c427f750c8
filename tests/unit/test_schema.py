"""The JSON Schema: what the engine accepts it accepts, and what one look can tell it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pybolt.cli import main
from pybolt.config.schema import blocks, schema
from pybolt.config.yaml import Reader, Table
from tests.unit.test_plan_errors import TABLE, spelled

ROOT = Path(__file__).parent.parent.parent
VECTORS = sorted((ROOT / "tests" / "vectors").glob("*.yaml"))
#: What one look at a document can tell.
AT_A_GLANCE = {"E012", "E013", "E014", "E031", "E032"}
ROUTE = {"path": "/", "handler": "m:f"}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(schema())
    return Draft202012Validator(schema())


def documents(row: dict[str, Any]) -> list[Any]:
    return [spelled(found) for found in row.get("documents", [row.get("config")])]


def test_everything_that_the_engine_accepts_is_accepted(validator):
    seen = 0
    for row in TABLE["rows"]:
        if not any(code.startswith("E") for code, _ in row["expect"]):
            for document in documents(row):
                validator.validate(document)
                seen += 1
    for path in VECTORS:
        for config in (yaml.load(path.read_text(), yaml.CSafeLoader).get("configs") or {}).values():
            validator.validate(config)
            seen += 1
    assert seen > 50


def test_what_one_look_can_tell_is_refused(validator):
    rows = [row for row in TABLE["rows"] if {code for code, _ in row["expect"]} & AT_A_GLANCE]
    accepted = [row["name"] for row in rows if all(map(validator.is_valid, documents(row)))]
    assert len(rows) > 30
    assert not accepted


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.yaml")), ids=str)
def test_the_examples_are_accepted(validator, path):
    validator.validate(Reader(path, 0, Table()).read())


@pytest.mark.parametrize("value", [True, False, "on", "off", "${SWITCH:-on}"])
def test_switches_are_read_as_yaml_reads_them(validator, value):
    validator.validate({"defaults": {"compress": value, "security_headers": {"nosniff": value}}})
    validator.validate({"server": {"https_redirect": value}})


@pytest.mark.parametrize(
    "slots",
    [
        {"timeout": "15s"},
        {"timeout": "${TIMEOUT}"},
        {"timeout": "off"},
        {"body_limit": "0B"},
        {"auth": "public"},
        {"auth": {"any": ["jwt", {"type": "basic", "users": ["x"]}], "optional": True}},
        {"cors": {"origins": [{"suffix": "https://*.example.com"}, "*"]}},
        {"rate_limit": {"login": {"rate": "5/15m", "key": ["client_ip", "header:x-tenant"]}}},
        {"rate_limit": {"login": False, "other": "shared"}},
        {"python": {"run": "${WHERE:-auto}", "concurrency": "64"}},
        {"request_headers": {"set": {"X-Tenant": "acme"}, "remove": ["Cookie"]}},
    ],
    ids=str,
)
def test_right(validator, slots):
    validator.validate({"routes": [ROUTE | slots]})
    validator.validate({"groups": [{"routes": [ROUTE], **slots}], "defaults": slots})


@pytest.mark.parametrize(
    "slots",
    [
        {"timeout": 15},
        {"timeout": "15"},
        {"timeout": True},
        {"timeout": "1.5s"},
        {"body_limit": 2},
        {"body_limit": "2 MiB"},
        {"tiemout": "15s"},
        {"auth": True},
        {"auth": {"type": "jwtt"}},
        {"auth": {"type": "jwt", "algorithms": ["HS256"]}},
        {"auth": {"type": "jwt", "algorithms": ["HS256"], "secret": "a", "jwk": "b"}},
        {"auth": {"secret": "a", "algorithms": ["HS256"]}},
        {"auth": {"any": ["jwt"], "optionl": True}},
        {"cors": {"origins": "https://a.example.com"}},
        {"cors": {"origins": [{"sufix": "https://*.example.com"}]}},
        {"cors": {"credentials": True}},
        {"rate_limit": {"login": {"rate": "5/15"}}},
        {"rate_limit": {"login": {"rate": "5/15m", "key": "ip"}}},
        {"rate_limit": True},
        {"python": {"run": "threads"}},
        {"python": {"concurrency": -1}},
        {"compress": {"encodings": ["deflate"]}},
        {"methods": ["get"]},
        {"redirect": {"to": "/", "status": 200}},
        {"path": None},
    ],
    ids=str,
)
def test_wrong(validator, slots):
    assert not validator.is_valid({"routes": [ROUTE | slots]})


def test_every_key_is_described_and_no_default_is_refused(validator):
    whole = schema()
    for name, found in whole["$defs"].items():
        assert found["description"], name
        for key, field in found["properties"].items():
            assert field["description"], f"{name}.{key}"
            default = [field["default"]] if "default" in field else []
            for value in [*field.get("examples", ()), *default]:
                part = {**field, "$defs": whole["$defs"]}
                assert Draft202012Validator(part).is_valid(value), f"{name}.{key}: {value}"


def test_blocks_are_found_behind_switches_and_names():
    whole = schema()
    slot = whole["$defs"]["Route"]["properties"]["auth"]
    kinds = [found["properties"].get("type", {}).get("const") for found in blocks(whole, slot)]
    assert kinds == ["jwt", "api_key", "basic", None]


def test_the_command_prints_writes_and_checks(tmp_path, capsys):
    path = tmp_path / "bolt.schema.json"
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()
    assert main(["schema", "--check", str(path)]) == 1
    assert main(["schema", "--write", str(path)]) == 0
    assert main(["schema", "--check", str(path)]) == 0
    path.write_text(path.read_text().replace("15s", "16s") + " ")
    assert main(["schema", "--check", str(path)]) == 1
    assert f"bolt schema --write {path}" in capsys.readouterr().err
