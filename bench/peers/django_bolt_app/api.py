"""The benchmark's routes in django-bolt 0.13, each in the form that django-bolt runs fastest.

Handlers take no argument, because django-bolt then builds no request object for them, and logging, compression and
OpenAPI are off. Its Rust side has CORS, JWT, claims and one rate limit a route, but neither a request id nor security
headers: its `/policies` does less than pybolt's, and is in the table for orientation only.
"""

from __future__ import annotations

import asyncio
import time

from django_bolt import BoltAPI
from django_bolt.auth import JWTAuthentication, Requires
from django_bolt.middleware import cors, rate_limit

SECRET = "bench-only-secret-key-of-32-bytes!"  # the same as in bench/apps/policies.py
ORIGIN = "https://app.example.com"
SPIN_SECONDS = 0.005

api = BoltAPI(enable_logging=False, compression=False, openapi_config=False)
jwt = JWTAuthentication(secret=SECRET, algorithms=["HS256"], audience="api")


@api.get("/hello")
def hello():
    return {"message": "Hello, World!"}


@api.get("/hello-async")
async def hello_async():
    return {"message": "Hello, World!"}


@api.get("/hello-await")
async def hello_await():
    return await message()


@api.get("/sleep")
async def sleep():
    await asyncio.sleep(0)
    return {"message": "Hello, World!"}


@api.get("/spin")
def spin():
    burn(SPIN_SECONDS)
    return {"message": "spun"}


@api.get("/spin-async")
async def spin_async():
    burn(SPIN_SECONDS)
    return {"message": "spun"}


@api.get("/policies", auth=[jwt], guards=[Requires("scope", "items:read")])
@cors(origins=[ORIGIN])
@rate_limit(rps=1_000_000_000, burst=1_000_000_000, key="ip")
def policies():
    return {"message": "Hello, World!"}


@api.get("/limited")
@rate_limit(rps=1, burst=1, key="ip")
def limited():
    return {"message": "Hello, World!"}


async def message() -> dict[str, str]:
    return {"message": "Hello, World!"}


def burn(seconds: float) -> None:
    """Compute for so many seconds of this thread's CPU time, holding the GIL as Python code does."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
