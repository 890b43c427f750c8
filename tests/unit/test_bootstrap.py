"""The embedded Django, each time in a process and a directory of its own."""

import os
import re
import stat

import pytest

from pybolt.conf import SECRET_FILE, keep_secret_key, secret_key
from tests.command import bolt, python

HELLO = """
from pybolt import BoltAPI
api = BoltAPI()

@api.get("/hello")
def hello(request):
    return {}
"""
MODEL = """
from django.db import models

class Thing(models.Model):
    name = models.CharField(max_length=10)
"""


def preflight(directory, app=None, config=None):
    """What ``bolt run`` does before it binds."""
    program = (
        "import sys; from pybolt.config.options import RunOptions; "
        "from pybolt.preflight import preflight; from pybolt.snapshots import Snapshots; "
        f"options = RunOptions(app={app!r}, config={config!r}); "
        "sys.exit(preflight(options, Snapshots().served) is None)"
    )
    done = python(directory, "-c", program)
    # What takes longer than two seconds says so.
    done.stderr = re.sub(r"^bolt: loading .* \(\d+ s\)\n", "", done.stderr, flags=re.M)
    return done


def test_a_file_without_a_model_needs_no_migrations(tmp_path):
    (tmp_path / "app.py").write_text(HELLO)
    ran = preflight(tmp_path, "app.py")
    assert ran.returncode == 0, ran.stderr
    assert "making" not in ran.stderr
    assert not (tmp_path / "app_migrations").exists()
    for command in ("migrate", "makemigrations", "migrations"):
        assert bolt(tmp_path, command, "app.py").returncode == 0


def test_a_files_models_are_migrated_once_and_a_change_is_noticed(tmp_path):
    app = tmp_path / "app.py"
    app.write_text(HELLO + MODEL)
    first = preflight(tmp_path, "app.py")
    assert first.returncode == 0, first.stderr
    assert "making the first migrations of app" in first.stderr
    assert (tmp_path / "app_migrations" / "0001_initial.py").is_file()
    again = preflight(tmp_path, "app.py")
    assert again.returncode == 0
    # On a machine that is busy it says that it still goes on, and nothing else.
    assert again.stderr == ""
    app.write_text(HELLO + MODEL + "    size = models.IntegerField(default=0)\n")
    changed = preflight(tmp_path, "app.py")
    assert changed.returncode == 0
    assert "models of app differ from its migrations" in changed.stderr
    assert bolt(tmp_path, "makemigrations", "app.py").returncode == 0
    assert "applying 1 migration " in preflight(tmp_path, "app.py").stderr
    assert (tmp_path / "app_migrations" / "0002_thing_size.py").is_file()


@pytest.mark.parametrize("regular", [True, False], ids=["package", "directory"])
def test_a_package_is_an_app_with_or_without_its_init_file(tmp_path, regular):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "api.py").write_text(HELLO + MODEL)
    if regular:
        (package / "__init__.py").touch()
    ran = preflight(tmp_path, "shop.api:api")
    assert ran.returncode == 0, ran.stderr
    assert (package / "migrations" / "0001_initial.py").is_file()


def test_the_database_is_in_wal_mode(tmp_path):
    import sqlite3

    (tmp_path / "app.py").write_text(HELLO)
    assert preflight(tmp_path, "app.py").returncode == 0
    connection = sqlite3.connect(tmp_path / "db.sqlite3")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"auth_user", "django_content_type", "django_migrations"} <= tables
    connection.close()


def test_a_database_that_is_none_is_one_line(tmp_path):
    (tmp_path / "app.py").write_text(HELLO)
    (tmp_path / "db.sqlite3").write_bytes(b"\x01no database" * 500)
    ran = preflight(tmp_path, "app.py")
    assert ran.returncode == 1
    [line] = ran.stderr.splitlines()
    assert "cannot be prepared: file is not a database" in line


def test_the_secret_key_is_made_once_and_is_private(tmp_path, monkeypatch):
    monkeypatch.delenv("BOLT_SECRET_KEY", raising=False)
    assert secret_key(tmp_path) != secret_key(tmp_path)
    assert list(tmp_path.iterdir()) == []
    keep_secret_key(tmp_path)
    key = secret_key(tmp_path)
    assert len(key) >= 50
    keep_secret_key(tmp_path)
    assert secret_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / SECRET_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [SECRET_FILE]


def test_what_a_start_that_failed_left_behind_is_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.delenv("BOLT_SECRET_KEY", raising=False)
    (tmp_path / f"{SECRET_FILE}.{os.getpid()}").touch()
    keep_secret_key(tmp_path)
    assert (tmp_path / SECRET_FILE).is_file()


def test_only_those_who_serve_leave_a_key_behind(tmp_path, monkeypatch):
    monkeypatch.delenv("BOLT_SECRET_KEY", raising=False)
    (tmp_path / "app.py").write_text(HELLO)
    assert bolt(tmp_path, "check", "app.py").returncode == 0
    assert not (tmp_path / SECRET_FILE).exists()
    assert preflight(tmp_path, "app.py").returncode == 0
    assert (tmp_path / SECRET_FILE).is_file()


@pytest.mark.parametrize(
    "command", [["migrations"], ["migrate"], ["createuser", "demo", "--password", "x"]]
)
def test_a_database_that_is_none_is_one_line_for_djangos_commands(tmp_path, command):
    (tmp_path / "app.py").write_text(HELLO)
    (tmp_path / "db.sqlite3").write_bytes(b"\x01no database" * 500)
    ran = bolt(tmp_path, *command[:2], "app.py", *command[2:])
    assert ran.returncode == 1
    assert (
        ran.stderr
        == f"bolt {command[0].replace('migrations', 'showmigrations')}: file is not a database\n"
    )


def test_the_environments_key_comes_first_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("BOLT_SECRET_KEY", "given")
    keep_secret_key(tmp_path)
    assert secret_key(tmp_path) == "given"
    assert list(tmp_path.iterdir()) == []


def test_an_attached_project_is_told_of_unapplied_migrations_and_served(tmp_path):
    (tmp_path / "conf.py").write_text(
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['django.contrib.contenttypes']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'd.sqlite3'}}\n"
    )
    (tmp_path / "app.py").write_text(HELLO)
    (tmp_path / "bolt.yaml").write_text("version: 1\nsettings: conf\napp: app:api\n")
    warning = "bolt: warning: 2 migrations are not applied (contenttypes): bolt migrate\n"
    ran = preflight(tmp_path, config="bolt.yaml")
    assert (ran.returncode, ran.stderr) == (0, warning)
    assert bolt(tmp_path, "migrate").returncode == 0
    assert preflight(tmp_path, config="bolt.yaml").stderr == ""
    (tmp_path / "conf.py").write_text("SECRET_KEY = 'x'\n")
    without_database = preflight(tmp_path, config="bolt.yaml")
    assert (without_database.returncode, without_database.stderr) == (0, "")
