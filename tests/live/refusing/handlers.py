"""The handlers behind the refusals."""

import asyncio

from django.contrib.auth.models import User
from django.db import connections

import pybolt
from tests.reads.rows import DEFAULTS

# Nobody listens on that port.
connections.settings["absent"] = DEFAULTS | {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "shop",
    "USER": "shop",
    "HOST": "127.0.0.1",
    "PORT": "1",
}
absent = User.objects.using("absent").order_by("id").values("id")[:1]


def hello(request):
    return {}


def stats(request):
    return pybolt.stats()


def fail(request):
    raise ValueError("on purpose")


async def slow(request):
    await asyncio.sleep(1)
    return {}


def size(request):
    return {"size": len(request.body)}
