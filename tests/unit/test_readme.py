"""README's examples, all saved in one directory as a newcomer would."""

import re
import sys
import time
from pathlib import Path

import jwt
import pytest

from pybolt.testing import Client
from tests.unit.command import bolt

README = (Path(__file__).parent.parent.parent / "README.md").read_text()
BLOCKS = dict(re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", README, re.M | re.S))
SECRET = "s" * 48


@pytest.fixture
def directory(tmp_path, monkeypatch):
    for name, text in BLOCKS.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("JWT_SECRET", SECRET)
    yield tmp_path
    sys.modules.pop("hello", None)


def test_the_examples_are_there():
    assert sorted(BLOCKS) == ["bolt.yaml", "hello.py", "policy.yaml"]


@pytest.mark.parametrize(
    "arguments", [["hello.py"], [], ["hello.py", "--config", "policy.yaml"]], ids=" ".join
)
def test_each_is_fine(directory, arguments):
    done = bolt(directory, "check", *arguments, "--strict", JWT_SECRET=SECRET)
    assert (done.returncode, done.stdout) == (0, "fine: 2 routes, 1 public\n  GET /hello\n")


@pytest.mark.parametrize("source", ["hello.py", "bolt.yaml", "policy.yaml"])
def test_each_answers(directory, source):
    if source == "bolt.yaml":
        client = Client("bolt.yaml")
    elif source == "policy.yaml":
        client = Client("policy.yaml", app="hello.py")
    else:
        import hello

        client = Client(hello.api)
    claims = {"sub": "ann", "aud": "api", "exp": time.time() + 60, "scope": "items:write"}
    token = {"authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}
    with client:
        found = client.get("/hello", headers={"origin": "https://app.example.com"})
        assert found.json() == {"message": "Hello, World!"}
        assert found.headers["access-control-allow-origin"] == "https://app.example.com"
        assert ("x-request-id" in found.headers) == (source == "policy.yaml")
        assert client.post("/items/7", json={"name": "lamp"}).status == 401
        done = client.post("/items/7", json={"name": "lamp"}, headers=token)
        assert (done.status, done.json()) == (201, {"id": 7, "user": "ann"})
