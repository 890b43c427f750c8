"""Settings of a project on both databases; where they are, the harness says."""

from __future__ import annotations

import os

DEBUG = False
SECRET_KEY = "bench-only-secret-key-of-32-bytes!"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["bench.reads"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["BENCH_POSTGRESQL"],
        "USER": "bolt",
        "NAME": "postgres",
        "CONN_MAX_AGE": None,
    },
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["BENCH_SQLITE"],
        "CONN_MAX_AGE": None,
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"},
    },
}
