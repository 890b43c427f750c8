"""The app of the live tests."""

import asyncio
import os
import time

import pybolt
from pybolt import AccessLog, BoltAPI, IPRules, JWTAuth, RateLimit, Stream, Timeout

api = BoltAPI()
SECRET = "live-tests-only-live-tests-only-live-tests"
cancelled: list[str] = []

api.respond("/healthz", "ok", auth="public")
api.redirect("/old/{id}", "/new/{id}", auth="public")
api.respond("/office", "in", auth="public", ip=IPRules(allow=["192.0.2.0/24"]))
api.respond("/write", "done", auth="public", csrf=True, methods=["POST"])
api.respond("/closed", "in", auth="public", maintenance=True)


@api.get("/hello", auth="public")
def hello(request):
    return {"message": "Hello, World!"}


@api.get("/async", auth="public")
async def hello_async(request):
    return {"message": "Hello, World!"}


@api.get("/pid", auth="public")
def pid(request):
    return {"pid": os.getpid()}


@api.get("/slow", auth="public")
async def slow(request):
    await asyncio.sleep(1)
    return {"pid": os.getpid()}


@api.get("/slow-sync", auth="public")
def slow_sync(request):
    time.sleep(1)
    return {"pid": os.getpid()}


@api.get("/forever/{name}", auth="public")
async def forever(request, name: str):
    try:
        await asyncio.sleep(60)
    finally:
        cancelled.append(name)


@api.get("/cancelled", auth="public")
def list_cancelled(request):
    return cancelled


@api.get("/timeout", auth="public", timeout="200ms")
async def times_out(request):
    try:
        await asyncio.sleep(60)
    finally:
        cancelled.append("timeout")


@api.get(
    "/cut/{kind}",
    auth="public",
    timeout=Timeout(total="300ms"),
    access_log=AccessLog(format="json"),
)
async def cut(request, kind: str):
    async def produce():
        try:
            while True:
                yield b"x" * 100
                await asyncio.sleep(0.01)
        finally:
            cancelled.append("cut async")

    def produce_sync():
        try:
            while True:
                yield b"x" * 100
                time.sleep(0.01)
        finally:
            cancelled.append("cut sync")

    if kind == "late":
        await asyncio.sleep(60)
    return Stream(produce() if kind == "async" else produce_sync())


@api.get("/long", auth="public", timeout="200ms")
async def long(request):
    async def produce():
        for _ in range(6):
            yield b"x"
            await asyncio.sleep(0.1)

    return Stream(produce())


@api.get("/spin", auth="public")
def spin(request):
    end = time.thread_time() + 0.005
    while time.thread_time() < end:
        pass
    return {}


@api.get("/bulkhead", auth="public", python={"concurrency": 1, "queue": 1, "max_wait": "100ms"})
async def bulkhead(request):
    await asyncio.sleep(0.5)
    return {}


@api.get("/numbers", auth="public")
def numbers(request):
    def produce():
        for number in range(100_000):
            produced[0] = number
            yield b"x" * 10_000

    return Stream(produce())


produced = [0]


@api.get("/produced", auth="public")
def how_many(request):
    return [produced[0]]


@api.get("/broken", auth="public")
def broken(request):
    def produce():
        yield b"first"
        raise ValueError("on purpose")

    return Stream(produce())


@api.get("/exit", auth="public")
async def leave(request):
    await asyncio.sleep(0)
    raise SystemExit(3)


@api.get("/private", auth=JWTAuth(secret=SECRET, algorithms=["HS256"]))
def private(request):
    return {}


@api.get("/undecided")
def undecided(request):
    return {}


@api.get("/limited", auth="public", rate_limit={"tight": RateLimit("1/1h", burst=1)})
def limited(request):
    return {}


@api.post("/small", auth="public", body_limit="4B")
def small(request):
    return {"size": len(request.body)}


@api.get("/stats", auth="public")
def stats(request):
    return pybolt.stats()


SMUGGLED = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\npwn"


@api.get("/bodiless/{status}", auth="public")
def bodiless(request, status: int):
    return status, SMUGGLED


@api.get("/endless", auth="public")
def endless(request):
    return Stream(iter(lambda: b"x" * 1000, None))


@api.get("/one-stream", auth="public", python={"concurrency": 1, "queue": 0, "max_wait": "1ms"})
async def one_stream(request):
    async def produce():
        yield b"first"
        await asyncio.sleep(0.5)
        yield b"last"

    return Stream(produce())


@api.post("/one-body", auth="public", python={"concurrency": 1, "queue": 0, "max_wait": "1ms"})
def one_body(request):
    return {"size": len(request.body)}


@api.post("/upload", auth="public", request_body="stream")
def upload(request):
    return {"size": sum(len(chunk) for chunk in request.stream())}


@api.post("/upload-async", auth="public", request_body="stream")
async def upload_async(request):
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return {"size": size}


@api.post("/upload-twice", auth="public", request_body="stream")
async def upload_twice(request):
    chunks = request.stream()
    found = await asyncio.gather(*(anext(chunks) for _ in range(3)), return_exceptions=True)
    return [str(chunk) for chunk in found]


@api.get(
    "/one-at-a-time",
    auth="public",
    timeout="200ms",
    python={"concurrency": 1, "queue": 0, "max_wait": "1ms"},
)
def one_at_a_time(request):
    time.sleep(1)
    return {}
