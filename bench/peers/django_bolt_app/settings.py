"""Settings of the django-bolt peer: production mode, nothing installed that a request would pay for."""

from __future__ import annotations

DEBUG = False
SECRET_KEY = "bench-only-secret-key-of-32-bytes!"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django_bolt"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "django_bolt_app.urls"
DATABASES: dict[str, object] = {}
USE_TZ = True
BOLT_API = ["django_bolt_app.api:api"]
# Its request logger writes nothing below WARNING, so no access log is paid for.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.server": {"level": "CRITICAL"}},
}
