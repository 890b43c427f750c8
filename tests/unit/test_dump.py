"""``bolt dump --resolved``: what holds, where it comes from, and no secret."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pybolt import _engine
from pybolt.cli import main
from pybolt.cli.dump import text
from pybolt.config import RunOptions, load
from pybolt.config.resolved import resolve
from pybolt.config.schema import Schema, block, schema
from tests import static_tree

VECTORS = Path(__file__).parent.parent / "vectors"
CONFIGS = [
    pytest.param(config, id=f"{path.stem}: {name}")
    for path in sorted(VECTORS.glob("*.yaml"))
    for name, config in (yaml.safe_load(path.read_text()).get("configs") or {}).items()
]
POLICY = """\
version: 1
define:
  cors:
    spa: {origins: ["https://app.example.com"]}
  rate_limit:
    per_ip: {rate: 100/1m}
    other: {rate: 5/1h, key: [client_ip, route]}
defaults:
  cors: spa
  rate_limit: {per_ip: on}
groups:
  - name: api
    prefix: /api
    auth: {type: api_key, keys: "${KEYS}"}
    routes:
      - {path: /a, respond: {body: ok}, rate_limit: {mine: other, per_ip: off}}
      - {path: "/b/{id}", respond: {body: "$$5"}, cors: off, timeout: "${TIMEOUT:-5s}"}
routes:
  - {path: /old, redirect: {to: /new}, auth: public, rate_limit: off}
  - {path: /late, respond: {body: ok}, auth: public, rate_limit: {other: {cost: 2}}}
  - {path: /denied, respond: {body: ok}}
"""


def answered(config: Any) -> Any:
    """The configuration without handlers in Python: what inherits is the same."""
    if isinstance(config, dict):
        found = {key: answered(value) for key, value in config.items() if key != "handler"}
        return found | ({"respond": {"body": config["handler"]}} if "handler" in config else {})
    return [answered(item) for item in config] if isinstance(config, list) else config


def plan(path: Path) -> Any:
    loaded = load(RunOptions(config=str(path)))
    loaded.require()
    routes = json.loads(_engine.routes(loaded.wire))
    kept = ("methods", "path", "name", "answer", "auth", "public", "logged")
    shown = {}
    for number, route in enumerate(routes):
        effective = resolve(loaded, str).routes[number]
        slots = {key: s.value for key, s in effective.slots.items() if s.value is not False}
        limits = {key: s.value for key, s in effective.limits.items() if s.value is not False}
        shown[(route["path"], *route["methods"])] = ([route[key] for key in kept], slots, limits)
    server = json.loads(_engine.server(loaded.wire))
    del server["hash"]  # of what was written
    return server, shown


@pytest.mark.parametrize("config", CONFIGS)
def test_what_is_dumped_is_the_same_configuration(config, tmp_path):
    static_tree.make(tmp_path)
    path, again = tmp_path / "bolt.yaml", tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump({"version": 1, **answered(config)}).replace("$", "$$"))
    again.write_text(text(resolve(load(RunOptions(config=str(path))), hide=str)))
    assert plan(again) == plan(path)


def test_every_value_has_its_origin(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYS", f"a:sha256:{'0' * 64}")
    (tmp_path / "bolt.yaml").write_text(POLICY)
    assert main(["dump", "--resolved"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    route = lines[lines.index("- path: /api/a  # bolt.yaml:16") :]
    for line in [
        "respond: {body: ok}  # bolt.yaml:16",
        "cors: spa  # bolt.yaml:9 → define bolt.yaml:4",
        'auth: {type: api_key, keys: "***"}  # bolt.yaml:14',
        "body_limit: 2MiB  # default",
        "mine: other  # bolt.yaml:16 → define bolt.yaml:7",
        "per_ip: off  # bolt.yaml:16",
    ]:
        assert line in route
    other = lines[lines.index('- path: "/api/b/{id}"  # bolt.yaml:17') :]
    assert 'respond: {body: "$$5"}  # bolt.yaml:17' in other
    assert "timeout: 5s  # bolt.yaml:17" in other
    assert "per_ip: on  # bolt.yaml:10 → define bolt.yaml:6" in other
    denied = lines[lines.index("- path: /denied  # bolt.yaml:21") :]
    assert "auth: deny  # default" in denied


def test_json_has_the_values_in_full(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYS", f"a:sha256:{'0' * 64}")
    (tmp_path / "bolt.yaml").write_text(POLICY)
    assert main(["dump", "--resolved", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    route = next(route for route in told["routes"] if route["path"] == "/api/a")
    assert route["respond"]["status"] == 200
    assert route["slots"]["cors"]["name"] == "spa"
    assert route["slots"]["cors"]["value"]["credentials"] is False
    assert route["slots"]["cors"]["origin"] == ["bolt.yaml:9:9", "bolt.yaml:4:5"]
    assert route["limits"]["mine"]["value"]["key"] == ["client_ip", "route"]
    assert route["slots"]["auth"]["value"]["keys"] == "***"
    late = next(route for route in told["routes"] if route["path"] == "/late")["limits"]["other"]
    assert (late["name"], late["value"]["rate"], late["value"]["cost"]) == ("other", "5/1h", 2)


def test_relative_paths_begin_where_the_first_file_is(tmp_path, capsys):
    (tmp_path / "sub" / "www").mkdir(parents=True)
    (tmp_path / "www").mkdir()
    (tmp_path / "sub" / "more.yaml").write_text("routes: [{path: '/b/{*p}', files: {root: www}}]\n")
    file = tmp_path / "bolt.yaml"
    file.write_text(
        "version: 1\ninclude: [sub/*.yaml]\nroutes: [{path: '/a/{*p}', files: {root: www}}]\n"
    )
    assert main(["dump", "--resolved", "--config", str(file), "--format", "json"]) == 0
    routes = json.loads(capsys.readouterr().out)["routes"]
    roots = {route["path"]: route["files"]["root"] for route in routes}
    assert roots == {"/a/{*p}": "www", "/b/{*p}": "sub/www"}


def test_a_wrong_configuration_is_not_dumped(tmp_path, capsys):
    path = tmp_path / "bolt.yaml"
    path.write_text("version: 1\ndefaults: {timeout: 15}\n")
    assert main(["dump", "--resolved", "--config", str(path)]) == 1
    told = capsys.readouterr()
    assert "E031" in told.err
    assert not told.out


def secret_fields(whole: Schema) -> Iterator[tuple[str, str, bool]]:
    """Every block and key that the schema calls secret, and whether it is a list of them."""
    for name, found in whole["$defs"].items():
        for key, field in found["properties"].items():
            listed = field.get("items", {}).get("writeOnly", False)
            if listed or field.get("writeOnly"):
                yield name, key, listed


#: A secret for each such field, in two parts: what is planted is between them.
PLANTED = {
    ("Jwt", "secret"): ("{}", {"type": "jwt", "algorithms": ["HS256"]}),
    ("Jwt", "jwk"): (
        '{{"kty": "oct", "k": "{}"}}',
        {"type": "jwt", "algorithms": ["HS256"]},
    ),
    ("ApiKey", "keys"): ("{}:sha256:" + "0" * 64, {"type": "api_key"}),
    ("Basic", "htpasswd"): ("{}:{{SHA256}}" + "0" * 64, {"type": "basic"}),
    ("Basic", "users"): ("{}:{{SHA256}}" + "0" * 64, {"type": "basic"}),
}
SECRET = "cGxhbnRlZC1zZWNyZXQtdGhhdC1ub2JvZHktbWF5LXNlZQ"


def test_every_secret_field_has_one_planted():
    assert {(name, key) for name, key, _ in secret_fields(schema())} == PLANTED.keys()
    assert block(schema(), {"$ref": "#/$defs/Jwt"})["properties"]["secret"]["writeOnly"]


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize(("name", "key", "listed"), [*secret_fields(schema())])
@pytest.mark.parametrize("where", ["define", "route", "any"])
def test_no_secret_is_shown(name, key, listed, form, where, tmp_path, capsys):
    shape, rest = PLANTED[name, key]
    planted: Any = shape.format(SECRET)
    method = rest | {key: [planted] if listed else planted}
    route = {"path": "/", "respond": {"body": "ok"}}
    config: dict[str, Any] = {"version": 1, "define": {"auth": {}}}
    if where == "define":
        config |= {"define": {"auth": {"m": method}}, "routes": [route | {"auth": "m"}]}
    elif where == "route":
        config |= {"routes": [route | {"auth": method}]}
    else:
        config |= {"routes": [route | {"auth": {"any": [method]}}]}
    path = tmp_path / "bolt.yaml"
    path.write_text(yaml.safe_dump(config))
    assert main(["dump", "--resolved", "--format", form, "--config", str(path)]) == 0
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    assert "***" in told.out


def test_nothing_of_a_file_and_no_password_of_a_url_is_shown(tmp_path, capsys):
    (tmp_path / "token").write_text(SECRET)
    path = tmp_path / "bolt.yaml"
    path.write_text(
        f"""\
version: 1
defaults:
  response_headers:
    set: {{X-Token: "a ${{file:{tmp_path}/token}}", X-Own: shown, X-Url: "redis://u:{SECRET}@h/0"}}
routes:
  - {{path: /, respond: {{body: ok}}}}
"""
    )
    assert main(["dump", "--resolved", "--config", str(path)]) == 0
    told = capsys.readouterr().out
    assert SECRET not in told
    assert '"redis://u:***@h/0"' in told
    assert "shown" in told
