"""What handlers get and what they may return, through the engine in this process."""

import asyncio
import contextvars
import dataclasses
import datetime
import decimal
import enum
import uuid
from collections import UserDict
from typing import Annotated, Literal

import msgspec
import pytest
from django.utils.translation import gettext_lazy

from pybolt import (
    HTML,
    JSON,
    BoltAPI,
    Bytes,
    Header,
    HTTPError,
    Query,
    Redirect,
    Text,
)
from pybolt.testing import Client

api = BoltAPI()
seen: contextvars.ContextVar[int] = contextvars.ContextVar("seen", default=0)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Item(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    price: decimal.Decimal
    tags: list[str] = []


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Page(msgspec.Struct):
    size: int
    tag: list[str] = []


class Hostile(UserDict):
    """Encoding it asks it once."""

    asked = 0

    def __iter__(self):
        Hostile.asked += 1
        raise LookupError("no")


MOMENT = datetime.datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=datetime.UTC)
RETURNED = {
    "dict": ({"a": 1}, 200, "application/json", b'{"a":1}'),
    "list": ([1, 2], 200, "application/json", b"[1,2]"),
    "str": ("hällo", 200, "text/plain; charset=utf-8", "hällo".encode()),
    "bytes": (b"\x00\x01", 200, "application/octet-stream", b"\x00\x01"),
    "lazy": (gettext_lazy("yes"), 200, "text/plain; charset=utf-8", b"yes"),
    "none": (None, 204, None, b""),
    "struct": (
        Item("a", decimal.Decimal("1.50")),
        200,
        "application/json",
        b'{"name":"a","price":"1.50","tags":[]}',
    ),
    "dataclass": (Point(1, 2), 200, "application/json", b'{"x":1,"y":2}'),
    "tuple": ((418, {"a": 1}), 418, "application/json", b'{"a":1}'),
    "json": (JSON([1], status=201), 201, "application/json", b"[1]"),
    "text": (Text("a"), 200, "text/plain; charset=utf-8", b"a"),
    "html": (HTML("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
    "raw": (Bytes(b"a", content_type="image/png"), 200, "image/png", b"a"),
    "redirect": (Redirect("/x y", status=308), 308, None, b""),
    "moment": ({"t": MOMENT}, 200, "application/json", b'{"t":"2026-01-31T12:00:00.123Z"}'),
    "uuid": (
        [uuid.UUID(int=1)],
        200,
        "application/json",
        b'["00000000-0000-0000-0000-000000000001"]',
    ),
    "big": ([2**70], 200, "application/json", b"[1180591620717411303424]"),
}


@api.get("/returned/{kind}")
def returned(request, kind: str):
    return RETURNED[kind][0]


@api.get("/returned-async/{kind}")
async def returned_async(request, kind: str):
    await asyncio.sleep(0)
    return RETURNED[kind][0]


@api.get("/junk")
def junk(request):
    return object()


@api.get("/raise/{kind}")
def raises(request, kind: str):
    class Hostile(Exception):
        def __str__(self):
            raise ValueError("no")

    def deep():
        return deep()

    if kind == "recursion":
        deep()
    kinds = {
        "exception": ValueError("secret"),
        "base": BaseException("secret"),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "memory": MemoryError(),
        "hostile": Hostile(),
        "http": HTTPError(409, "taken", headers={"x-why": "so"}),
    }
    raise kinds[kind]


@api.get("/raise-async/{kind}")
async def raises_async(request, kind: str):
    await asyncio.sleep(0)
    return raises(request, kind)


@api.get("/convert/{number}")
def convert(
    request,
    number: int,
    ratio: float = 1.0,
    on: bool = False,
    colour: Colour | None = None,
    day: datetime.date | None = None,
    key: uuid.UUID | None = None,
    tag: list[str] = [],  # noqa: B006
    mode: Literal["a", "b"] = "a",
    agent: Annotated[str | None, Header("User-Agent")] = None,
):
    return [number, ratio, on, colour, day, key, tag, mode, agent]


@api.post("/items")
async def create(request, body: Item):
    return JSON({"name": body.name, "price": body.price}, status=201)


@api.post("/items/{item_id}")
def update(request, item_id: int, body: Item):
    return {"id": item_id, "name": body.name}


@api.route("/mirror", methods=["GET", "POST", "PUT"])
def mirror(request):
    return {
        "method": request["method"],
        "path": request.path,
        "body": request["body"].decode(),
        "query": request.query.items(),
        "tags": request.query.getlist("tag"),
        "agent": request.headers.get("User-Agent"),
        "twice": request.headers.getlist("x-two"),
        "missing": "nope" in request.headers,
        "cookie": request.cookies.get("a"),
        "client": request.client,
        "type": request.content_type,
        "keys": "body" in request,
    }


@api.get("/context")
def context(request):
    before = seen.get()
    seen.set(before + 1)
    return {"before": before}


@api.get("/context-async")
async def context_async(request):
    before = seen.get()
    seen.set(before + 1)
    await asyncio.sleep(0)
    return {"before": before, "after": seen.get(), "task": asyncio.current_task() is not None}


@api.get("/named/{name}")
def named(request, name: str):
    return JSON({}, headers={"x-name": name})


@api.get("/hostile")
def hostile(request):
    return {"a": Hostile()}


@api.post("/any")
def any_body(request, body):
    return {"body": body}


@api.post("/json")
def read_json(request):
    return {"body": request.json()}


@api.get("/pages")
def pages(request, page: Annotated[Page, Query()]):
    return page


@api.get("/timeouts")
async def timeouts(request):
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        first = group.create_task(asyncio.sleep(0, "a"))
    return {"first": first.result()}


@pytest.fixture(scope="module")
def client():
    with Client(api) as client:
        yield client


@pytest.mark.parametrize("path", ["/returned", "/returned-async"])
@pytest.mark.parametrize("kind", RETURNED)
def test_everything_that_may_be_returned(client, path, kind):
    _, status, content_type, body = RETURNED[kind]
    response = client.get(f"{path}/{kind}")
    assert (response.status, response.headers.get("content-type")) == (status, content_type)
    assert response.body == body


def test_a_redirect_is_quoted(client):
    assert client.get("/returned/redirect").headers["location"] == "/x%20y"


def test_junk_is_500_and_the_log_names_handler_and_type(client, caplog):
    response = client.get("/junk")
    assert response.status == 500
    assert response.json()["type"] == "urn:pybolt:problem:internal"
    [record] = caplog.records
    line = record.getMessage()
    assert line.startswith(f"handler {__name__}:junk failed GET /junk: cannot return object")
    assert record.exc_info[0].__name__ == "UnencodableResult"


def test_a_hook_that_fails_runs_once(client, caplog):
    Hostile.asked = 0
    assert client.get("/hostile").status == 500
    assert Hostile.asked == 1
    assert "LookupError" in caplog.text


@pytest.mark.parametrize("path", ["/raise", "/raise-async"])
@pytest.mark.parametrize(
    "kind", ["exception", "base", "exit", "interrupt", "recursion", "memory", "hostile"]
)
def test_whatever_is_raised_is_500_with_one_record(client, caplog, path, kind):
    response = client.get(f"{path}/{kind}")
    assert response.status == 500
    assert b"secret" not in response.body
    [record] = caplog.records
    assert "test_handlers.py" in record.exc_text
    assert ", in raises" in record.exc_text
    assert client.get("/returned/dict").status == 200


def test_an_http_error_is_a_problem(client, caplog):
    response = client.get("/raise/http")
    assert response.status == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-why"] == "so"
    assert response.json()["detail"] == "taken"
    assert not caplog.records


def test_parameters_are_converted(client):
    key = "00000000-0000-0000-0000-000000000001"
    response = client.get(
        f"/convert/7?ratio=2.5&on=true&colour=red&day=2026-01-31&key={key}&tag=a&tag=b&mode=b",
        headers={"User-Agent": "me"},
    )
    assert response.json() == [7, 2.5, True, "red", "2026-01-31", key, ["a", "b"], "b", "me"]


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("/convert/x", "number"),
        ("/convert/1e3", "number"),
        ("/convert/%D9%A1", "number"),
        ("/convert/1?ratio=nan", "ratio"),
        ("/convert/1?ratio=inf", "ratio"),
        ("/convert/1?on=maybe", "on"),
        ("/convert/1?colour=green", "colour"),
        ("/convert/1?day=31.1.2026", "day"),
        ("/convert/1?key=1", "key"),
        ("/convert/1?mode=c", "mode"),
        ("/convert/" + "9" * 40, "number"),
    ],
)
def test_a_bad_value_is_422_that_names_the_field_and_no_value(client, url, field):
    response = client.get(url)
    assert response.status == 422
    [error] = response.json()["errors"]
    assert error["field"] == field
    for value in ("green", "maybe", "31.1", "999"):
        assert value not in response.text


def test_all_bad_fields_are_named_at_once(client):
    errors = client.get("/convert/x?on=y&ratio=z").json()["errors"]
    assert [error["field"] for error in errors] == ["number", "ratio", "on"]


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b'{"name":"a","price":"1"}', "application/json", 201),
        (b'{"name":"a","price":"1"}', "application/vnd.api+json; charset=utf-8", 201),
        (b'{"name":"a","price":"1"}', "text/plain", 415),
        (b'{"name":"a"', "application/json", 400),
        (b"", "application/json", 400),
        (b'{"name":1,"price":"1"}', "application/json", 422),
        (b'{"name":"a","price":"1","x9y":1}', "application/json", 422),
        (b'{"price":"1"}', "application/json", 422),
    ],
)
def test_bodies(client, content, content_type, status):
    response = client.post("/items", content=content, headers={"content-type": content_type})
    assert response.status == status
    assert "x9y" not in response.text


@pytest.mark.parametrize("url", ["/items", "/any", "/json"])
@pytest.mark.parametrize("content", [b"\xff", b'{"name":"\xff","price":"1"}'])
def test_a_body_that_is_no_utf_8_is_malformed(client, caplog, url, content):
    response = client.post(url, content=content, headers={"content-type": "application/json"})
    assert (response.status, response.json()["type"]) == (400, "urn:pybolt:problem:malformed_body")
    assert not caplog.records


def test_the_whole_query_as_one_parameter(client):
    assert client.get("/pages?size=5&tag=a&tag=b").json() == {"size": 5, "tag": ["a", "b"]}
    [error] = client.get("/pages?size=x").json()["errors"]
    assert (error["in"], error["field"]) == ("query", "size")


def test_a_body_error_names_the_field(client):
    response = client.post("/items/1", json={"name": "a", "price": "1", "tags": [1]})
    assert response.status == 422
    assert response.json()["errors"][0]["field"] == "tags[0]"


def test_the_request_is_a_mapping_too(client):
    response = client.post(
        "/mirror?tag=a&tag=b&q=1%2B1+2",
        content=b"body",
        headers=[("USER-AGENT", "me"), ("x-two", "1"), ("x-two", "2"), ("cookie", "a=1; b=2")],
    )
    told = response.json()
    assert told == {
        "method": "POST",
        "path": "/mirror",
        "body": "body",
        "query": [["tag", "b"], ["q", "1+1 2"]],
        "tags": ["a", "b"],
        "agent": "me",
        "twice": ["1", "2"],
        "missing": False,
        "cookie": "1",
        "client": "127.0.0.1",
        "type": "",
        "keys": True,
    }


def test_contextvars_are_fresh_for_every_request(client):
    for _ in range(80):
        assert client.get("/context").json() == {"before": 0}
        told = client.get("/context-async").json()
        assert told == {"before": 0, "after": 1, "task": True}


class Marked(msgspec.Struct):
    """A parameter that leaves something behind while it is made."""

    n: int

    def __post_init__(self):
        made.append(seen.get())
        seen.set(seen.get() + 1)


made: list[int] = []


@api.post("/context-parameter")
def context_parameter(request, body: Marked):
    return {"seen": seen.get()}


def test_contextvars_are_fresh_for_parameters_as_well(client):
    made.clear()
    for _ in range(80):
        assert client.post("/context-parameter", json={"n": 1}).json() == {"seen": 1}
    assert made == [0] * 80


def test_header_values_are_sent_as_latin_1(client, caplog):
    assert client.get("/named/caf%C3%A9").headers["x-name"] == "caf\xe9"
    assert not caplog.records
    assert client.get("/named/%E2%82%AC").status == 500
    assert "beyond Latin-1" in caplog.text


def test_asyncio_tools_work_in_an_eager_task(client):
    for _ in range(80):
        assert client.get("/timeouts").json() == {"first": "a"}


def test_head_follows_get_and_options_lists_methods(client):
    head = client.request("HEAD", "/returned/dict")
    assert (head.status, head.body) == (200, b"")
    options = client.options("/mirror")
    assert options.status == 204
    assert options.headers["allow"] == "GET, HEAD, OPTIONS, POST, PUT"


def test_django_responses(client):
    from django.http import HttpResponse, StreamingHttpResponse

    from pybolt.response import render

    answer = HttpResponse("a", status=202, headers={"X-A": "1"})
    answer.set_cookie("c", "1")
    status, headers, body = render(answer)
    assert (status, body) == (202, b"a")
    assert ("X-A", "1") in headers
    assert any(name == "set-cookie" and value.startswith("c=1") for name, value in headers)
    status, _, (kind, source) = render(StreamingHttpResponse(iter([b"a", b"b"])))
    assert (status, kind, list(source)) == (200, "stream_sync", [b"a", b"b"])
