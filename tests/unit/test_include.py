"""``include``: which files are read, where their mistakes are, and what no included file may do."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pybolt import _engine
from pybolt.config import RunOptions, load
from pybolt.config.include import MAX_FILES
from pybolt.config.sources import Sources
from tests.unit.command import bolt

ROUTE = "routes: [{path: /%s, respond: {body: x}}]\n"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def loaded(directory: Path, sources: Sources | None = None) -> Any:
    return load(RunOptions(config=str(directory / "top" / "bolt.yaml")), sources)


def mistakes(directory: Path) -> list[tuple[str, str, str, str]]:
    """Code, file:line:column, message, hint of every mistake and warning."""
    found = []
    for item in loaded(directory).check():
        place = "-"
        if item.position is not None:
            name = os.path.relpath(item.position.file, directory / "top")
            place = f"{name}:{item.position.line}:{item.position.column}"
        found.append((item.code, place, item.message, item.hint or ""))
    return found


def paths(found: Any) -> list[str]:
    assert found.check() == []
    return sorted(route["path"] for route in json.loads(_engine.routes(found.wire)))


FILES = {
    "top/bolt.yaml": "version: 1\ninclude: [routes/*.yaml, more.yaml]\n" + ROUTE % "top",
    "top/routes/b.yaml": "include: [deep/?.yaml, ../beside.yaml]\n" + ROUTE % "b",
    "top/routes/a.yaml": "version: 1\n"
    "define: {rate_limit: {few: {rate: 3/1h}}}\n"
    "groups: [{name: a, prefix: /a, routes: [{path: /in, respond: {body: x}}]}]\n",
    "top/routes/deep/c.yaml": ROUTE % "c",
    "top/beside.yaml": "routes: [{path: /beside, respond: {body: x}, rate_limit: {few: on}}]\n",
    "top/more.yaml": ROUTE % "more",
    "top/routes/.hidden.yaml": "not: known\n",
    "top/routes/a.yaml~": "not: known\n",
    "top/routes/dir.yaml/x.yaml": "not: known\n",
    "top/cd.yaml": "not: known\n",
}


def test_files_are_one_configuration_whatever_their_order(tmp_path):
    write(tmp_path, FILES)
    found = loaded(tmp_path)
    assert paths(found) == ["/a/in", "/b", "/beside", "/c", "/more", "/top"]
    sources = [document["source"] for document in json.loads(found.wire)["documents"]]
    assert [os.path.relpath(source, tmp_path / "top") for source in sources] == [
        "bolt.yaml",
        "routes/a.yaml",
        "routes/b.yaml",
        "more.yaml",
        "routes/deep/c.yaml",
        "beside.yaml",
    ]


def test_a_handler_of_an_included_file_is_bound_beside_those_of_the_app(tmp_path, monkeypatch):
    write(
        tmp_path,
        {
            "top/bolt.yaml": "version: 1\napp: included_app\ninclude: [a.yaml, b.yaml]\n"
            'routes: [{path: /one, handler: "included_app:one"}]\n',
            "top/a.yaml": "define: {auth: {}}\n",
            "top/b.yaml": 'routes: [{path: /two, handler: "included_app:two"}]\n',
            "included_app.py": "from pybolt import BoltAPI\napi = BoltAPI()\n"
            "def one(request): ...\ndef two(request): ...\n"
            "@api.get('/three')\ndef three(request): ...\n",
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = loaded(tmp_path)
    assert [item for item in found.check() if item.is_error] == []
    assert [call.__name__ for call in found.callables] == ["one", "two", "three"]
    documents = json.loads(found.wire)["documents"]
    assert documents[2]["config"]["routes"][0]["handler"]["index"] == 1
    assert found.locate((2, "routes", 0, "path")).line == 1


#: Files, and the mistakes in them: code, place, part of the message.
ROWS: dict[str, tuple[dict[str, str], list[tuple[str, str, str]]]] = {
    "a mistake in an included file": (
        {"bolt.yaml": "include: [a.yaml]\n", "a.yaml": "routes:\n- {path: /, health: live, no: 1}"},
        [("E014", "a.yaml:2:27", "unknown key `no` in routes[0]")],
    ),
    "an included file that is no YAML hides what only follows from it": (
        {
            "bolt.yaml": "include: [a.yaml, b.yaml]\n"
            "routes: [{path: /, respond: {body: x}, cors: spa}, {path: /p, timeout: 5s}]\n",
            "a.yaml": "define: {cors: {spa: [}}\n",
            "b.yaml": "routes: [{path: /b, timeout: 5}]\n",
        },
        [("E001", "a.yaml:1:23", "did not find expected node content"),
         ("E031", "b.yaml:1:30", "a duration `5` has no unit")],
    ),
    "a list": (
        {"bolt.yaml": "include: [a.yaml]\n", "a.yaml": "- 1\n"},
        [("E012", "a.yaml:1:1", "expected a mapping, found a list")],
    ),
    "one definition in two files": (
        {
            "bolt.yaml": "include: ['[ab].yaml']\n"
            "routes: [{path: /, respond: {body: x}, rate_limit: {few: on}}]\n",
            "a.yaml": "define: {rate_limit: {few: {rate: 3/1h}}}\n",
            "b.yaml": "define: {rate_limit: {few: {rate: 4/1h}}}\n",
        },
        [("E050", "b.yaml:1:23", "define.rate_limit.few")],
    ),
    "what only the first file says": (
        {
            "bolt.yaml": "include: [a.yaml]\n" + ROUTE % "x",
            "a.yaml": "server: {workers: 0}\nsettings: s\napp: a\ndefaults: {timeout: 5}\n",
        },
        [("E180", f"a.yaml:{line}:1", f"`{key}` cannot stand in an included file")
         for key, line in (("settings", 2), ("app", 3), ("server", 1), ("defaults", 4))],
    ),
    "no match": (
        {"bolt.yaml": "include:\n  - routes/*.yaml\n" + ROUTE % "x", "routes/a.yml": "{}"},
        [("E181", "bolt.yaml:2:5", "`routes/*.yaml` matches no file")],
    ),
    "no match in a directory that there is not": (
        {"bolt.yaml": "include: [x/y/a.yaml]\n" + ROUTE % "x"},
        [("E181", "bolt.yaml:1:11", "`x/y/a.yaml` matches no file")],
    ),
    "a directory": (
        {"bolt.yaml": "include: [routes]\n" + ROUTE % "x", "routes/a.yaml": "{}"},
        [("E181", "bolt.yaml:1:11", "`routes` matches no file")],
    ),
    "nothing": (
        {"bolt.yaml": "include: ['']\n" + ROUTE % "x"},
        [("E181", "bolt.yaml:1:11", "`` matches no file")],
    ),
    "every level": (
        {"bolt.yaml": "include: [routes/**/*.yaml]\n" + ROUTE % "x", "routes/a.yaml": "{}"},
        [("E181", "bolt.yaml:1:11", "'routes/**/*.yaml' is not a pattern")],
    ),
    "a zero byte": (
        {"bolt.yaml": 'include: ["a\\0.yaml"]\n' + ROUTE % "x"},
        [("E181", "bolt.yaml:1:11", r"'a\x00.yaml' is not a pattern")],
    ),
    "a text for the list": (
        {"bolt.yaml": "include: a.yaml\n" + ROUTE % "x"},
        [("E012", "bolt.yaml:1:10", "expected a list, found a string")],
    ),
    "a number, and a mapping with another key": (
        {"bolt.yaml": "include: [1, {outside: a.yaml}]\n" + ROUTE % "x"},
        [("E012", "bolt.yaml:1:11", "found a number"),
         ("E012", "bolt.yaml:1:14", "found a mapping")],
    ),
    "a variable that is not set": (
        {"bolt.yaml": "include: ['${NOT_SET_ANYWHERE}/a.yaml']\n" + ROUTE % "x"},
        [("E006", "bolt.yaml:1:11", "NOT_SET_ANYWHERE")],
    ),
    "outside": (
        {"bolt.yaml": "include: [../out.yaml]\n" + ROUTE % "x", "../out.yaml": ROUTE % "out"},
        [("E182", "bolt.yaml:1:11", "lies outside the directory of the configuration")],
    ),
    "a file outside includes one of its neighbours": (
        {
            "bolt.yaml": "include: [dangerous_outside: ../o/a.yaml]\n" + ROUTE % "x",
            "../o/a.yaml": "include: [b.yaml]\n",
            "../o/b.yaml": ROUTE % "out",
        },
        [("E182", "../o/a.yaml:1:11", "lies outside the directory of the configuration")],
    ),
    "itself": (
        {"bolt.yaml": "include: ['*.yaml']\n" + ROUTE % "x"},
        [("E183", "bolt.yaml:1:11", "a file includes itself: ")],
    ),
    "a circle": (
        {
            "bolt.yaml": "include: [a.yaml]\n" + ROUTE % "x",
            "a.yaml": "include: [sub/b.yaml]\n",
            "sub/b.yaml": "version: 1\ninclude: [../a.yaml]\n",
        },
        [("E183", "sub/b.yaml:2:11", "a.yaml → ")],
    ),
    "twice": (
        {"bolt.yaml": "include: [a.yaml, '?.yaml']\n" + ROUTE % "x", "a.yaml": ROUTE % "a"},
        [("E184", "bolt.yaml:1:19", "is included twice")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_row(name, tmp_path):
    files, expected = ROWS[name]
    write(tmp_path, {f"top/{path}": text for path, text in files.items()})
    found = mistakes(tmp_path)
    assert [(code, place) for code, place, _, _ in found] == [row[:2] for row in expected]
    for (_, _, message, _), (_, _, says) in zip(found, expected, strict=True):
        assert says in message


def test_what_is_outside_may_be_named_and_a_symlink_is_where_it_leads(tmp_path):
    write(
        tmp_path,
        {
            "top/bolt.yaml": "include: [routes/*.yaml]\n" + ROUTE % "top",
            "out/a.yaml": ROUTE % "a",
            "top/kept/b.yaml": ROUTE % "b",
        },
    )
    (tmp_path / "top" / "routes").mkdir()
    (tmp_path / "top" / "routes" / "b.yaml").symlink_to("../kept/b.yaml")
    assert paths(loaded(tmp_path)) == ["/b", "/top"]
    (tmp_path / "top" / "routes" / "a.yaml").symlink_to("../../out/a.yaml")
    [(code, place, message, hint)] = mistakes(tmp_path)
    assert (code, place) == ("E182", "bolt.yaml:1:11")
    assert str(tmp_path / "out" / "a.yaml") in message
    assert "dangerous_outside" in hint
    text = "include: [dangerous_outside: routes/*.yaml]\n" + ROUTE % "top"
    write(tmp_path, {"top/bolt.yaml": text})
    assert paths(loaded(tmp_path)) == ["/a", "/b", "/top"]
    (tmp_path / "top" / "routes" / "a.yaml").unlink()
    (tmp_path / "top" / "routes" / "a.yaml").symlink_to("b.yaml")
    assert [row[0] for row in mistakes(tmp_path)] == ["E184"], "two names of one file"


def test_a_directory_that_leads_outside_is_outside(tmp_path):
    write(tmp_path, {"top/bolt.yaml": "include: [in/*.yaml]\n", "out/a.yaml": ROUTE % "a"})
    (tmp_path / "top" / "in").symlink_to("../out")
    assert [row[0] for row in mistakes(tmp_path)] == ["E182"]


def test_a_configuration_behind_a_symlink_is_where_its_directory_is(tmp_path):
    """As Kubernetes mounts it: every name leads through `..data`."""
    write(
        tmp_path,
        {
            "top/..1/bolt.yaml": "include: [routes-*.yaml]\n" + ROUTE % "top",
            "top/..1/routes-a.yaml": ROUTE % "a",
        },
    )
    (tmp_path / "top" / "..data").symlink_to("..1")
    for name in ("bolt.yaml", "routes-a.yaml"):
        (tmp_path / "top" / name).symlink_to(f"..data/{name}")
    assert paths(loaded(tmp_path)) == ["/a", "/top"]


def test_what_a_pattern_matches_and_cannot_be_read_is_a_mistake(tmp_path):
    write(tmp_path, {"top/bolt.yaml": "include: ['*/*.yaml']\n", "top/a/a.yaml": ROUTE % "a"})
    (tmp_path / "top" / "a" / "b.yaml").symlink_to("nowhere")
    [(code, place, message, _)] = mistakes(tmp_path)
    assert (code, place) == ("E007", "bolt.yaml:1:11")
    assert "b.yaml: No such file or directory" in message
    (tmp_path / "top" / "a" / "b.yaml").unlink()
    os.mkfifo(tmp_path / "top" / "a" / "b.yaml")
    assert paths(loaded(tmp_path)) == ["/a"], "a pipe is no file, and nobody waits for it"
    name = os.fsencode(tmp_path / "top" / "a") + b"/\xff.yaml"
    Path(os.fsdecode(name)).write_text(ROUTE % "c")
    [(code, place, message, _)] = mistakes(tmp_path)
    assert (code, place) == ("E007", "bolt.yaml:1:11")
    assert r"\udcff.yaml': its name is not UTF-8" in message


def test_there_is_an_end_to_how_many(tmp_path):
    files = {f"top/r/{n}.yaml": "" for n in range(MAX_FILES)}
    write(tmp_path, files | {"top/bolt.yaml": "include: [r/*.yaml]\n" + ROUTE % "x"})
    [(code, place, message, _)] = mistakes(tmp_path)
    assert (code, place) == ("E005", "bolt.yaml:1:11")
    assert message == "the configuration has more than 1000 files"


def test_a_worker_that_comes_back_reads_what_its_siblings_did(tmp_path):
    write(tmp_path, FILES)
    sources = Sources()
    first = loaded(tmp_path, sources)
    kept = Sources.parse(sources.dump())
    write(tmp_path, {"top/routes/a.yaml": "broken: [", "top/routes/z.yaml": ROUTE % "z"})
    (tmp_path / "top" / "routes" / "b.yaml").unlink()
    (tmp_path / "top" / "routes" / "b.yaml").symlink_to("/nowhere/outside")
    (tmp_path / "top").rename(tmp_path / "moved")
    (tmp_path / "top").symlink_to("/nowhere")
    again = loaded(tmp_path, kept)
    assert again.check() == []
    assert again.wire == first.wire


def test_the_commands_say_which_file(tmp_path):
    write(
        tmp_path,
        {
            "bolt.yaml": "version: 1\ninclude: [routes/*.yaml]\n",
            "routes/a.yaml": "define:\n  rate_limit:\n    few: {rate: 3/1h}\n"
            "groups:\n  - prefix: /a\n    request_id: on\n"
            "    routes:\n      - {path: /b, respond: {body: x}, rate_limit: {few: on}}\n",
        },
    )
    shown = bolt(tmp_path, "routes").stdout
    assert "/a/b" in shown
    assert "routes/a.yaml:8:9" in shown
    explained = bolt(tmp_path, "explain", "GET", "/a/b").stdout
    # Places in the route's own file are lines.
    assert "else new  :6\n" in explained
    assert ":8 → define :3\n" in explained
    assert "GET /a/b   routes/a.yaml:8\n" in explained
    dumped = bolt(tmp_path, "dump", "--resolved", "--format", "json")
    [route] = json.loads(dumped.stdout)["routes"]
    assert route["declared"] == ["routes/a.yaml:8:9"]
    assert "routes/a.yaml:3:5" in route["limits"]["few"]["origin"]
    write(tmp_path, {"routes/b.yaml": "routes:\n  - {path: /a/b, respond: {body: y}}\n"})
    checked = bolt(tmp_path, "check")
    assert checked.returncode == 1
    assert "routes/b.yaml:2:" in checked.stdout
    assert "routes/a.yaml:8:" in checked.stdout
