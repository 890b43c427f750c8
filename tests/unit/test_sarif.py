"""``bolt check --format sarif``: SARIF 2.1.0 as its specification asks for it."""

import json

import jsonschema

from pybolt import _engine
from pybolt.config.codes import CODES
from tests.unit.command import BROKEN, bolt

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
NUMBER = {"type": "integer", "minimum": 1}
URI = {"type": "string", "format": "uri-reference", "pattern": r"^[!-~]+$"}
PHYSICAL = {
    "type": "object",
    "required": ["artifactLocation", "region"],
    "properties": {
        "artifactLocation": {
            "required": ["uri"],
            "additionalProperties": False,
            "properties": {"uri": URI, "uriBaseId": {"type": "string"}},
        },
        "region": {
            "required": ["startLine"],
            "additionalProperties": False,
            "properties": {"startLine": NUMBER, "startColumn": NUMBER, "endColumn": NUMBER},
        },
    },
}
LOCATION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"id": {"type": "integer"}, "physicalLocation": PHYSICAL, "message": TEXT},
}
RESULT = {
    "type": "object",
    "required": ["ruleId", "ruleIndex", "level", "message"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": TEXT,
        "locations": {"type": "array", "items": LOCATION},
        "relatedLocations": {"type": "array", "uniqueItems": True, "items": LOCATION},
    },
}
RULE = {
    "type": "object",
    "required": ["id", "shortDescription"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "shortDescription": TEXT,
        "fullDescription": TEXT,
        "help": {"required": ["text", "markdown"]},
        "defaultConfiguration": {"properties": {"level": LEVEL}, "additionalProperties": False},
    },
}
DRIVER = {
    "required": ["name", "rules"],
    "additionalProperties": False,
    "properties": {
        "name": {"const": "bolt"},
        "version": {"type": "string"},
        "rules": {"type": "array", "uniqueItems": True, "items": RULE},
    },
}
RUN = {
    "type": "object",
    "required": ["tool", "results"],
    "additionalProperties": False,
    "properties": {
        "tool": {"required": ["driver"], "properties": {"driver": DRIVER}},
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "results": {"type": "array", "items": RESULT},
    },
}
#: The part of the specification's schema that we write: sections 3.13, 3.14, 3.18, 3.27 to 3.30.
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "minItems": 1, "items": RUN},
    },
}


def sarif(directory, *arguments):
    done = bolt(directory, "check", "--format", "sarif", *arguments)
    log = json.loads(done.stdout)
    jsonschema.validate(log, SARIF)
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted(CODES | dict(_engine.codes()))
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    return done.returncode, run["results"]


def region(file, line, start, end):
    return {
        "artifactLocation": {"uri": file, "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": line, "startColumn": start, "endColumn": end},
    }


def test_results_are_those_of_json_with_their_regions(project):
    (project / "conf dir").mkdir()
    (project / "conf dir" / "bölt.yaml").write_text(BROKEN)
    where = ["--config", "conf dir/bölt.yaml"]
    code, results = sarif(project, *where)
    assert code == 1
    found = json.loads(bolt(project, "check", "--format", "json", *where).stdout)
    assert len(found) == len(results) > 2
    for item, result in zip(found, results, strict=True):
        place = item["position"]
        start = place["column"]
        expected = region("conf%20dir/b%C3%B6lt.yaml", place["line"], start, start + place["width"])
        assert result["locations"] == [{"physicalLocation": expected}]
        assert result["ruleId"] == item["code"]
        assert result["level"] == "error"
        assert result["message"]["text"].startswith(item["message"])
        assert (item["hint"] or "") in result["message"]["text"]
    lines = BROKEN.splitlines()
    issuers = next(r for r in results if "`issuers`" in r["message"]["text"])
    at = issuers["locations"][0]["physicalLocation"]["region"]
    assert lines[at["startLine"] - 1][at["startColumn"] - 1 : at["endColumn"] - 1] == "issuers"


def test_warnings_are_errors_where_strict_says_so(project):
    text = (project / "bolt.yaml").read_text()
    text = text.replace("  cors:\n", '  cors:\n    idle: {origins: ["https://b.example"]}\n')
    (project / "bolt.yaml").write_text(text)
    for arguments, level in ((), "warning"), (("--strict",), "error"):
        code, [result] = sarif(project, *arguments)
        assert (code, result["ruleId"], result["level"]) == (int(level == "error"), "W021", level)


def test_another_place_is_a_related_location(project):
    twice = (
        'routes:\n  - {path: /a, handler: "handlers:hello"}\n'
        '  - {path: /a, handler: "handlers:hello"}\n'
    )
    (project / "bolt.yaml").write_text(f"version: 1\n{twice}")
    code, [result] = sarif(project)
    assert code == 1
    assert result["ruleId"] == "E051"
    [other] = result["relatedLocations"]
    here = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert {here, other["physicalLocation"]["region"]["startLine"]} == {3, 4}


def test_fine_is_a_run_without_results_and_a_file_elsewhere_has_its_whole_uri(project, tmp_path):
    assert sarif(project) == (0, [])
    (project / "bolt.yaml").write_text("version: 2\n")
    (tmp_path / "inner").mkdir()
    _, [result, *_] = sarif(tmp_path / "inner", "--config", str(project / "bolt.yaml"))
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": (project / "bolt.yaml").as_uri()}
