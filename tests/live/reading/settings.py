"""The database is what the test says: Django's own dict, as JSON."""

import json
import os

from tests.live import settings as shared

SECRET_KEY, USE_TZ = shared.SECRET_KEY, shared.USE_TZ
INSTALLED_APPS = ["tests.live.reading"]
DATABASES = {"default": json.loads(os.environ["READ_DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
