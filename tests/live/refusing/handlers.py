"""The handlers behind the refusals."""

import asyncio

import pybolt


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
