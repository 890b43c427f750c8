"""What a handler may return, and how it becomes status, headers and body."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import mimetypes
import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import orjson

OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_NON_STR_KEYS
)

Rendered = tuple[int, list[tuple[str, str]], Any]


class UnencodableResult(TypeError):
    """A handler returned something that is no answer."""


def _time(value: datetime.datetime | datetime.time) -> str:
    """ISO 8601 with milliseconds, as Django's encoder writes it."""
    text = value.isoformat()
    if value.microsecond:
        text = text[:23] + text[26:] if isinstance(value, datetime.datetime) else text[:12]
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def default(value: Any) -> Any:
    """Encodes what JSON has no type for, as ``DjangoJSONEncoder`` does."""
    if isinstance(value, datetime.datetime):
        return _time(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        if value.utcoffset() is not None:
            raise ValueError("JSON can't represent timezone-aware times.")
        return _time(value)
    if isinstance(value, datetime.timedelta):
        from django.utils.duration import duration_iso_string

        return duration_iso_string(value)
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, msgspec.Struct):
        return {
            name: getattr(value, attribute)
            for attribute, name in zip(
                value.__struct_fields__, value.__struct_encode_fields__, strict=True
            )
        }
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return _containers(value)


def _containers(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list):
        return list(value)
    if isinstance(value, set | frozenset):
        return list(value)
    from django.db.models.query import QuerySet
    from django.utils.functional import Promise

    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, QuerySet):
        return list(value)
    raise UnencodableResult(f"{type(value).__qualname__} has no JSON form")


def encode(value: Any) -> bytes:
    """``value`` as compact JSON (RFC 8259). Raises ``UnencodableResult`` or ``ValueError``."""
    try:
        return orjson.dumps(value, default, OPTIONS)
    except orjson.JSONEncodeError as error:
        cause = error.__cause__
        if isinstance(cause, UnencodableResult):
            raise cause from None
        # Integers beyond 64 bits, and deep nesting, are the standard library's.
        text = json.dumps(value, default=default, separators=(",", ":"), ensure_ascii=False)
        return text.encode()


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
        headers = [(name, _checked(value)) for name, value in self.headers.items()]
        content_type = self.content_type or self.default_type()
        if content_type and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("content-type", _checked(content_type)))
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
        return status, [*headers, ("location", _checked(location))], body


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


def _checked(value: str) -> str:
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError("a header value must not contain a line break")
    return value


def _from_django(response: Any) -> Rendered:
    headers = [(name, _checked(value)) for name, value in response.items()]
    headers += [("set-cookie", cookie.OutputString()) for cookie in response.cookies.values()]
    if not response.streaming:
        body = bytes(response.content)
        response.close()
        return response.status_code, headers, body
    kind = "stream_async" if response.is_async else "stream_sync"
    content = response.streaming_content
    source = _closing_async(content, response) if response.is_async else _closing(content, response)
    return response.status_code, headers, (kind, source)


def _closing(content: Iterable[Any], response: Any) -> Iterable[Any]:
    try:
        yield from content
    finally:
        response.close()


async def _closing_async(content: AsyncIterable[Any], response: Any) -> Any:
    try:
        async for chunk in content:
            yield chunk
    finally:
        response.close()


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

    Raises :class:`UnencodableResult` for what is no answer.
    """
    if isinstance(value, Response):
        return value.render()
    if isinstance(value, tuple):
        if len(value) != 2 or type(value[0]) is not int or not 100 <= value[0] <= 599:
            raise UnencodableResult("a tuple must be (status, value)")
        _, headers, body = render(value[1])
        return value[0], headers, body
    if hasattr(value, "status_code") and hasattr(value, "streaming"):
        return _from_django(value)
    if _is_data(value):
        return _plain(value)
    raise UnencodableResult(f"a handler cannot return {type(value).__qualname__}")


def _is_data(value: Any) -> bool:
    kinds: tuple[type, ...] = (
        str,
        bytes,
        bytearray,
        memoryview,
        dict,
        list,
        bool,
        int,
        float,
        msgspec.Struct,
        Mapping,
    )
    if value is None or isinstance(value, kinds):
        return True
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return True
    from django.db.models.query import QuerySet
    from django.utils.functional import Promise

    return isinstance(value, QuerySet | Promise)


Render = Callable[[Any], Rendered]
