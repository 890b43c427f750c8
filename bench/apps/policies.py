"""Routes behind policies: one that every policy permits, and one for each refusal that Rust answers alone."""

from __future__ import annotations

from typing import Any

import pybolt
from bench.apps import plain
from pybolt import CORS, BoltAPI, JWTAuth, Maintenance, RateLimit

SECRET = "bench-only-secret-key-of-32-bytes!"
ORIGIN = "https://app.example.com"
NEVER_REACHED = "1000000000/1s"

api = BoltAPI()
jwt = JWTAuth(secret=SECRET, algorithms=["HS256"], audience="api")
cors = CORS(origins=[ORIGIN])


@api.get(
    "/policies",
    request_id="on",
    security_headers="on",
    cors=cors,
    rate_limit={"first": RateLimit(NEVER_REACHED), "second": RateLimit(NEVER_REACHED)},
    auth=jwt,
    allow='scope("items:read")',
)
def policies(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/private", auth=jwt)
def private(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/limited", auth="public", rate_limit={"once": RateLimit("1/1h")})
def limited(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/token", auth=jwt)
def token(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/denied", auth="deny")
def denied(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.post("/small", auth="public", body_limit="1B")
def small(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/closed", auth="public", maintenance=Maintenance(retry_after="1h"))
def closed(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


api.respond(
    "/respond", '{"message":"Hello, World!"}', content_type="application/json", auth="public"
)
api.redirect("/redirect", "/hello", auth="public")


@api.get("/hello", auth="public")
def hello(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


@api.get("/hello-async", auth="public")
async def hello_async(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


api.get("/spin", auth="public")(plain.spin)
api.get("/spin-async", auth="public")(plain.spin_async)


@api.get("/stats", auth="public")
def stats(req: Any) -> dict[str, Any]:
    return pybolt.stats()
