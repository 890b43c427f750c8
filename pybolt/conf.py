"""Settings of the embedded Django: what a project without settings gets."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

DATABASE = "db.sqlite3"
SECRET_FILE = ".bolt_secret_key"


def embedded_settings(apps: list[Any], migration_modules: dict[str, str]) -> dict[str, Any]:
    """Keyword arguments for ``settings.configure``: SQLite in WAL mode at ``./db.sqlite3``,
    ``auth`` and ``contenttypes``, and the app's own models."""
    return {
        "DEBUG": False,
        "ALLOWED_HOSTS": ["*"],
        "SECRET_KEY": secret_key(Path.cwd()),
        "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", *apps],
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path.cwd() / DATABASE),
                "CONN_MAX_AGE": None,
                "OPTIONS": {
                    "timeout": 5,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                },
            }
        },
        "MIGRATION_MODULES": migration_modules,
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "USE_TZ": True,
        # As it is kept: another zone is for people, and who shows them times says which.
        "TIME_ZONE": "UTC",
        "LOGGING_CONFIG": None,
    }


def secret_key(directory: Path) -> str:
    """``BOLT_SECRET_KEY``, the key kept beside the database, or one for this process alone."""
    given = os.environ.get("BOLT_SECRET_KEY")
    if given:
        return given
    try:
        return (directory / SECRET_FILE).read_text().strip()
    except FileNotFoundError:
        return secrets.token_urlsafe(50)


def keep_secret_key(directory: Path) -> None:
    """Makes the key that all workers share, once and unless ``BOLT_SECRET_KEY`` is given. For those
    who serve: a look at the configuration leaves nothing behind."""
    path = directory / SECRET_FILE
    if os.environ.get("BOLT_SECRET_KEY") or path.exists():
        return
    # Written whole before it has its name, so that nobody reads half a key; the first wins.
    descriptor, draft = tempfile.mkstemp(prefix=f"{SECRET_FILE}.", dir=directory)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
