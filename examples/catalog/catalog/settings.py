"""An ordinary Django project: PostgreSQL where POSTGRES_* names one, else a SQLite file."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "for-the-example-only-" + "x" * 40)
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["catalog"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

POSTGRESQL = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ.get("POSTGRES_HOST", ""),
    "PORT": os.environ.get("POSTGRES_PORT", ""),
    "USER": os.environ.get("POSTGRES_USER", ""),
    "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
    "NAME": os.environ.get("POSTGRES_DB", "catalog"),
    "CONN_MAX_AGE": 600,
    "CONN_HEALTH_CHECKS": True,
}
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": os.environ.get("CATALOG_DATABASE", str(BASE_DIR / "db.sqlite3")),
    "CONN_MAX_AGE": None,
    "OPTIONS": {
        "timeout": 5,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
}
HAS_POSTGRESQL = any(name.startswith("POSTGRES_") for name in os.environ)
DATABASES = {"default": POSTGRESQL if HAS_POSTGRESQL else SQLITE}
