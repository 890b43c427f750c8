"""The handlers behind the listener."""

import asyncio

import pybolt

STARTED = []
BIG = b"a" * 8_000_000


def size(request):
    STARTED.append(request.path)
    return {"size": len(request.body)}


def started(request):
    return {"started": STARTED}


async def drip(request):
    """Answers in pieces, long after the client's own end could be read."""
    await asyncio.sleep(0.1)
    return {"path": request.path}


def framed(request):
    return pybolt.Bytes(
        b"12345",
        headers={"Content-Length": "2", "Transfer-Encoding": "chunked", "Connection": "upgrade"},
    )


def big(request):
    """More than the kernel takes at once."""
    return pybolt.Bytes(BIG)


def long(request):
    async def chunks():
        while True:
            yield b"a" * 65536

    return pybolt.Stream(chunks)
