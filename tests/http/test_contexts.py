"""What a request has to itself: context variables, tasks and timers, from its first line of Python
to the last byte of its answer, on the I/O thread and on the loop."""

import asyncio
import contextvars
import gc
import time
import weakref

import msgspec
import pytest
from django.utils import translation
from django.utils.translation import gettext_lazy

import pybolt
from pybolt import BoltAPI, Stream
from pybolt.testing import Client

api = BoltAPI()
seen = contextvars.ContextVar("seen", default=0)
happened: list[str] = []


class Counted(msgspec.Struct):
    number: int = 0

    def __post_init__(self):
        self.number = seen.get() + 1
        seen.set(self.number)


@api.post("/counted")
async def counted(request, body: Counted):
    return {"number": body.number, "seen": seen.get()}


@api.post("/counted-sync")
def counted_sync(request, body: Counted):
    return {"number": body.number, "seen": seen.get()}


@api.get("/read")
async def read(request):
    return {"seen": seen.get()}


@api.get("/weekday")
async def weekday(request, suspend: bool = False):
    translation.activate("de")
    if suspend:
        await asyncio.sleep(0)
    return {"day": gettext_lazy("Monday")}


@api.get("/stream")
def stream(request):
    seen.set(7)

    translation.activate("de")

    def chunks():
        yield f"{seen.get()} {gettext_lazy('Monday')}"

    return Stream(chunks())


@api.get("/stream-async")
async def stream_async(request):
    seen.set(7)

    translation.activate("de")

    async def chunks():
        yield f"{seen.get()} {gettext_lazy('Monday')}"

    return Stream(chunks())


@api.get("/timer")
async def timer(request):
    asyncio.get_running_loop().call_later(0.02, happened.append, "timer")
    return {}


@api.get("/generator")
async def generator(request, tag: str = ""):
    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            happened.append(tag)

    return {"number": await anext(numbers())}


@api.get("/background")
async def background(request, tag: str = ""):
    async def later():
        await asyncio.sleep(0)
        happened.append(tag)

    tasks.append(asyncio.get_running_loop().create_task(later()))
    return {"seen": seen.get()}


async def nothing():
    pass


@api.get("/left-behind")
async def left_behind(request, tag: str = ""):
    """Awaits, and does not suspend."""
    translation.activate("de")

    async def later():
        await asyncio.sleep(0)
        happened.append(f"{tag} {gettext_lazy('Monday')}")

    tasks.append(asyncio.get_running_loop().create_task(later()))
    await nothing()
    return {"task": asyncio.current_task() is not None}


tasks: list[asyncio.Task[None]] = []


class Kept:
    pass


kept: list[weakref.ref[Kept]] = []


@api.get("/cycle")
def cycle(request):
    request.state["request"] = request
    request.state["kept"] = thing = Kept()
    kept.append(weakref.ref(thing))
    return {}


@api.get("/stats")
def stats(request):
    return pybolt.stats()


@pytest.fixture(scope="module")
def client():
    with Client(api) as client:
        yield client


@pytest.fixture(params=["queued", "promoted"])
def warm(request, client):
    """Calls a URL until its route runs inline, or not at all."""

    def warm(url):
        for _ in range(64 if request.param == "promoted" else 0):
            client.get(url)
        happened.clear()

    return warm


@pytest.mark.parametrize("url", ["/counted", "/counted-sync"])
def test_parameters_are_made_in_a_context_of_the_request_s_own(client, url):
    for _ in range(80):
        assert client.post(url, json={}).json() == {"number": 1, "seen": 1}
    assert client.get("/read").json() == {"seen": 0}


@pytest.mark.parametrize("url", ["/weekday", "/weekday?suspend=true"])
def test_an_answer_is_encoded_in_the_handler_s_context(client, url):
    for _ in range(80):
        assert client.get(url).json() == {"day": "Montag"}


@pytest.mark.parametrize("url", ["/stream", "/stream-async"])
def test_a_stream_sees_what_its_handler_has_set(client, url):
    for _ in range(80):
        assert client.get(url).body == b"7 Montag"


def test_a_timer_fires_whatever_thread_it_was_set_on(client, warm):
    warm("/timer")
    time.sleep(0.1)
    happened.clear()
    for count in range(1, 6):
        client.get("/timer")
        assert within_a_second(lambda count=count: len(happened) == count)


def test_a_generator_that_is_left_behind_is_closed(client, warm):
    warm("/generator")
    for tag in ("one", "two", "three"):
        assert client.get(f"/generator?tag={tag}").json() == {"number": 1}
        assert within_a_second(lambda tag=tag: (gc.collect(), tag in happened)[1])


def test_a_task_that_is_left_behind_goes_on(client, warm):
    warm("/background")
    for tag in ("one", "two", "three"):
        assert client.get(f"/background?tag={tag}").json() == {"seen": 0}
        assert within_a_second(lambda tag=tag: tag in happened)


def test_a_task_that_is_left_behind_keeps_its_language(client, warm):
    warm("/left-behind")
    for tag in ("one", "two", "three"):
        assert client.get(f"/left-behind?tag={tag}").json() == {"task": True}
        assert within_a_second(lambda tag=tag: f"{tag} Montag" in happened)


def test_a_request_that_its_state_refers_to_is_collected(client):
    for _ in range(50):
        client.get("/cycle")
    gc.collect()
    assert [ref() for ref in kept if ref() is not None] == []


def within_a_second(holds):
    deadline = time.monotonic() + 1
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
