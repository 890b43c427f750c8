"""Parameters by annotation: a handler's signature is compiled once into one closure.

Conversion runs inside the call, so after rate limits, authentication and authorization. A value
that does not fit is 422 with every field named, and no value is ever echoed.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import re
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from .exceptions import (
    DeclarationError,
    MalformedBody,
    RequestValidationError,
    UnsupportedMediaType,
)
from .routing import is_async


@dataclasses.dataclass(frozen=True)
class Marker:
    """Where a parameter comes from, and under which name; use in ``Annotated``."""

    name: str | None = None


class Path(Marker):
    """A parameter captured from the path."""


class Query(Marker):
    """A query parameter."""


class Header(Marker):
    """A request header; without a name the parameter's own, with ``-`` for ``_``."""


class Cookie(Marker):
    """A cookie."""


class Body(Marker):
    """The JSON body."""


@dataclasses.dataclass(frozen=True)
class BoundHandler:
    """A handler whose parameters are bound: ``call`` takes the request alone.

    ``request_body`` is ``buffer``, ``stream`` or ``none``.
    """

    call: Callable[[Any], Any]
    is_async: bool
    request_body: str


class _Invalid(Exception):
    """A value that does not fit; the message says what was expected."""


_Convert = Callable[[str], Any]
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _Invalid("expected an integer")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else float("inf")
    if value in (float("inf"), float("-inf")):
        raise _Invalid("expected a number")
    return value


def _decimal(text: str) -> decimal.Decimal:
    if not _NUMBER.fullmatch(text) or len(text) > 100:
        raise _Invalid("expected a decimal number")
    return decimal.Decimal(text)


def _boolean(text: str) -> bool:
    if text in ("true", "1", "on"):
        return True
    if text in ("false", "0", "off"):
        return False
    raise _Invalid("expected true or false")


_SCALARS: dict[Any, _Convert] = {
    str: lambda text: text,
    int: _integer,
    float: _float,
    bool: _boolean,
    decimal.Decimal: _decimal,
}

_BY_MSGSPEC: dict[Any, str] = {
    uuid.UUID: "a UUID",
    datetime.date: "a date such as 2026-01-31",
    datetime.datetime: "a date and time such as 2026-01-31T12:00:00Z",
    datetime.time: "a time such as 12:00:00",
    datetime.timedelta: "a duration such as P1DT2H",
}


def _by_msgspec(annotation: Any, expected: str) -> _Convert:
    def convert(text: str) -> Any:
        try:
            return msgspec.convert(text, annotation)
        except msgspec.ValidationError:
            raise _Invalid(f"expected {expected}") from None

    return convert


def _one_of(values: dict[str, Any]) -> _Convert:
    def convert(text: str) -> Any:
        try:
            return values[text]
        except KeyError:
            raise _Invalid(f"expected one of {', '.join(values)}") from None

    return convert


def _scalar(annotation: Any, parameter: str) -> _Convert:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if annotation in _BY_MSGSPEC:
        return _by_msgspec(annotation, _BY_MSGSPEC[annotation])
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _one_of({str(member.value): member for member in annotation})
    if get_origin(annotation) is Literal:
        return _one_of({str(value): value for value in get_args(annotation)})
    raise DeclarationError(
        f"parameter `{parameter}` cannot be read from text as {_name(annotation)}",
        "use int, float, bool, str, Decimal, UUID, a date or time, an enum or Literal, "
        "or `Annotated[..., Body()]`",
    )


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation))


def _optional(annotation: Any) -> tuple[Any, bool]:
    """The annotation without ``None``, and whether that was in it."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [item for item in get_args(annotation) if item is not type(None)]
        if len(rest) == 1 and len(rest) < len(get_args(annotation)):
            return rest[0], True
    return annotation, False


@dataclasses.dataclass(frozen=True)
class _Parameter:
    """One compiled parameter: ``read(request, errors)`` gives its value or records why not."""

    argument: str
    read: Callable[[Any, list[dict[str, str]]], Any]
    keyword: bool
    is_body: bool = False


_MISSING: Any = object()


def _reader(
    place: str, field: str, values: Callable[[Any], Sequence[str]], annotation: Any, default: Any
) -> Callable[[Any, list[dict[str, str]]], Any]:
    annotation, optional = _optional(annotation)
    many = get_origin(annotation) in (list, tuple, set, frozenset)
    convert = _scalar(get_args(annotation)[0] if many else annotation, field)
    collect = get_origin(annotation) if many else None

    def read(request: Any, errors: list[dict[str, str]]) -> Any:
        found = values(request)
        if not found:
            if default is not _MISSING:
                return default
            if optional:
                return None
            if collect is not None:
                return collect()
            errors.append({"in": place, "field": field, "message": "is required"})
            return None
        try:
            if collect is not None:
                return collect(convert(value) for value in found)
            return convert(found[-1])
        except _Invalid as error:
            errors.append({"in": place, "field": field, "message": str(error)})
            return None

    return read


def _from_path(name: str) -> Callable[[Any], Sequence[str]]:
    return lambda request: [request.params[name]]


def _from_query(name: str) -> Callable[[Any], Sequence[str]]:
    return lambda request: typing.cast("Sequence[str]", request.query.getlist(name))


def _from_header(name: str) -> Callable[[Any], Sequence[str]]:
    return lambda request: typing.cast("Sequence[str]", request.headers.getlist(name))


def _from_cookie(name: str) -> Callable[[Any], Sequence[str]]:
    return lambda request: typing.cast("Sequence[str]", request.cookies.getlist(name))


_QUOTED = re.compile(r"'[^']*'")
_AT = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)


def _body_error(error: msgspec.ValidationError) -> dict[str, str]:
    """A validation error of msgspec without anything that the client sent."""
    text = str(error)
    where = _AT.search(text)
    field = where.group(1).lstrip(".") if where else ""
    message = _AT.sub("", text)
    if message.startswith("Object contains unknown field"):
        message, field = "Object contains an unknown field", re.sub(r"\.?[^.]*$", "", field)
    message = _QUOTED.sub("", message).replace("`", "").strip()
    return {"in": "body", "field": field, "message": message[:1].lower() + message[1:]}


def _body_reader(annotation: Any, default: Any) -> Callable[[Any, list[dict[str, str]]], Any]:
    inner, optional = _optional(annotation)
    plain = inner in (Any, inspect.Parameter.empty)
    decoder = msgspec.json.Decoder(Any if plain else inner)

    def read(request: Any, errors: list[dict[str, str]]) -> Any:
        raw = request.body
        if not raw and (optional or default is not _MISSING):
            return None if default is _MISSING else default
        content_type = request.content_type
        if content_type != "application/json" and not content_type.endswith("+json"):
            raise UnsupportedMediaType
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            errors.append(_body_error(error))
        except (msgspec.DecodeError, RecursionError):
            raise MalformedBody from None
        return None

    return read


def _is_structured(annotation: Any) -> bool:
    inner, _ = _optional(annotation)
    return (
        (isinstance(inner, type) and issubclass(inner, msgspec.Struct))
        or dataclasses.is_dataclass(inner)
        or typing.is_typeddict(inner)
        or get_origin(inner) is dict
        or inner is dict
    )


def _compile(
    parameter: inspect.Parameter, annotation: Any, path_params: Sequence[str], has_body: bool
) -> _Parameter:
    markers = [item for item in getattr(annotation, "__metadata__", ()) if isinstance(item, Marker)]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if annotation is inspect.Parameter.empty:
        annotation = Any if parameter.name == "body" else str
    default = _MISSING if parameter.default is inspect.Parameter.empty else parameter.default
    keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    marker = markers[0] if markers else None
    if marker is None:
        if parameter.name in path_params:
            marker = Path()
        elif has_body and (parameter.name == "body" or _is_structured(annotation)):
            marker = Body()
        else:
            marker = Query()
    name = marker.name or parameter.name
    if isinstance(marker, Body):
        return _Parameter(parameter.name, _body_reader(annotation, default), keyword, is_body=True)
    if isinstance(marker, Path):
        if name not in path_params:
            raise DeclarationError(
                f"parameter `{parameter.name}` is taken from the path, which captures no `{name}`",
                f"the path captures: {', '.join(path_params) or 'nothing'}",
            )
        place, values = "path", _from_path(name)
    elif isinstance(marker, Header):
        name = marker.name or parameter.name.replace("_", "-")
        place, values = "header", _from_header(name)
    elif isinstance(marker, Cookie):
        place, values = "cookie", _from_cookie(name)
    else:
        place, values = "query", _from_query(name)
    return _Parameter(parameter.name, _reader(place, name, values, annotation, default), keyword)


def _signature(handler: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"the handler's signature cannot be read: {error}") from None
    function = inspect.unwrap(handler)
    while hasattr(function, "func"):
        function = function.func
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        hints = get_type_hints(target, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise DeclarationError(f"an annotation cannot be resolved: {error}") from None
    return parameters, hints


def bind(
    handler: Callable[..., Any],
    path_params: Sequence[str],
    methods: Sequence[str],
    request_body: str | None = None,
) -> BoundHandler:
    """Compiles ``handler``'s signature. A handler that takes the request alone stays as it is.

    Raises :class:`DeclarationError` for a signature that cannot be served.
    """
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise DeclarationError(
            "a handler cannot be a generator function", "return `Stream(generator())` instead"
        )
    if request_body not in (None, "stream", "buffer", "none"):
        raise DeclarationError(f"request_body={request_body!r} is not known", 'write "stream"')
    parameters, hints = _signature(handler)
    if not parameters:
        raise DeclarationError("the handler takes no request", "write `def handler(request):`")
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise DeclarationError(
                f"`*{parameter.name}` cannot be filled", "name the parameters that you need"
            )
    has_body = not set(methods) <= _BODYLESS
    compiled = [
        _compile(parameter, hints.get(parameter.name, parameter.annotation), path_params, has_body)
        for parameter in parameters[1:]
    ]
    if sum(parameter.is_body for parameter in compiled) > 1:
        raise DeclarationError("two parameters want the body", "take one Struct with both parts")
    bodyless = set(methods) <= {"GET", "HEAD"} and not any(p.is_body for p in compiled)
    body = request_body or ("none" if bodyless else "buffer")
    call = _call(handler, compiled) if compiled else handler
    return BoundHandler(call, is_async(handler), body)


def _call(handler: Callable[..., Any], compiled: list[_Parameter]) -> Callable[[Any], Any]:
    positional = [parameter.read for parameter in compiled if not parameter.keyword]
    keyword = [(p.argument, p.read) for p in compiled if p.keyword]

    def call(request: Any) -> Any:
        errors: list[dict[str, str]] = []
        args = [read(request, errors) for read in positional]
        kwargs = {name: read(request, errors) for name, read in keyword}
        if errors:
            raise RequestValidationError(errors)
        return handler(request, *args, **kwargs)

    return call
