"""Settings of the django-bolt peer with databases: those of pybolt's side."""

from __future__ import annotations

from bench.reads import settings as reads
from django_bolt_app.settings import *  # noqa: F403

INSTALLED_APPS = ["django_bolt", "bench.reads"]
BOLT_API = ["django_bolt_app.reads_api:api"]
DATABASES = reads.DATABASES
DEFAULT_AUTO_FIELD = reads.DEFAULT_AUTO_FIELD
