"""Signatures compiled into calls: what is accepted, what is refused, and what is told of it."""

import dataclasses
import decimal
import enum
import functools
import threading
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest

from pybolt import Body, DeclarationError, Form, Header, Path, Query
from pybolt.exceptions import MalformedBody, RequestValidationError, UnsupportedMediaType
from pybolt.params import bind

SECRET = "5ECRET77"


class Values(dict):
    def getlist(self, name):
        return self.get(name, [])


class Request:
    """As much of a request as parameters look at."""

    def __init__(self, body=b"", content_type="application/json", query=None, **params):
        self.body, self.content_type, self.params = body, content_type, params
        self.query = self.headers = self.cookies = Values(query or {})


def call(handler, request, path=(), methods=("POST",)):
    return bind(handler, list(path), list(methods)).call(request)


def refused(handler, request, **kwargs):
    with pytest.raises(RequestValidationError) as caught:
        call(handler, request, **kwargs)
    assert SECRET not in str(caught.value.problem())
    return [(e["in"], e["field"], e["message"]) for e in caught.value.errors]


def test_a_handler_of_the_request_alone_is_returned_untouched():
    def handler(request): ...

    assert bind(handler, [], ["GET"]).call is handler


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("1234567890123456789", 1234567890123456789),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_integers_of_64_bits(text, value):
    def handler(request, n: int):
        return n

    assert call(handler, Request(query={"n": [text]})) == value


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "+1", "1e3", "1.0", "0x1", "1_000", "\u0661", "9223372036854775808", "9" * 99],
)
def test_what_is_no_integer(text):
    def handler(request, n: int): ...

    found = refused(handler, Request(query={"n": [text]}))
    assert found == [("query", "n", "expected an integer")]


@pytest.mark.parametrize("text", ["nan", "inf", "-Infinity", "1e999", "1_0.5", "\u0661.5", ""])
def test_what_is_no_number(text):
    def handler(request, n: float): ...

    assert refused(handler, Request(query={"n": [text]})) == [("query", "n", "expected a number")]


@pytest.mark.parametrize("text", ["NaN", "1e999999", "Infinity", "1" * 101])
def test_what_is_no_decimal(text):
    def handler(request, n: decimal.Decimal): ...

    [(_, field, _)] = refused(handler, Request(query={"n": [text]}))
    assert field == "n"


def test_declared_bounds_hold_outside_of_bodies_as_well():
    Positive = Annotated[int, msgspec.Meta(ge=1, le=10)]

    def handler(
        request,
        n: Positive,
        ids: Annotated[list[Positive], Query(), msgspec.Meta(max_length=2)] = [],  # noqa: B006
        name: Annotated[str, msgspec.Meta(max_length=3)] | None = None,
    ):
        return n, ids, name

    good = Request(query={"n": ["10"], "ids": ["1", "2"], "name": ["abc"]})
    assert call(handler, good) == (10, [1, 2], "abc")
    bad = Request(query={"n": ["577"], "ids": ["1", "2", "3"], "name": [SECRET]})
    assert refused(handler, bad) == [
        ("query", "n", "expected int <= 10"),
        ("query", "ids", "expected array of length <= 2"),
        ("query", "name", "expected str of length <= 3"),
    ]
    assert refused(handler, Request(query={"n": ["1"], "ids": ["0"]}))[0][1] == "ids"


def test_optional_lists_defaults_and_what_is_missing():
    def handler(request, a: int, b: list[int] | None = None, c: int | None = None, d: int = 4):
        return a, b, c, d

    assert call(handler, Request(query={"a": ["1"], "b": ["2", "3"]})) == (1, [2, 3], None, 4)
    assert refused(handler, Request()) == [("query", "a", "is required")]


def test_a_list_without_a_default_is_required():
    def handler(request, a: list[int], b: tuple[int, ...] = ()):
        return a, b

    assert call(handler, Request(query={"a": ["1"], "b": ["2", "3"]})) == ([1], (2, 3))
    assert refused(handler, Request()) == [("query", "a", "is required")]


def test_requests_do_not_share_a_default():
    def handler(request, tags: list[str] = [], body: dict[str, list[int]] = {"a": []}):  # noqa: B006
        tags.append("x")
        body["a"].append(1)
        return tags, body

    for _ in range(2):
        assert call(handler, Request()) == (["x"], {"a": [1]})


def test_a_default_that_cannot_be_copied_is_handed_over_as_it_is():
    lock = threading.Lock()

    def handler(request, n: int | None = lock):
        return n

    assert call(handler, Request()) is lock


def test_the_whole_query_as_one_parameter():
    def handler(request, page: Annotated[Page, Query()]):
        return page

    query = {"size": ["5"], "tag": ["a", "b"]}
    assert call(handler, Request(query=query), methods=["GET"]) == Page(5, ["a", "b"])
    assert refused(handler, Request(query={"size": ["577"], SECRET: ["1"]})) == [
        ("query", "size", "expected int <= 10"),
        ("query", "tag", "is required"),
        ("query", "", "contains an unknown field"),
    ]


def test_a_list_of_structs_is_the_body_as_a_struct_is():
    def handler(request, items: list[Inner]):
        return items

    assert call(handler, Request(b"[{}]")) == [Inner()]


def test_keyword_only_parameters_and_names_of_headers():
    def handler(request, *, x_trace: Annotated[str, Header()], item: Annotated[int, Path("id")]):
        return x_trace, item

    request = Request(query={"x-trace": ["t"]}, id="7")
    assert call(handler, request, path=["id"]) == ("t", 7)


class Page(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(le=10)]
    tag: list[str]


class Kind(enum.Enum):
    A = "a"


class Inner(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    kind: Kind = Kind.A
    size: Literal[1, 2] = 1
    mode: Literal["x", "y"] = "x"


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]
    inner: Inner = Inner()
    extra: dict[str, int] = {}
    many: list[Inner] = []


class Checked(msgspec.Struct):
    number: str

    def __post_init__(self):
        int(self.number)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", ("name", "is required")),
        (b'{"name": 5}', ("name", "expected str, got int")),
        (b'{"name": "5ECRET77"}', ("name", "expected str matching regex '^[a-z]+$'")),
        (b'{"name": "a", "inner": {"kind": "5ECRET77"}}', ("inner.kind", "is none of")),
        (b'{"name": "a", "inner": {"mode": "a\'5ECRET77\'b"}}', ("inner.mode", "is none of")),
        (b'{"name": "a", "inner": {"size": 577}}', ("inner.size", "is none of")),
        (
            b'{"name": "a", "inner": {"mode": "q - at `$.5ECRET77`"}}',
            ("inner.mode", "is none of"),
        ),
        (b'{"name": "a", "inner": {"5ECRET77": 1}}', ("inner", "contains an unknown field")),
        (b'{"name": "a", "z - at `$.5ECRET77": 1}', ("", "contains an unknown field")),
        (b'{"name": "a", "5ECRET77": 1}', ("", "contains an unknown field")),
        (b'{"name": "a", "extra": {"5ECRET77": "x"}}', ("extra[...]", "expected int, got str")),
        (b'{"name": "a", "many": [{}, {"size": 3}]}', ("many[1].size", "is none of")),
        (b"[]", ("", "expected object, got array")),
        (b"null", ("", "expected object, got null")),
    ],
)
def test_a_body_error_names_the_field_and_echoes_nothing(body, expected):
    def handler(request, body: Outer): ...

    [(place, field, message)] = refused(handler, Request(body))
    assert (place, field) == ("body", expected[0])
    assert message.startswith(expected[1])
    assert "577" not in message


def test_what_an_apps_own_check_says_is_not_passed_on():
    def handler(request, body: Checked): ...

    assert refused(handler, Request(b'{"number": "5ECRET77"}')) == [("body", "", "is not valid")]


def test_null_is_a_body_where_none_is_declared():
    def handler(request, body: Inner | None):
        return body

    assert call(handler, Request(b"null")) is None
    assert call(handler, Request(b"{}")) == Inner()


@dataclasses.dataclass
class Login:
    user: str
    age: Annotated[int, msgspec.Meta(ge=18)]
    tags: list[str]
    note: str | None = None


class Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    first_name: str


class Typed(TypedDict):
    a: int


FORM = "application/x-www-form-urlencoded"


def test_forms():
    def handler(request, form: Annotated[Login, Form()]):
        return form

    body = b"user=J%C3%BCrgen+B&age=18&tags=a&tags=b"
    expected = Login("Jürgen B", 18, ["a", "b"])
    assert call(handler, Request(body, FORM)) == expected
    assert refused(handler, Request(b"age=17", FORM)) == [
        ("body", "user", "is required"),
        ("body", "age", "expected int >= 18"),
        ("body", "tags", "is required"),
    ]


def test_forms_of_other_kinds():
    def strict(request, form: Annotated[Strict, Form()]):
        return form

    def typed(request, form: Annotated[Typed, Form()]):
        return form

    assert call(strict, Request(b"firstName=a", FORM)) == Strict("a")
    assert refused(strict, Request(b"firstName=a&5ECRET77=1", FORM)) == [
        ("body", "", "contains an unknown field")
    ]
    assert call(typed, Request(b"a=1&b=2", FORM)) == {"a": 1}


def test_bodies_that_are_not_what_they_should_be():
    def form(request, form: Annotated[Typed, Form()]): ...
    def json(request, body: Outer): ...

    with pytest.raises(UnsupportedMediaType):
        call(form, Request(b"{}"))
    with pytest.raises(UnsupportedMediaType):
        call(json, Request(b"a=1", FORM))
    for bad in (b"a=%ff", b"\xff=1", b"&".join(b"a=1" for _ in range(1001))):
        with pytest.raises(MalformedBody):
            call(form, Request(bad, FORM))
    for bad in (b"", b"{", b"nan", b"\xff", b'{"name": "\xff"}'):
        with pytest.raises(MalformedBody):
            call(json, Request(bad))


def test_a_body_nested_without_end_is_malformed():
    def handler(request, body): ...

    with pytest.raises(MalformedBody):
        call(handler, Request(b"[" * 100_000))


class Plain: ...


@dataclasses.dataclass
class Odd:
    number: complex


def no_request(): ...
def keyword_request(*, request): ...
def rest(request, *args): ...
def unknown(request, x: "Nowhere"): ...  # noqa: F821
def union(request, x: int | str): ...
def plain(request, body: Plain): ...
def odd(request, body: Annotated[Odd, Body()]): ...
def no_annotation(request, x: "not valid!"): ...  # noqa: F722
def raising_annotation(request, x: "[][0]"): ...
def pair(request, x: tuple[int, str]): ...
def single(request, x: tuple[int]): ...
def bare(request, x: list): ...
def query_default(request, x: Annotated[Inner, Query()] = None): ...
def two_bodies(request, body: Outer, other: Inner): ...
def two_places(request, x: Annotated[int, Query(), Header()]): ...
def not_in_path(request, x: Annotated[int, Path()]): ...
def bad_bound(request, x: Annotated[str, msgspec.Meta(ge=1)]): ...
def scalar_form(request, x: Annotated[int, Form()]): ...
def generator(request):
    yield 1


@pytest.mark.parametrize(
    "handler",
    [
        no_annotation, raising_annotation, pair, single, bare, query_default,
        no_request, keyword_request, rest, unknown, union, plain, odd, two_bodies, two_places,
        not_in_path, bad_bound, scalar_form, generator,
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_said_at_startup(handler):
    with pytest.raises(DeclarationError):
        bind(handler, [], ["POST"])


def test_a_body_parameter_needs_the_body_whole():
    def handler(request, body: Outer): ...

    with pytest.raises(DeclarationError, match="stream"):
        bind(handler, [], ["POST"], "stream")


@pytest.mark.parametrize(
    ("methods", "annotation", "expected"),
    [
        (["GET"], None, "none"),
        (["GET", "HEAD"], None, "none"),
        (["GET", "POST"], None, "buffer"),
        (["DELETE"], None, "buffer"),
        (["GET"], Annotated[Any, Body()], "buffer"),
    ],
)
def test_which_bodies_the_engine_collects(methods, annotation, expected):
    def handler(request, x=None): ...

    if annotation is not None:
        handler.__annotations__["x"] = annotation
    assert bind(handler, [], methods).request_body == expected


def _decorated(handler):
    @functools.wraps(handler)
    async def wrapper(request):
        return await handler(request)

    return wrapper


async def _plain(request):
    return {}


async def _comprehends(request):
    return [number async for number in request]


async def _enters(request):
    async with request:
        return {}


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (_plain, False),
        (_decorated(_plain), True),
        (_comprehends, True),
        (_enters, True),
        (functools.partial(_plain), True),
        (lambda request: None, True),
    ],
)
def test_whether_a_coroutine_may_suspend_is_read_off_its_code(handler, expected):
    assert bind(handler, [], ["GET"]).awaits is expected


def test_an_async_handlers_parameters_are_refused_before_its_coroutine_is_made():
    async def handler(request, n: int): ...

    bound = bind(handler, [], ["GET"])
    assert bound.is_async
    with pytest.raises(RequestValidationError):
        bound.call(Request(query={"n": ["x"]}))
