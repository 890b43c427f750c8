"""The project of `config/bolt.example.yaml`."""

import os

from tests.live import settings as shared

SECRET_KEY, USE_TZ = shared.SECRET_KEY, shared.USE_TZ
DEBUG = False
ALLOWED_HOSTS = ["example.com", ".example.com"]
ROOT_URLCONF = "mysite.urls"
INSTALLED_APPS = ["django.contrib.admin", *shared.APPS, "django.contrib.messages"]
MIDDLEWARE = [*shared.MIDDLEWARE, "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["MYSITE_DATABASE"],
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL"},
    }
}
STATIC_URL = "/static/"
