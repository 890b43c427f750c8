"""Every code is explained, and every document of an explanation is what it claims to be."""

import json
from pathlib import Path

import pytest

from pybolt import _engine
from pybolt.config import RunOptions, load
from pybolt.config.explanations import explanations, meanings, page
from tests.unit.command import HANDLERS, bolt

TOLD = explanations()
#: Nothing but a program that calls the engine can make it.
OF_PROGRAMS = {"E010"}


def found(directory: Path, text: str, files: dict[str, str], *, online: bool) -> list[str]:
    """The codes of what is wrong with a document, in a directory of its own below another."""
    below = directory / "below"
    for name, content in ({"hello.py": HANDLERS, "bolt.yaml": text} | files).items():
        path = below / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    if any("ROOT_URLCONF" in content for content in files.values()) or (online and files):
        # A process has one project, and one database.
        asking = ["--online"] if online else []
        told = json.loads(bolt(below, "check", *asking, "--format", "json").stdout)
        return [item["code"] for item in told]
    loaded = load(RunOptions(config=str(below / "bolt.yaml")))
    told = loaded.check()
    if online and not told:
        told = loaded.check_online()
    return [item.code for item in told]


@pytest.fixture
def alone(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.syspath_prepend(tmp_path / "below")
    monkeypatch.setenv("JWT_SECRET", "s" * 48)
    monkeypatch.delenv("GREETING", raising=False)
    return tmp_path


def test_every_code_is_explained():
    assert list(TOLD) == list(meanings())


@pytest.mark.parametrize("code", [code for code, told in TOLD.items() if told.wrong is not None])
def test_what_is_wrong_yields_the_code(code, alone):
    told = TOLD[code]
    assert told.wrong is not None
    online = "--online" in told.command
    assert found(alone, told.wrong, told.files, online=online) == [code]


@pytest.mark.parametrize("code", [code for code, told in TOLD.items() if told.right is not None])
def test_what_is_right_is_fine(code, alone):
    told = TOLD[code]
    assert told.right is not None
    assert found(alone, told.right, told.files, online=False) == []


def test_what_no_document_yields_is_yielded_otherwise(tmp_path):
    otherwise = {code for code, told in TOLD.items() if told.wrong is None}
    # Those of databases that are asked are in tests/live/asked.
    online = {"E240", "W242", "W243", "W244"}
    assert otherwise == {"E007", "E239", *online, *OF_PROGRAMS}
    done = bolt(tmp_path, *TOLD["E007"].command.split()[1:])
    assert "error[E007]" in done.stdout
    assert [item["code"] for item in json.loads(_engine.check("{}"))] == ["E010"]


def test_a_database_whose_certificates_are_missing(tmp_path):
    options = {"sslmode": "verify-full", "sslrootcert": "missing.pem"}
    at = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "shop"}
    databases = {"default": at | {"HOST": "db.example.com", "OPTIONS": options}}
    (tmp_path / "secure.py").write_text(
        'INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]\n'
        'SECRET_KEY = "of-a-test-alone"\nUSE_TZ = True\nTIME_ZONE = "UTC"\n'
        f"DATABASES = {databases!r}\n"
    )
    (tmp_path / "people.py").write_text(
        "from django.contrib.auth.models import User\n"
        'people = User.objects.order_by("id").values("id")[:10]\n'
    )
    (tmp_path / "bolt.yaml").write_text(
        'settings: secure\nroutes:\n  - {path: /people, query: "people:people"}\n'
    )
    done = bolt(tmp_path, "check")
    assert done.returncode != 0
    assert "error[E239]: database `default`" in done.stdout
    assert "missing.pem" in done.stdout


def test_explain_prints_the_page(tmp_path):
    done = bolt(tmp_path, "check", "--explain", "e014")
    assert (done.returncode, done.stdout) == (0, page("E014"))
    done = bolt(tmp_path, "check", "--explain", "E999")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no code `E999`" in done.stderr
