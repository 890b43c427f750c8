"""What is measured against what, and the bar of each figure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace

from bench import reading
from bench.case import Case, CpuCase, StormCase, Target
from bench.load import Exchange
from bench.servers import FILE_SIZES, django_bolt, file_content, floor, nginx, pybolt

MESSAGE = b'{"message":"Hello, World!"}'
SECRET = b"bench-only-secret-key-of-32-bytes!"  # the same as in both apps
ORIGIN = "https://app.example.com"
PROBLEM_TYPE = ("content-type", "application/problem+json")


def _token() -> str:
    """Return a JWT that `/policies` permits until the year 2100."""
    claims = {"sub": "bench", "aud": "api", "scope": "items:read", "exp": 4_102_444_800}
    parts = [
        _base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)
    ]
    signature = hmac.new(SECRET, ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _base64(signature)])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _refused(path: str, status: int, method: str = "GET") -> Exchange:
    member = ("status", status)
    return Exchange(
        path=path, method=method, status=status, member=member, answer_headers=(PROBLEM_TYPE,)
    )


HELLO = Exchange(path="/hello", body=MESSAGE)
HELLO_ASYNC = Exchange(path="/hello-async", body=MESSAGE)
HELLO_AWAIT = Exchange(path="/hello-await", body=MESSAGE)
SLEEP = Exchange(path="/sleep", body=MESSAGE)
SPIN = Exchange(path="/spin", body=b'{"message":"spun"}')
SPIN_ASYNC = Exchange(path="/spin-async", body=b'{"message":"spun"}')
STATS = Exchange(path="/stats", member=("gil_takes", ...))
PERMITTED = Exchange(
    path="/policies",
    headers=(("Authorization", f"Bearer {_token()}"), ("Origin", ORIGIN)),
    body=MESSAGE,
    answer_headers=(("access-control-allow-origin", ORIGIN),),
)
PREFLIGHT = Exchange(
    path="/policies",
    method="OPTIONS",
    headers=(("Origin", ORIGIN), ("Access-Control-Request-Method", "GET")),
    status=204,
    answer_headers=(("access-control-allow-origin", ORIGIN),),
)
UNAUTHENTICATED = _refused("/private", 401)
TOKEN = Exchange(path="/token", headers=(("Authorization", f"Bearer {_token()}"),), body=MESSAGE)
RESPOND = Exchange(path="/respond", body=MESSAGE)
REDIRECT = Exchange(path="/redirect", status=302, answer_headers=(("location", "/hello"),))
FILE = Exchange(path="/files/1k", body=file_content(FILE_SIZES["1k"]))
NOT_MODIFIED = Exchange(path="/files/1k", headers=(("If-None-Match", "*"),), status=304)
TOO_LARGE = replace(_refused("/small", 413, "POST"), sent="more than that")
BOLT_UNAUTHENTICATED = Exchange(
    path="/policies", status=401, member=("detail", "Authentication required")
)
BOLT_NOT_FOUND = Exchange(path="/nowhere", status=404, member=("detail", "Not Found"))
BOLT_LIMITED = Exchange(path="/limited", status=429, member=("detail", ...), spared=1)

PLAIN = pybolt("bench.apps.plain:api", HELLO)
POLICIES = pybolt("bench.apps.policies:api", HELLO)
FLOOR = Target(server=floor(HELLO), exchange=HELLO)
BOLT = django_bolt(HELLO)


def _plain(name: str, title: str, exchange: Exchange, ratios: dict[str, float]) -> CpuCase:
    peers = (FLOOR, Target(server=BOLT, exchange=exchange))
    return CpuCase(
        name=name,
        title=title,
        targets=(Target(server=PLAIN, exchange=exchange), *peers),
        ratios=ratios,
    )


def _refusal(
    name: str, title: str, exchange: Exchange, peer: Exchange | None = None, bar: float = 1.15
) -> CpuCase:
    peers = (FLOOR,) if peer is None else (FLOOR, Target(server=BOLT, exchange=peer))
    subject = Target(server=POLICIES, exchange=exchange)
    return CpuCase(
        name=name, title=title, targets=(subject, *peers), ratios={"raw actix": bar}, stats=STATS
    )


def _storm(
    name: str,
    title: str,
    storm: Exchange,
    p99_ms: float | None,
    probe: Exchange,
    peer: Exchange | None = None,
) -> StormCase:
    targets = (
        Target(server=POLICIES, exchange=probe, storm=storm),
        Target(server=BOLT, exchange=peer or probe, storm=storm),
    )
    return StormCase(name=name, title=title, targets=targets, p99_ms=p99_ms)


def _lookup(label: str, app: str, middle: int) -> Target:
    exchange = Exchange(path=f"/api/section-{middle:05}/items/7", body=MESSAGE)
    return Target(
        label=label, server=pybolt(f"bench.apps.lookup:{app}", exchange), exchange=exchange
    )


def _static(name: str, title: str, file: str, ratio: float) -> CpuCase:
    """At least 0.8 (1 KiB) and 0.9 (1 MiB) of nginx's requests for each second of CPU."""
    exchange = Exchange(path=f"/files/{file}", body=file_content(FILE_SIZES[file]))
    subject = Target(server=pybolt("bench.apps.static:api", exchange), exchange=exchange)
    peer = Target(server=nginx(exchange), exchange=exchange)
    return CpuCase(
        name=name, title=title, targets=(subject, peer), ratios={"nginx": ratio}, stats=STATS
    )


CASES: tuple[Case, ...] = (
    _plain("hello_sync", "sync hello, no policy", HELLO, {"raw actix": 1.25, "django-bolt": 0.8}),
    _plain(
        "hello_async",
        "async hello, no `await`",
        HELLO_ASYNC,
        {"raw actix": 1.5, "django-bolt": 0.9},
    ),
    _plain(
        "hello_await",
        "async hello, awaits what does not suspend",
        HELLO_AWAIT,
        {"raw actix": 1.5, "django-bolt": 0.9},
    ),
    _plain("sleep", "async, `await asyncio.sleep(0)`", SLEEP, {"django-bolt": 0.75}),
    CpuCase(
        name="policies",
        title="sync hello behind request id, CORS, JWT, scope, two rate limits, security headers",
        targets=(
            Target(server=POLICIES, exchange=PERMITTED),
            FLOOR,
            Target(server=BOLT, exchange=PERMITTED),
        ),
        ratios={"raw actix": 1.8},
    ),
    _refusal("unauthenticated", "401", UNAUTHENTICATED, BOLT_UNAUTHENTICATED),
    _refusal("not_found", "404", _refused("/nowhere", 404), BOLT_NOT_FOUND),
    _refusal("method_not_allowed", "405", _refused("/hello", 405, "DELETE")),
    _refusal("rate_limited", "429", _refused("/limited", 429), BOLT_LIMITED),
    _refusal("forbidden", "403, denied", _refused("/denied", 403), bar=1.2),
    _refusal("too_large", "413", TOO_LARGE, bar=1.2),
    _refusal("maintenance", "503, maintenance", _refused("/closed", 503), bar=1.2),
    _refusal("respond", "200 from Rust alone", RESPOND, bar=1.2),
    _refusal("redirect", "302 from Rust alone", REDIRECT, bar=1.2),
    CpuCase(
        name="token",
        title="sync hello behind a JWT that is remembered, against the same without auth",
        targets=(
            Target(label="with a token", server=POLICIES, exchange=TOKEN),
            Target(label="no auth", server=POLICIES, exchange=HELLO),
        ),
        ratios={"no auth": 1.15},
    ),
    _refusal("preflight", "preflight", PREFLIGHT, PREFLIGHT),
    _storm("storm_sync_401", "401, sync storm", SPIN, 5, UNAUTHENTICATED, BOLT_UNAUTHENTICATED),
    _storm(
        "storm_async_401", "401, async storm", SPIN_ASYNC, 5, UNAUTHENTICATED, BOLT_UNAUTHENTICATED
    ),
    _storm("storm_sync_quick_sync", "quick sync handler, sync storm", SPIN, 15, HELLO),
    _storm("storm_async_quick_sync", "quick sync handler, async storm", SPIN_ASYNC, 15, HELLO),
    _storm("storm_sync_quick_async", "quick async handler, sync storm", SPIN, 15, HELLO_ASYNC),
    _storm(
        "storm_async_quick_async", "quick async handler, async storm", SPIN_ASYNC, None, HELLO_ASYNC
    ),
    CpuCase(
        name="not_modified",
        title="304 for a file",
        targets=(
            Target(server=pybolt("bench.apps.static:api", FILE), exchange=NOT_MODIFIED),
            FLOOR,
        ),
        ratios={"raw actix": 1.2},
        stats=STATS,
    ),
    _static("static_1k", "a file of 1 KiB", "1k", 1.25),
    _static("static_1m", "a file of 1 MiB", "1m", 1.11),
    CpuCase(
        name="lookup",
        title="10,000 routes against 10",
        targets=(_lookup("10,000 routes", "many", 5_000), _lookup("10 routes", "few", 5)),
        ratios={"10 routes": 1.5},
    ),
    *reading.CASES,
)
