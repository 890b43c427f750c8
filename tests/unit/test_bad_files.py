"""Files with mistakes: one error for each, at its line and column, at once, and nothing started."""

import concurrent.futures
import copy
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from pybolt.config import RunOptions, load
from tests.unit.command import bolt

ROOT = Path(__file__).parent.parent.parent
VECTORS = ROOT / "tests" / "vectors"
TABLE = yaml.load((VECTORS / "bad_files.yaml").read_text(), yaml.CSafeLoader)["rows"]
EVERYTHING = yaml.load(
    re.sub(
        r" (on|off)\b",
        lambda found: {"on": " true", "off": " false"}[found[1]],
        (VECTORS / "everything.yaml").read_text(),
    ),
    yaml.CSafeLoader,
)
HEAD = "version: 1\nroutes:\n  - {path: /, respond: {body: x}}\n"
#: Mappings whose keys are names, not options.
NAMES = re.compile(r"define/\w+|defaults/rate_limit|.*/(set|headers)")


def text_of(row: dict[str, str]) -> str:
    return row["whole"] if "whole" in row else f"{HEAD}{row['tail']}\n"


def errors(directory: Path, text: str) -> list[Any]:
    path = directory / "bolt.yaml"
    path.write_text(text)
    begun = time.process_time()
    found = load(RunOptions(config=str(path))).check()
    assert time.process_time() - begun < 1
    return [item for item in found if item.is_error]


def test_there_are_enough_and_all_differ():
    assert len(TABLE) >= 200
    assert len({text_of(row) for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_row(row, tmp_path):
    [found] = errors(tmp_path, text_of(row))
    assert found.code == row["code"]
    assert f"{found.position.line}:{found.position.column}" == row["at"]
    assert row["says"] in found.message


def mappings(value: Any, at: tuple[str | int, ...] = ()):
    """Every mapping with the way to it."""
    if isinstance(value, dict):
        yield at, value
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from mappings(item, (*at, key))


PLACES = [at for at, _ in mappings(EVERYTHING)]


def written(at: tuple[str | int, ...], key: str) -> tuple[str, int]:
    """Everything, with ``key`` at the end of the mapping at ``at``; and the line that it is on."""
    document = copy.deepcopy(EVERYTHING)
    found: Any = document
    for step in at:
        found = found[step]
    found["zzz"] = False
    text = yaml.safe_dump(document, sort_keys=False, default_flow_style=False)
    [line] = [
        number
        for number, written in enumerate(text.splitlines(), 1)
        if written.strip(" -").startswith("zzz:")
    ]
    return text.replace("zzz:", f"{key}:"), line


def test_everything_is_right(tmp_path):
    assert errors(tmp_path, (VECTORS / "everything.yaml").read_text()) == []


@pytest.mark.parametrize("at", PLACES, ids=lambda at: "/".join(map(str, at)) or "top")
def test_a_key_that_is_unknown_or_there_twice_at_every_level(at, tmp_path):
    found: Any = EVERYTHING
    for step in at:
        found = found[step]
    text, line = written(at, next(iter(found)))
    [twice] = errors(tmp_path, text)
    assert (twice.code, twice.position.line) == ("E002", line)
    assert twice.related, "the first one is not shown"
    if NAMES.fullmatch("/".join(map(str, at))):
        return
    text, line = written(at, "zzz")
    [unknown] = errors(tmp_path, text)
    # The suffix of an origin is a mapping of one key: another one makes it something else.
    expected = "E012" if "origins" in at else "E014"
    assert (unknown.code, unknown.position.line) == (expected, line - (expected == "E012"))


def blocks() -> dict[str, set[str]]:
    """The structs that the engine decodes, with their keys, out of its source."""
    source = "\n".join(path.read_text() for path in (ROOT / "engine" / "src").rglob("*.rs"))
    found = {}
    for block in re.findall(r"^config! \{\n(.*?)^\}", source, re.DOTALL | re.MULTILINE):
        name = re.search(r"pub struct (\w+)", block)
        assert name is not None
        found[name[1]] = set(re.findall(r"^ {8}(\w+): .*$", block, re.MULTILINE))
    return found


def test_everything_has_every_block():
    known = blocks()
    assert len(known) >= 24
    used = [{*mapping} - {"type"} for _, mapping in mappings(EVERYTHING)]
    missing = {name for name, keys in known.items() if not any(one and one <= keys for one in used)}
    assert not missing, "add these blocks to tests/vectors/everything.yaml"


HOSTILE = {
    "a billion laughs": "a: &a [x]\n" + "".join(f"b{n}: [*a, *a, *a]\n" for n in range(9)),
    "10,000 levels": "a: " + "[" * 10_000 + "]" * 10_000,
    "10,000 levels of mappings": "{a: " * 10_000 + "}" * 10_000,
    "10 MB": "# " + "x" * 10_000_000,
    "10,000 unknown keys": "".join(f"a{n}: 1\n" for n in range(10_000)),
    "100,000 keys twice": "a: 1\n" * 100_000,
    "a line without an end": "a: '" + "x" * 1_000_000,
    "a list without an end": "a: [" + "1," * 400_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused_within_a_second(name, tmp_path):
    assert errors(tmp_path, HOSTILE[name])


def test_nothing_is_started(tmp_path):
    """The port is taken all the while: whoever tried to listen would say so."""
    chosen = {
        "an open list",
        "a billion laughs",
        "an unknown key of a route",
        "a key twice in jwt",
        "a variable that is not set",
        "a parameter under two names",
        "a secret as a number",
    }
    rows = [row for row in TABLE if row["name"] in chosen]
    assert len(rows) == len(chosen)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        def run(row):
            directory = tmp_path / row["name"]
            directory.mkdir()
            (directory / "bolt.yaml").write_text(text_of(row))
            return bolt(directory, "run", "--port", port, "--workers", "2")

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for row, done in zip(rows, pool.map(run, rows), strict=True):
                assert done.returncode == 1, row["name"]
                told = done.stdout + done.stderr
                assert f"bolt.yaml:{row['at']} error[{row['code']}]" in told
                assert "\n1 error; nothing was started\n" in told
                assert "Traceback" not in told
        taken.settimeout(0)
        with pytest.raises(BlockingIOError):
            taken.accept()
