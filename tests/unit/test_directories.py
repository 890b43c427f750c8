"""Relative paths of files begin where the document is that says them, wherever one stands."""

import json
import sys
from pathlib import Path

import pytest

from pybolt.config import RunOptions, load

FILE = """\
include: [parts/*.yaml]
define:
  auth:
    keys: {type: jwt, jwks: {file: own/jwks.json}, algorithms: [EdDSA]}
routes:
  - {path: /, respond: {body: "${file:own/text}"}, auth: keys}
  - {path: "/files/{*path}", files: {root: own}, auth: public}
"""
PART = """\
routes:
  - {path: /part, respond: {body: "${file:own/text}"}, auth: public}
  - path: /inline
    respond: {body: x}
    auth: {type: jwt, jwks: {file: own/jwks.json}, algorithms: [EdDSA]}
  - path: /any
    respond: {body: x}
    auth: {any: [{type: jwt, jwks: {file: own/jwks.json}, algorithms: [EdDSA]}]}
  - {path: "/parts/{*path}", files: {root: own}, auth: public}
"""
API = """\
from pybolt import BoltAPI, JWTAuth

api = BoltAPI(auth=JWTAuth(jwks={"file": "own/jwks.json"}, algorithms=["EdDSA"]))
api.respond("/", "${file:own/text}")
api.files("/files/{*path}", "own")
"""
# RFC 8037, appendix A.
JWKS = {
    "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]
}


def own(directory: Path, text: str) -> None:
    (directory / "own").mkdir(parents=True)
    (directory / "own" / "text").write_text(f"{text}\n")
    (directory / "own" / "jwks.json").write_text(json.dumps(JWKS))


def bodies(loaded):
    documents = json.loads(loaded.wire)["documents"]
    return [
        route["respond"]["body"]
        for document in documents
        for route in document["config"]["routes"]
        if route.get("respond", {"body": "x"})["body"] != "x"
    ]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory whose files of the same names are none of the configuration's."""
    other = tmp_path / "elsewhere"
    own(other, "elsewhere")
    (other / "own" / "jwks.json").write_text("{")
    monkeypatch.chdir(other)
    return other


@pytest.mark.parametrize("named", ["conf/bolt.yaml", "../conf/bolt.yaml"])
def test_those_of_a_file_and_of_what_it_includes(named, tmp_path, elsewhere):
    conf = tmp_path / "conf"
    own(conf, "of the file")
    own(conf / "parts", "of the part")
    (conf / "bolt.yaml").write_text(FILE)
    (conf / "parts" / "part.yaml").write_text(PART)
    config = named if named.startswith("..") else str(tmp_path / named)
    loaded = load(RunOptions(config=config))
    assert [item.render() for item in loaded.check()] == []
    assert bodies(loaded) == ["of the file", "of the part"]


@pytest.mark.parametrize("document", ["bolt.yaml", "parts/part.yaml"])
def test_what_is_not_there_is_named_where_it_was_looked_for(document, tmp_path, elsewhere):
    conf = tmp_path / "conf"
    (conf / "parts").mkdir(parents=True)
    (conf / "bolt.yaml").write_text(FILE)
    (conf / "parts" / "part.yaml").write_text(PART)
    directory = (conf / document).parent
    told = [item.message for item in load(RunOptions(config=str(conf / "bolt.yaml"))).check()]
    for name in ("text", "jwks.json"):
        assert any(f"{directory}/own/{name}:" in message for message in told), told
    assert any(f"the directory {directory}/own cannot be opened" in message for message in told)


def test_those_of_an_api_begin_at_its_module(tmp_path, elsewhere, monkeypatch):
    own(tmp_path / "apps", "of the api")
    (tmp_path / "apps" / "paths_app.py").write_text(API)
    monkeypatch.syspath_prepend(str(tmp_path / "apps"))
    monkeypatch.delitem(sys.modules, "paths_app", raising=False)
    loaded = load(RunOptions(app="paths_app:api"))
    assert [item.render() for item in loaded.check()] == []
    assert bodies(loaded) == ["of the api"]
