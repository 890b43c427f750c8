"""Handlers that say what no handler may: lines inside header fields, frames, and bodies where there
are none."""

import json

import pybolt
from pybolt import HTTPError, Stream

SECOND = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"

#: What breaks a line of the head, or is no text of a field.
BROKEN = [
    "a\r\nx-injected: yes",
    "a\nx-injected: yes",
    "a\rx-injected: yes",
    "a\r\n x-injected: yes",
    "a\r\n\r\n" + SECOND,
    "a\n\n" + SECOND,
    "a\0b",
    "a\x0bb",
    "a\x1bb",
    "a\x7fb",
    "a\u010a\u010dx-injected: yes",
    "a\u2028b",
    "a\ud800b",
]

NAMES = [
    "x\r\nx-injected: yes\r\ny",
    "x\nx-injected",
    "x\r",
    "x\0",
    "x: y\r\nx-injected",
    "x:",
    ":x",
    "x y",
    " x",
    "x ",
    "",
    "x\u00e9",
    "x\u010a",
    "x(y)",
    "x\x7f",
]

FRAMES = [
    {"Content-Length": "0"},
    {"Content-Length": "3"},
    {"Content-Length": "99"},
    {"Content-Length": "+5"},
    {"Content-Length": "5, 5"},
    {"Content-Length": "-1"},
    {"Content-Length": "99999999999999999999999"},
    {"content-length": "5", "Content-Length": "6"},
    {"Transfer-Encoding": "chunked"},
    {"Transfer-Encoding": "gzip, chunked"},
    {"Transfer-Encoding": "identity", "Content-Length": "3"},
    {"Connection": "close"},
    {"Connection": "upgrade", "Upgrade": "websocket"},
    {"Connection": "content-length"},
    {"Keep-Alive": "timeout=0"},
    {"Trailer": "x"},
    {"Proxy-Connection": "close"},
]


def fail(headers):
    raise HTTPError(400, headers=headers)


def django(headers):
    from django.http import HttpResponse

    response = HttpResponse(b"12345")
    for name, value in headers.items():
        # What Django checks itself is left out, as an app that reaches below it would do.
        response.headers._store[name.lower()] = (name, value)
    return response


def later(headers):
    async def chunks():
        yield b"123"
        yield b"45"

    return Stream(chunks, headers=headers)


WAYS = {
    "json": lambda headers: pybolt.JSON("123", headers=headers),
    "bytes": lambda headers: pybolt.Bytes(b"12345", headers=headers),
    "stream": lambda headers: Stream([b"123", b"45"], headers=headers),
    "async stream": later,
    "redirect": lambda headers: pybolt.Redirect("/next", headers=headers),
    "error": fail,
    "django": django,
}


def asked(request):
    return json.loads(request.query["what"])


def say(request):
    way, headers = asked(request)
    return WAYS[way](headers)


async def say_async(request):
    return say(request)


def typed(request):
    """The content type, the name of a file and the target of a redirect are header values too."""
    way, text = asked(request)
    match way:
        case "type":
            return pybolt.Bytes(b"12345", content_type=text)
        case "file":
            return pybolt.File(__file__, filename=text)
        case _:
            return pybolt.Redirect("/next?" + text)


def bodied(request, status: int):
    """A body under any status, by the ways that there are."""
    way, headers = asked(request)
    second = SECOND.encode()
    match way:
        case "bytes":
            return pybolt.Bytes(second, status=status, headers=headers)
        case "stream":
            return Stream([second], status=status, headers=headers)
        case "tuple":
            return status, second
        case _:
            raise HTTPError(status, headers=headers)


def next_one(request):
    return "next"


def file(request):
    return pybolt.File(__file__)
