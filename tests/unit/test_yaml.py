"""The YAML reader: places, refusals, scalars; and interpolation."""

import time
from pathlib import Path

import pytest

from pybolt.config.interpolate import interpolate
from pybolt.config.yaml import Reader, Table


def read(tmp_path: Path, text: str):
    path = tmp_path / "bolt.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    table = Table()
    reader = Reader(path, 0, table)
    return reader.read(), reader.diagnostics, table


def test_every_key_and_value_has_its_place(tmp_path):
    data, diagnostics, table = read(tmp_path, "a:\n  b: [1, two]\n  c: {d: on}\n")
    assert data == {"a": {"b": [1, "two"], "c": {"d": True}}}
    assert diagnostics == []

    def place(location, target):
        found = table.locate(location, target)
        return found.line, found.column, found.width

    assert place((0, "a"), "key") == (1, 1, 1)
    assert place((0, "a", "b"), "key") == (2, 3, 1)
    assert place((0, "a", "b", 1), "value") == (2, 10, 3)
    assert place((0, "a", "c", "d"), "value") == (3, 10, 2)
    assert place((0, "a", "nowhere"), "value") == (2, 3, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("off", False),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("~", None),
        ("12", 12),
        ("-3", -3),
        ("012", "012"),
        ("0x1F", "0x1F"),
        ("10:30", "10:30"),
        ("1e3", "1e3"),
        ("1.5", 1.5),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("2026-01-31", "2026-01-31"),
        ("'12'", "12"),
        ('"on"', "on"),
        ("1_000", "1_000"),
        ("99999999999999999999", "9" * 20),
    ],
)
def test_scalars_are_what_they_look_like(tmp_path, text, value):
    data, diagnostics, _ = read(tmp_path, f"a: {text}\n")
    assert data == {"a": value}
    assert diagnostics == []


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: [1\n", "E001", 2),
        ("a: 1\nb: : 2\n", "E001", 2),
        (b"a: \xff\n", "E001", 1),
        ("a: 1\nb: 2\na: 3\n", "E002", 3),
        ("a: {x: 1, x: 2}\n", "E002", 1),
        ("a: !!python/object:os.system {}\n", "E003", 1),
        ("a: !secret x\n", "E003", 1),
        ("a: &x 1\nb: *x\n", "E004", 1),
        ("a: {<<: {b: 1}}\n", "E004", 1),
        ("a: " + "[" * 40 + "]" * 40, "E005", 1),
        ("# " + "x" * (1 << 20), "E005", 1),
        ("? [1, 2]\n: 3\n", "E001", 1),
        ("a: 1\n---\nb: 2\n", "E001", 2),
        ("[" * 20_000, "E005", 1),
        ("{a: " * 10_000, "E005", 1),
        ("".join(" " * depth + "a:\n" for depth in range(40)), "E005", 33),
        ("- 1\n" * 120_000, "E005", 100_000),
        ("a: b\n" * 2_000_000, "E005", 1),
        ("a: 1\nb: J\x01\n", "E001", 2),
        (b"a: 1\nb: J\xf6rg\n", "E001", 2),
        ("a: 1\nb: !!str 5\n", "E003", 2),
        ("a: 1\n!!str b: 5\n", "E003", 2),
        ("a: 1\na: [&x 1]\n", "E004", 2),
        ("a: 1\n? {b: *x}\n: 1\n", "E004", 2),
        ("*x : 1\n", "E004", 1),
    ],
)
def test_refusals(tmp_path, text, code, line):
    _, diagnostics, _ = read(tmp_path, text)
    # What ends the reading is the last; a repeated or odd key before it is told of as well.
    found = diagnostics[-1]
    assert (found.code, found.position.line) == (code, line)
    assert len(diagnostics) == 1 or code == "E004"


def test_many_mistakes_end_the_reading(tmp_path):
    _, diagnostics, _ = read(tmp_path, "a: 1\n" * 150_000)
    assert [item.code for item in diagnostics] == ["E002"] * 100 + ["E005"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "~\n", "null", "---\n...\n"])
def test_nothing_is_an_empty_configuration(tmp_path, text):
    assert read(tmp_path, text)[:2] == ({}, [])


def test_five_thousand_routes_are_read_quickly(tmp_path):
    route = "  - {path: /section-%d/items, respond: {body: ok}, auth: public}\n"
    text = "routes:\n" + "".join(route % number for number in range(5_000))
    begun = time.process_time()
    data, diagnostics, _ = read(tmp_path, text)
    assert (len(data["routes"]), diagnostics) == (5_000, [])
    # 0.15 s of a quiet core; PyYAML's own parser takes 8.
    assert time.process_time() - begun < 1.5


def test_a_billion_laughs_is_refused_at_the_first(tmp_path):
    text = "a: &a [x]\n" + "".join(f"b{n}: [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" for n in range(9))
    _, [diagnostic], _ = read(tmp_path, text)
    assert diagnostic.code == "E004"


def test_a_missing_file_is_one_clear_message(tmp_path):
    reader = Reader(tmp_path / "nowhere.yaml", 0, Table())
    assert reader.read() is None
    [diagnostic] = reader.diagnostics
    assert diagnostic.code == "E007"
    assert "nowhere.yaml" in diagnostic.message


def test_interpolation(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    failures = []

    def report(at, message, hint):
        failures.append((at, message))

    given = {
        "a": "${NAME}",
        "b": "x${NAME}y",
        "c": "${MISSING:-default}",
        "d": "$$${NAME}",
        "e": f"${{file:{secret}}}",
        "f": ["${NESTED}"],
        "g": 5,
        "h": "${EMPTY:-x}",
        "i": "a$b",
    }
    environ = {"NAME": "value", "NESTED": "${NAME}", "EMPTY": ""}
    assert interpolate(given, (0,), report, Path(), environ) == {
        "a": "value",
        "b": "xvaluey",
        "c": "default",
        "d": "$value",
        "e": "from a file",
        "f": ["${NAME}"],
        "g": 5,
        "h": "",
        "i": "a$b",
    }
    assert failures == []
    bad = {"a": "${MISSING}", "b": ["${file:/nowhere/x}"], "c": "${not a name}"}
    interpolate(bad, (0,), report, Path(), environ)
    assert [at for at, _ in failures] == [(0, "a"), (0, "b", 0), (0, "c")]
