"""Parameters by annotation: a handler's signature is compiled once into one closure.

Conversion runs inside the call, so after rate limits, authentication and authorization. A value
that does not fit is 422 with every field named, and no value is ever echoed.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

from .bodies import (
    MISSING,
    Errors,
    Read,
    form_reader,
    fresh,
    is_structured,
    json_reader,
    query_reader,
)
from .django.transactions import atomic_requests
from .exceptions import DeclarationError, RequestValidationError
from .routing import awaits, is_async
from .scalars import Invalid, converter, peel


@dataclasses.dataclass(frozen=True)
class Marker:
    """Where a parameter comes from, and under which name; use in ``Annotated``."""

    name: str | None = None


class Path(Marker):
    """A parameter captured from the path."""


class Query(Marker):
    """A query parameter; of a Struct, dataclass or TypedDict the whole query."""


class Header(Marker):
    """A request header; without a name the parameter's own, with ``-`` for ``_``."""


class Cookie(Marker):
    """A cookie."""


class Body(Marker):
    """The JSON body."""


class Form(Marker):
    """The body as a form, ``application/x-www-form-urlencoded``: a Struct, dataclass or
    TypedDict."""


@dataclasses.dataclass(frozen=True)
class BoundHandler:
    """A handler whose parameters are bound: ``call`` takes the request alone.

    ``request_body`` is ``buffer``, ``stream`` or ``none``.
    """

    call: Callable[[Any], Any]
    is_async: bool
    awaits: bool
    request_body: str


_Values = Callable[[Any], Sequence[str]]
_BODYLESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


@dataclasses.dataclass(frozen=True)
class _Parameter:
    """One compiled parameter: ``read(request, errors)`` gives its value or records why not."""

    argument: str
    read: Read
    keyword: bool
    is_body: bool = False


def _reader(place: str, field: str, values: _Values, annotation: Any, default: Any) -> Read:
    annotation, optional, metadata = peel(annotation)
    convert = converter(annotation, metadata, field)
    make_default = fresh(None if default is MISSING else default)

    def read(request: Any, errors: Errors) -> Any:
        found = values(request)
        if not found:
            if optional or default is not MISSING:
                return make_default()
            errors.append({"in": place, "field": field, "message": "is required"})
            return None
        try:
            return convert(list(found))
        except Invalid as error:
            errors.append({"in": place, "field": field, "message": str(error)})
            return None

    return read


def _from_path(name: str) -> _Values:
    return lambda request: [request.params[name]]


def _from_query(name: str) -> _Values:
    return lambda request: typing.cast("Sequence[str]", request.query.getlist(name))


def _from_header(name: str) -> _Values:
    return lambda request: typing.cast("Sequence[str]", request.headers.getlist(name))


def _from_cookie(name: str) -> _Values:
    return lambda request: typing.cast("Sequence[str]", request.cookies.getlist(name))


def _compile(
    parameter: inspect.Parameter, annotation: Any, path_params: Sequence[str], has_body: bool
) -> _Parameter:
    if annotation is inspect.Parameter.empty:
        annotation = Any if parameter.name == "body" else str
    markers = [item for item in peel(annotation)[2] if isinstance(item, Marker)]
    if len(markers) > 1:
        raise DeclarationError(f"parameter `{parameter.name}` is said to come from two places")
    default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
    keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
    marker = markers[0] if markers else None
    if marker is None:
        if parameter.name in path_params:
            marker = Path()
        elif has_body and (parameter.name == "body" or is_structured(annotation)):
            marker = Body()
        else:
            marker = Query()
    name = marker.name or parameter.name
    if isinstance(marker, Body | Form):
        make = form_reader if isinstance(marker, Form) else json_reader
        read = make(annotation, default, parameter.name)
        return _Parameter(parameter.name, read, keyword, is_body=True)
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
    elif markers and is_structured(annotation):
        return _Parameter(
            parameter.name, query_reader(annotation, default, parameter.name), keyword
        )
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
    except Exception as error:
        # An annotation is code, and may raise whatever code raises.
        raise DeclarationError(f"an annotation cannot be resolved: {error}") from None
    return parameters, hints


def _check_parameters(parameters: list[inspect.Parameter]) -> None:
    if not parameters:
        raise DeclarationError("the handler takes no request", "write `def handler(request):`")
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise DeclarationError(
                f"`*{parameter.name}` cannot be filled", "name the parameters that you need"
            )
    if parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise DeclarationError(
            f"the request is handed over by position, and `{parameters[0].name}` is keyword-only",
            "write `def handler(request, *, ...):`",
        )


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
    _check_parameters(parameters)
    has_body = not set(methods) <= _BODYLESS
    compiled = [
        _compile(parameter, hints.get(parameter.name, parameter.annotation), path_params, has_body)
        for parameter in parameters[1:]
    ]
    reads_body = sum(parameter.is_body for parameter in compiled)
    if reads_body > 1:
        raise DeclarationError("two parameters want the body", "take one Struct with both parts")
    if reads_body and request_body in ("stream", "none"):
        raise DeclarationError(
            f'a parameter wants the body, and request_body="{request_body}" keeps it from it'
        )
    handler = atomic_requests(handler)
    bodyless = set(methods) <= {"GET", "HEAD"} and not reads_body
    body = request_body or ("none" if bodyless else "buffer")
    call = _call(handler, compiled) if compiled else handler
    return BoundHandler(call, is_async(handler), awaits(handler), body)


def _call(handler: Callable[..., Any], compiled: list[_Parameter]) -> Callable[[Any], Any]:
    positional = [parameter.read for parameter in compiled if not parameter.keyword]
    keyword = [(p.argument, p.read) for p in compiled if p.keyword]

    def call(request: Any) -> Any:
        errors: Errors = []
        args = [read(request, errors) for read in positional]
        kwargs = {name: read(request, errors) for name, read in keyword}
        if errors:
            raise RequestValidationError(errors)
        return handler(request, *args, **kwargs)

    return call
