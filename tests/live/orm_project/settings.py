"""A Django project on PostgreSQL; the port comes from the test."""

import os

from tests.live import settings as shared

SECRET_KEY, USE_TZ = shared.SECRET_KEY, shared.USE_TZ
INSTALLED_APPS = ["tests.live.orm_project"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["POSTGRES_PORT"],
        "NAME": "postgres",
        "USER": "bolt",
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if "POSTGRES_POOL" in os.environ:
    pool = {"min_size": 1, "max_size": int(os.environ["POSTGRES_POOL"]), "timeout": 10}
    DATABASES["default"] |= {
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"pool": pool, "application_name": "pooled"},
    }
