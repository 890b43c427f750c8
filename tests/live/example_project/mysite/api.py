"""The routes that are declared in Python."""

import asyncio

from pybolt import BoltAPI, Stream

api = BoltAPI()


@api.post("/api/login/")
def login(request):
    return {"login": True}


@api.get("/api/events/")
async def events(request, wait: float = 0, seconds: float = 0, kind: str = "text/event-stream"):
    await asyncio.sleep(wait)

    async def produce():
        yield "data: begin\n\n"
        for _ in range(int(seconds * 2)):
            await asyncio.sleep(0.5)
            yield "data: more\n\n" * 100
        yield "data: end\n\n"

    return Stream(produce(), content_type=kind)


@api.get("/undecided")
def undecided(request):
    return {}
