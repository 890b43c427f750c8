"""What becomes of what a handler returns: the parts that need no engine."""

import dataclasses
import datetime
import decimal
import enum
import json
import uuid

import msgspec
import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils.translation import gettext_lazy

from pybolt import JSON, File, Redirect, Stream
from pybolt.encoding import UnencodableResult, encode
from pybolt.response import render


class Colour(str, enum.Enum):  # noqa: UP042
    RED = "red"


class Tagged(msgspec.Struct, tag=True, rename="camel", omit_defaults=True):
    first_name: str
    price: decimal.Decimal = decimal.Decimal(0)
    absent: int | msgspec.UnsetType = msgspec.UNSET


@dataclasses.dataclass
class Point:
    x: int
    at: datetime.date


HUGE = 2**70
VALUES = [
    uuid.UUID(int=1),
    float("nan"),
    -1.5,
    Colour.RED,
    Tagged("a", decimal.Decimal("1.50")),
    Point(1, datetime.date(2026, 1, 31)),
    (1, {2: [None, True]}),
    {uuid.UUID(int=2): 1, True: 2, None: 3, datetime.date(2026, 1, 31): 4},
    {"a"},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_huge_integer_beside_a_value_does_not_change_how_that_is_written(value):
    assert json.loads(encode([value, HUGE])) == [*json.loads(encode([value])), HUGE]


def test_a_struct_is_written_as_msgspec_writes_it():
    assert encode(Tagged("a")) == b'{"type":"Tagged","firstName":"a"}'
    nested = Tagged("a", decimal.Decimal("1.50"))
    assert encode([nested]) == b'[{"type":"Tagged","firstName":"a","price":"1.50"}]'


def test_lone_surrogates_are_escaped():
    assert encode(["\ud800"]) == b'["\\ud800"]'


def test_what_refers_to_itself_is_an_error():
    value = []
    value.append(value)
    with pytest.raises((RecursionError, ValueError)):
        encode(value)


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 1000, -1])
def test_a_status_that_is_no_answers_is_refused(status):
    for value in (JSON({}, status=status), (status, {}), HttpResponse(status=418)):
        if isinstance(value, HttpResponse):
            value.status_code = status
        with pytest.raises(UnencodableResult, match="status"):
            render(value)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), "object"),
        ({1, 2}, "set"),
        (1, "int"),
        (True, "bool"),
        (1.5, "float"),
        ((200, 1), "int"),
        (iter([]), "list_iterator"),
        ((200,), "a tuple that is not"),
        ((200, {}, {}), "a tuple that is not"),
        ((True, {}), "a tuple that is not"),
    ],
    ids=repr,
)
def test_what_is_no_answer_is_named(value, named):
    with pytest.raises(UnencodableResult, match=f"^cannot return {named}"):
        render(value)


def test_a_lazy_string_is_text():
    expected = (200, [("content-type", "text/plain; charset=utf-8")], b"yes")
    assert render(gettext_lazy("yes")) == expected


def test_a_template_response_is_rendered():
    class Template:
        def render(self, context, request):
            return f"hello {context['name']}"

    response = SimpleTemplateResponse(Template(), {"name": "you"})
    response.add_post_render_callback(lambda done: done.headers.setdefault("x-done", "1"))
    status, headers, body = render(response)
    assert (status, body) == (200, b"hello you")
    assert ("x-done", "1") in headers


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0"])
def test_header_values_break_no_line(value):
    for made in (JSON({}, headers={"x": value}), JSON({}, content_type=value)):
        with pytest.raises(ValueError, match="line break"):
            render(made)


def test_header_values_are_latin_1_and_others_are_named():
    assert ("x", "\xe9") in render(JSON({}, headers={"x": "\xe9"}))[1]
    with pytest.raises(ValueError, match="'x-price' has characters beyond Latin-1"):
        render(JSON({}, headers={"x-price": "5 \u20ac"}))


def test_a_redirect_stays_one_header():
    _, headers, _ = render(Redirect("/a b\r\nset-cookie: x"))
    assert ("location", "/a%20b%0D%0Aset-cookie:%20x") in headers


def test_a_files_name_is_quoted():
    _, headers, body = render(File("/tmp/x.txt", filename='a"; b\r\n.txt'))
    assert body == ("file", "/tmp/x.txt")
    [disposition] = [value for name, value in headers if name == "content-disposition"]
    assert disposition == "attachment; filename*=UTF-8''a%22%3B%20b%0D%0A.txt"


def test_a_stream_takes_iterables_and_what_makes_them():
    async def produce():
        yield b"a"

    assert render(Stream([b"a"]))[2][0] == "stream_sync"
    assert render(Stream(lambda: [b"a"]))[2][0] == "stream_sync"
    assert render(Stream(produce))[2][0] == "stream_async"
    with pytest.raises(UnencodableResult, match="int"):
        render(Stream(5))


class Closable(StreamingHttpResponse):
    closes = 0

    def close(self):
        self.closes += 1
        super().close()


@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_django_response_is_closed_however_much_of_it_was_read(read):
    response = Closable(iter([b"a", b"b"]))
    kind, source = render(response)[2]
    assert kind == "stream_sync"
    assert [next(source) for _ in range(read)] == [b"a", b"b"][:read]
    source.close()
    assert response.closes == 1


@pytest.mark.parametrize("read", [0, 1])
def test_an_asynchronous_one_as_well(read):
    async def produce():
        yield b"a"
        yield b"b"

    async def consume(source):
        found = [await anext(source) for _ in range(read)]
        await source.aclose()
        return found

    import asyncio

    response = Closable(produce())
    kind, source = render(response)[2]
    assert kind == "stream_async"
    assert asyncio.run(consume(source)) == [b"a"][:read]
    assert response.closes == 1
