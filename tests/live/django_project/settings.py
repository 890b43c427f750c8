"""A project with sessions and Django's own middleware, before which the engine stands."""

import os

from tests.live import settings as shared

SECRET_KEY, USE_TZ = shared.SECRET_KEY, shared.USE_TZ
DEBUG = os.environ.get("PROJECT_DEBUG") == "1"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_project.urls"
INSTALLED_APPS = shared.APPS
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", *shared.MIDDLEWARE]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["PROJECT_DATABASE"],
        "CONN_MAX_AGE": 60,
    }
}
# As behind a proxy: what says so must not be a stranger's.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
USE_X_FORWARDED_HOST = True
