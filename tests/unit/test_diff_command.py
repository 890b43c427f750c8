"""``bolt diff`` as a command: what it reads, prints and keeps to itself."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pybolt.cli import main
from tests.unit.test_diff import JWT, KEY, route

SNAPSHOTS = Path(__file__).parent / "snapshots"


def test_secrets_are_compared_and_not_shown(tmp_path, capsys):
    for name in ("one", "other"):
        limit = {"set": {"X-Url": f"redis://u:{name}secret@h"}}
        config = route(auth=JWT | {"secret": name + "secret" * 8}, request_headers=limit)
        config["define"] = {"auth": {"k": KEY | {"keys": f"{name}secret:sha256:" + "0" * 64}}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"version": 1, **config}))
    paths = [str(tmp_path / "one.yaml"), str(tmp_path / "other.yaml")]
    for form in ("text", "json"):
        assert main(["diff", *paths, "--format", form]) == 3
        told = capsys.readouterr().out
        assert "other credentials are taken" in told
        assert "onesecret" not in told
        assert "othersecret" not in told
        # Nor is anything made of them.
        assert not re.search("[0-9a-f]{64}", told)
    assert main(["diff", paths[0], paths[0]]) == 0


def test_what_relative_paths_lead_to_is_compared(tmp_path, capsys):
    keys = json.dumps({"type": "jwt", "algorithms": ["ES256"], "jwks": {"file": "keys.json"}})
    included = f"routes:\n- {{path: '/f/{{*p}}', files: {{root: www}}, auth: {keys}}}\n"

    def public(kid: str) -> dict[str, Any]:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        return ECAlgorithm(ECAlgorithm.SHA256).to_jwk(key, as_dict=True) | {"kid": kid}

    known, others = public("known"), public("others")

    def written(name: str, key: dict[str, Any], where: str) -> str:
        directory = tmp_path / name / where
        (directory / "www").mkdir(parents=True)
        (directory / "more.yaml").write_text(included)
        (directory / "keys.json").write_text(json.dumps({"keys": [key]}))
        file = tmp_path / name / "bolt.yaml"
        file.write_text(f"version: 1\ninclude: [{os.path.join(where, 'more.yaml')}]\n")
        return str(file)

    old = written("old", known, "here")
    assert main(["diff", old, written("same", known, "here")]) == 0
    assert "0 loosened, 0 tightened, 0 otherwise changed" in capsys.readouterr().out
    assert main(["diff", old, written("other", others, "here")]) == 3
    said = capsys.readouterr().out
    assert "auth" in said
    assert others["x"] not in said
    assert main(["diff", old, written("moved", known, "there")]) == 3
    said = capsys.readouterr().out
    assert "here/www" in said
    assert "there/www" in said


def test_a_wrong_file_is_told_of(tmp_path, capsys):
    right, wrong = tmp_path / "right.yaml", tmp_path / "wrong.yaml"
    right.write_text(yaml.safe_dump({"version": 1, **route()}))
    wrong.write_text("version: 1\ndefaults: {timeout: 15}\n")
    for pair in ([right, wrong], [wrong, right], [right, tmp_path / "missing.yaml"]):
        assert main(["diff", *map(str, pair)]) == 1
    assert "E031" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["diff", str(right)])
    assert ended.value.code == 2


OLD = """\
version: 1
define:
  auth: {jwt: {type: jwt, secret: "${ANY:-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}", algorithms: [HS256]}}
  cors: {spa: {origins: ["https://app.example.com"]}}
  rate_limit: {per_ip: {rate: 100/1m, burst: 50}}
defaults: {auth: jwt, cors: spa, rate_limit: {per_ip: on}, timeout: 15s}
groups:
  - prefix: /api
    routes:
      - {path: /items, methods: [GET, POST], handler: "gone.since:items", allow: 'scope("items")'}
      - {path: "/items/{id}", handler: "gone.since:item"}
routes:
  - {path: /old, redirect: {to: /new}, auth: public}
"""
NEW = (
    OLD.replace("burst: 50", "burst: 80")
    .replace('"https://app.example.com"', '"https://app.example.com", "https://new.example.com"')
    .replace("timeout: 15s", "timeout: 20s, csrf: on")
    .replace('"gone.since:item"', '"gone.since:item", auth: public')
    .replace(
        "  - {path: /old, redirect: {to: /new}, auth: public}",
        "  - {path: /new, redirect: {to: /}, auth: public}",
    )
)


def test_what_it_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    assert main(["diff", "old.yaml", "new.yaml"]) == 3
    told = capsys.readouterr().out
    snapshot = SNAPSHOTS / "diff.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        snapshot.write_text(told)
    assert told == snapshot.read_text()
