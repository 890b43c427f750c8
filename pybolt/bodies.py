"""Request bodies by annotation: JSON and forms, and what is told of one that does not fit."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from .exceptions import DeclarationError, MalformedBody, UnsupportedMediaType
from .scalars import Invalid, converter, peel

Errors = list[dict[str, str]]
Read = Callable[[Any, Errors], Any]
MISSING: Any = object()
#: What decoding raises for bytes that are no JSON; JSON that does not fit is a `ValidationError`.
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
FORM = "application/x-www-form-urlencoded"
#: A form with more fields is malformed; Django's own limit.
MAX_FIELDS = 1000

_AT = re.compile(r" - at `(?:key in )?\$([\w.\[\]]*)`\Z")
_UNKNOWN = re.compile(r"Object contains unknown field `[^`]*`(?: - at `\$([^`]*)`)?\Z", re.DOTALL)
_REQUIRED = re.compile(r"Object missing required field `(\w+)`")
_PLAIN = re.compile(r"[A-Za-z0-9 ]+", re.ASCII)


def is_structured(annotation: Any) -> bool:
    """Whether a parameter of this annotation is the body without saying so."""
    inner, _, _ = peel(annotation)
    if get_origin(inner) is list:
        return is_structured(get_args(inner)[0])
    return (
        (isinstance(inner, type) and issubclass(inner, msgspec.Struct))
        or dataclasses.is_dataclass(inner)
        or typing.is_typeddict(inner)
        or get_origin(inner) is dict
        or inner is dict
    )


def fresh(default: Any) -> Callable[[], Any]:
    """Makes a parameter's default anew for every request, where requests could share its state."""
    try:
        shared = copy.deepcopy(default) is default
    except Exception:
        # What cannot be copied is the declaration's own to look after.
        shared = True
    return lambda: default if shared else copy.deepcopy(default)


def field_names(annotation: Any, parameter: str) -> frozenset[str]:
    """Every field name in ``annotation``, however deep.

    Raises :class:`DeclarationError` where a part of it is nothing that a body can become.
    """
    names: set[str] = set()
    seen: list[Any] = []

    def walk(info: Any) -> None:
        if any(info is other for other in seen):
            return
        seen.append(info)
        if isinstance(info, msgspec.inspect.CustomType):
            raise DeclarationError(
                f"parameter `{parameter}` cannot be decoded: nothing in a body is a "
                f"{getattr(info.cls, '__qualname__', info.cls)}",
                "use a Struct, dataclass, TypedDict, or types that JSON has",
            )
        names.update(getattr(field, "encode_name", "") for field in getattr(info, "fields", ()))
        for value in _parts(info):
            walk(value)

    try:
        walk(msgspec.inspect.type_info(annotation))
    except (TypeError, NameError) as error:
        raise DeclarationError(f"parameter `{parameter}` cannot be decoded: {error}") from None
    return frozenset(names)


def _parts(info: Any) -> list[Any]:
    """The types inside a type."""
    found = [getattr(field, "type", None) for field in getattr(info, "fields", ())]
    found += [getattr(info, name, None) for name in ("item_type", "key_type", "value_type", "type")]
    found += [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
    return [item for item in found if isinstance(item, msgspec.inspect.Type)]


def describe(error: msgspec.ValidationError, names: frozenset[str]) -> dict[str, str]:
    """What is told of a validation error: nothing in it was sent by the client.

    msgspec's messages quote values and unknown names, so only known forms are passed on, and a
    path only if every part of it is a declared name.
    """
    text = str(error)
    unknown = _UNKNOWN.match(text)
    if text.startswith("Object contains unknown field"):
        path = (unknown[1] or "") if unknown else ""
        return {"in": "body", "field": _path(path, names), "message": "contains an unknown field"}
    at = _AT.search(text)
    field = _path(at[1], names) if at else ""
    message = text[: at.start()] if at else text
    required = _REQUIRED.fullmatch(message)
    if required and required[1] in names:
        field = f"{field}.{required[1]}" if field else required[1]
        message = "is required"
    elif error.__cause__ is not None:
        # Raised by the app's own `__post_init__`, whose words may hold the value.
        message = "is not valid"
    elif message.startswith(("Invalid enum value", "Invalid value")):
        message = "is none of the allowed values"
    elif message.startswith("Expected ") or _PLAIN.fullmatch(message):
        message = message.replace("`", "")
    else:
        message = "is not valid"
    return {"in": "body", "field": field, "message": message[:1].lower() + message[1:]}


def _path(path: str, names: frozenset[str]) -> str:
    parts = [part for part in re.split(r"[.\[\]]+", path) if part]
    known = all(part in names or part.isdecimal() for part in parts)
    return path.lstrip(".") if known else ""


def json_reader(annotation: Any, default: Any, parameter: str) -> Read:
    """Reads the body as JSON (``application/json`` or ``+json``) into ``annotation``."""
    inner, optional, metadata = peel(annotation)
    if inner is inspect.Parameter.empty:
        inner = Any
    for meta in metadata:
        if isinstance(meta, msgspec.Meta):
            inner = typing.Annotated[inner, meta]
    names = field_names(inner, parameter)
    # `null` is a value where the annotation has `None` in it, and 422 where it has not.
    decoder = msgspec.json.Decoder(typing.Optional[inner] if optional else inner)  # noqa: UP045
    make_default = fresh(None if default is MISSING else default)

    def read(request: Any, errors: Errors) -> Any:
        raw = request.body
        if not raw and (optional or default is not MISSING):
            return make_default()
        content_type = request.content_type
        if content_type != "application/json" and not content_type.endswith("+json"):
            raise UnsupportedMediaType
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            errors.append(describe(error, names))
        except NOT_JSON:
            raise MalformedBody from None
        return None

    return read


def form_reader(annotation: Any, default: Any, parameter: str) -> Read:
    """Reads the body as a form (``application/x-www-form-urlencoded``) into a Struct, dataclass or
    TypedDict; its fields are converted as query parameters are."""
    inner, optional, _ = peel(annotation)
    convert = _fields_converter(inner, "body", parameter)
    make_default = fresh(None if default is MISSING else default)

    def read(request: Any, errors: Errors) -> Any:
        if not request.body and (optional or default is not MISSING):
            return make_default()
        if request.content_type != FORM:
            raise UnsupportedMediaType(FORM)
        return convert(_form(request.body), errors)

    return read


def query_reader(annotation: Any, default: Any, parameter: str) -> Read:
    """Reads the whole query into a Struct, dataclass or TypedDict, as :func:`form_reader` does a
    form."""
    inner, _, _ = peel(annotation)
    convert = _fields_converter(inner, "query", parameter)
    if default is not MISSING:
        raise DeclarationError(
            f"parameter `{parameter}` is the whole query and cannot have a default",
            "give defaults to its fields",
        )

    def read(request: Any, errors: Errors) -> Any:
        query = request.query
        return convert({name: query.getlist(name) for name in query.keys()}, errors)  # noqa: SIM118

    return read


_Fields = Callable[[Mapping[str, Sequence[str]], Errors], Any]


def _fields_converter(annotation: Any, place: str, parameter: str) -> _Fields:
    """Compiles a Struct, dataclass or TypedDict into a function from values by name."""
    names = field_names(annotation, parameter)
    info = msgspec.inspect.type_info(annotation)
    if not hasattr(info, "fields"):
        raise DeclarationError(
            f"parameter `{parameter}`: a form or query becomes a Struct, dataclass or TypedDict"
        )
    hints = get_type_hints(annotation, include_extras=True)
    fields = []
    for field in info.fields:
        kind, nullable, metadata = peel(hints[field.name])
        convert = converter(kind, metadata, field.name)
        fields.append((field.encode_name, convert, field.required, nullable))
    strict = getattr(info, "forbid_unknown_fields", False)

    def read(sent: Mapping[str, Sequence[str]], errors: Errors) -> Any:
        before = len(errors)
        values: dict[str, Any] = {}
        for name, convert, required, nullable in fields:
            if name in sent:
                try:
                    values[name] = convert(list(sent[name]))
                except Invalid as error:
                    errors.append({"in": place, "field": name, "message": str(error)})
            elif required and nullable:
                values[name] = None
            elif required:
                errors.append({"in": place, "field": name, "message": "is required"})
        if strict and not names >= sent.keys():
            errors.append({"in": place, "field": "", "message": "contains an unknown field"})
        if len(errors) > before:
            return None
        try:
            return msgspec.convert(values, annotation)
        except msgspec.ValidationError as error:
            errors.append(describe(error, names) | {"in": place})
        return None

    return read


def _form(raw: bytes) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise MalformedBody("the body is not a valid form") from None
    sent: dict[str, list[str]] = {}
    for name, value in pairs:
        sent.setdefault(name, []).append(value)
    return sent
