"""Handlers without any policy: what calling Python costs, and the storm's slow handlers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pybolt
from pybolt import BoltAPI

SPIN_SECONDS = 0.005

api = BoltAPI()


@api.get("/hello")
def hello(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/hello-async")
async def hello_async(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/hello-await")
async def hello_await(req: Any) -> dict[str, str]:
    return await message()


@api.get("/sleep")
async def sleep(req: Any) -> dict[str, str]:
    await asyncio.sleep(0)
    return {"message": "Hello, World!"}


@api.get("/spin")
def spin(req: Any) -> dict[str, str]:
    burn(SPIN_SECONDS)
    return {"message": "spun"}


@api.get("/spin-async")
async def spin_async(req: Any) -> dict[str, str]:
    burn(SPIN_SECONDS)
    return {"message": "spun"}


@api.get("/stats")
def stats(req: Any) -> dict[str, Any]:
    return pybolt.stats()


async def message() -> dict[str, str]:
    return {"message": "Hello, World!"}


def burn(seconds: float) -> None:
    """Compute for so many seconds of this thread's CPU time, holding the GIL as Python code does."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
