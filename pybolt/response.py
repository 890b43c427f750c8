"""What a handler may return, and how it becomes status, headers and body."""

from __future__ import annotations

import dataclasses
import mimetypes
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from .encoding import UnencodableResult, encode

Rendered = tuple[int, list[tuple[str, str]], Any]


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer in full. ``headers`` are added to the content type; ``status`` is the code."""

    content: Any = None
    status: int = dataclasses.field(default=200, kw_only=True)
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, kw_only=True)
    content_type: str | None = dataclasses.field(default=None, kw_only=True)

    def body(self) -> Any:
        """The body: ``bytes``, or a pair that the engine knows."""
        raise NotImplementedError

    def default_type(self) -> str | None:
        """The content type where none was given."""
        return None

    def render(self) -> Rendered:
        """Status, header pairs and body."""
        headers = [(name, _checked(name, value)) for name, value in self.headers.items()]
        content_type = self.content_type or self.default_type()
        if content_type and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("content-type", _checked("content-type", content_type)))
        return self.status, headers, self.body()


class JSON(Response):
    """A JSON answer of anything that a handler may return as dict, list, Struct, ..."""

    def body(self) -> bytes:
        return encode(self.content)

    def default_type(self) -> str:
        return "application/json"


class Text(Response):
    """A plain text answer."""

    def body(self) -> bytes:
        return str(self.content).encode()

    def default_type(self) -> str:
        return "text/plain; charset=utf-8"


class HTML(Text):
    """An HTML answer."""

    def default_type(self) -> str:
        return "text/html; charset=utf-8"


class Bytes(Response):
    """An answer of raw bytes."""

    def body(self) -> bytes:
        return bytes(self.content)

    def default_type(self) -> str:
        return "application/octet-stream"


@dataclasses.dataclass(frozen=True)
class Redirect(Response):
    """A redirection to ``content``, a URL; 302 unless ``status`` says otherwise."""

    status: int = dataclasses.field(default=302, kw_only=True)

    def body(self) -> bytes:
        return b""

    def render(self) -> Rendered:
        location = quote(str(self.content), safe="/#%[]=:;$&()+,!?*@'~")
        status, headers, body = super().render()
        return status, [*headers, ("location", _checked("location", location))], body


@dataclasses.dataclass(frozen=True)
class File(Response):
    """The regular file at ``content``, a path; read by Rust. ``filename``: offer it as download."""

    filename: str | None = dataclasses.field(default=None, kw_only=True)

    def body(self) -> tuple[str, str]:
        return "file", os.fspath(self.content)

    def default_type(self) -> str:
        guessed, encoding = mimetypes.guess_type(os.fspath(self.content))
        return guessed if guessed and not encoding else "application/octet-stream"

    def render(self) -> Rendered:
        status, headers, body = super().render()
        if self.filename is not None:
            headers.append(
                ("content-disposition", f"attachment; filename*=UTF-8''{quote(self.filename, '')}")
            )
        return status, headers, body


class Stream(Response):
    """A streamed answer: an iterable or async iterable of ``bytes`` or ``str``, or a callable that
    gives one. It is pulled only as fast as the client reads."""

    def body(self) -> tuple[str, Any]:
        source = self.content() if callable(self.content) else self.content
        if isinstance(source, AsyncIterable):
            return "stream_async", source.__aiter__()
        if isinstance(source, Iterable):
            return "stream_sync", iter(source)
        raise UnencodableResult(f"Stream of {type(source).__qualname__} is not iterable")

    def default_type(self) -> str:
        return "application/octet-stream"


def _checked(name: str, value: str) -> str:
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(f"the value of the header {name!r} must not contain a line break")
    if not value.isascii() and max(value) > "\xff":
        raise ValueError(f"the value of the header {name!r} has characters beyond Latin-1")
    return value


def _from_django(response: Any) -> Rendered:
    if not getattr(response, "is_rendered", True):
        response = response.render()
    headers = [(name, _checked(name, value)) for name, value in response.items()]
    headers += [("set-cookie", cookie.OutputString()) for cookie in response.cookies.values()]
    if not response.streaming:
        body = bytes(response.content)
        response.close()
        return response.status_code, headers, body
    kind = "stream_async" if response.is_async else "stream_sync"
    content = response.streaming_content
    source = (_ClosingAsync if response.is_async else _Closing)(content, response)
    return response.status_code, headers, (kind, source)


class _Closing:
    """A Django response's chunks; closes the response with them, even before the first one."""

    def __init__(self, content: Any, response: Any) -> None:
        self._chunks = iter(content)
        self._response = response

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._chunks)

    def close(self) -> None:
        """Closes the chunks' generator, where it is one, and the response."""
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            self._response.close()


class _ClosingAsync:
    """The same for asynchronous chunks."""

    def __init__(self, content: Any, response: Any) -> None:
        self._chunks = aiter(content)
        self._response = response

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Closes the chunks' generator, where it is one, and the response."""
        try:
            close = getattr(self._chunks, "aclose", None)
            if close is not None:
                await close()
        finally:
            self._response.close()


def _plain(value: Any) -> Rendered:
    if value is None:
        return 204, [], b""
    if isinstance(value, str):
        return 200, [("content-type", "text/plain; charset=utf-8")], value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return 200, [("content-type", "application/octet-stream")], bytes(value)
    return 200, [("content-type", "application/json")], encode(value)


def render(value: Any) -> Rendered:
    """Whatever a handler returned, as status, header pairs and body.

    Raises :class:`UnencodableResult` for what is no answer. A status below 200 is none: another
    one has to follow it (RFC 9110, 15.2).
    """
    rendered = _render(value)
    if not 200 <= rendered[0] <= 599:
        raise UnencodableResult(
            f"cannot return {rendered[0]}, which is not the status of an answer: write 200 to 599"
        )
    return rendered


def _render(value: Any) -> Rendered:
    if isinstance(value, Response):
        return value.render()
    if isinstance(value, tuple):
        if len(value) != 2 or type(value[0]) is not int:
            raise UnencodableResult("cannot return a tuple that is not (status, value)")
        _, headers, body = _render(value[1])
        return value[0], headers, body
    if hasattr(value, "status_code") and hasattr(value, "streaming"):
        return _from_django(value)
    if _is_data(value):
        return _plain(value)
    from django.utils.functional import Promise

    if isinstance(value, Promise):
        return _plain(str(value))
    raise UnencodableResult(f"cannot return {type(value).__qualname__}")


def _is_data(value: Any) -> bool:
    kinds: tuple[type, ...] = (
        str,
        bytes,
        bytearray,
        memoryview,
        dict,
        list,
        msgspec.Struct,
        Mapping,
    )
    if value is None or isinstance(value, kinds):
        return True
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return True
    from django.db.models.query import QuerySet

    return isinstance(value, QuerySet)


class _Rendered(Response):
    """An answer that was rendered before."""

    def render(self) -> Rendered:
        rendered: Rendered = self.content
        return rendered


async def render_elsewhere(value: Any) -> Response:
    """The answer ``value`` of an async handler, rendered where its sync code runs, as it reads
    from a database, as a queryset does, which Django allows on no event loop."""
    from asgiref.sync import sync_to_async

    return _Rendered(await sync_to_async(render)(value))


Render = Callable[[Any], Rendered]
