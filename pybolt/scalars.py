"""From the text of a path, query, header, cookie or form field to a value of an annotation."""

from __future__ import annotations

import datetime
import decimal
import enum
import re
import types
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from .exceptions import DeclarationError


class Invalid(Exception):
    """A value that does not fit; the message says what was expected, never what came."""


Convert = Callable[[str], Any]
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_COLLECTIONS = (list, tuple, set, frozenset)


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise Invalid("expected an integer")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else float("inf")
    if value in (float("inf"), float("-inf")):
        raise Invalid("expected a number")
    return value


def _decimal(text: str) -> decimal.Decimal:
    if not _NUMBER.fullmatch(text) or len(text) > 100:
        raise Invalid("expected a decimal number")
    return decimal.Decimal(text)


def _boolean(text: str) -> bool:
    if text in ("true", "1", "on"):
        return True
    if text in ("false", "0", "off"):
        return False
    raise Invalid("expected true or false")


_SCALARS: dict[Any, Convert] = {
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


def _by_msgspec(annotation: Any, expected: str) -> Convert:
    def convert(text: str) -> Any:
        try:
            return msgspec.convert(text, annotation)
        except msgspec.ValidationError:
            raise Invalid(f"expected {expected}") from None

    return convert


def _one_of(values: dict[str, Any]) -> Convert:
    def convert(text: str) -> Any:
        try:
            return values[text]
        except KeyError:
            raise Invalid(f"expected one of {', '.join(values)}") from None

    return convert


def _scalar(annotation: Any, parameter: str) -> Convert:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if annotation in _BY_MSGSPEC:
        return _by_msgspec(annotation, _BY_MSGSPEC[annotation])
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _one_of({str(member.value): member for member in annotation})
    if get_origin(annotation) is Literal:
        return _one_of({str(value): value for value in get_args(annotation)})
    if annotation in _COLLECTIONS:
        raise DeclarationError(
            f"parameter `{parameter}` is a {_name(annotation)} of nothing in particular",
            f"write for example `{_name(annotation)}[str]`, or `Annotated[..., Body()]`",
        )
    raise DeclarationError(
        f"parameter `{parameter}` cannot be read from text as {_name(annotation)}",
        "use int, float, bool, str, Decimal, UUID, a date or time, an enum or Literal, "
        "or `Annotated[..., Body()]`",
    )


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation))


def peel(annotation: Any) -> tuple[Any, bool, list[Any]]:
    """The annotation without ``None`` and ``Annotated``, whether ``None`` was in it, and
    everything that ``Annotated`` said."""
    optional, metadata = False, []
    while True:
        if get_origin(annotation) is Annotated:
            metadata += annotation.__metadata__
            annotation = get_args(annotation)[0]
            continue
        if get_origin(annotation) in (Union, types.UnionType):
            rest = [item for item in get_args(annotation) if item is not type(None)]
            if len(rest) == 1 and len(rest) < len(get_args(annotation)):
                annotation, optional = rest[0], True
                continue
        return annotation, optional, metadata


def _constrained(annotation: Any, metadata: list[Any], parameter: str) -> Callable[[Any], Any]:
    """Checks a value against the ``msgspec.Meta`` of its annotation."""
    metas = [item for item in metadata if isinstance(item, msgspec.Meta)]
    if not metas:
        return lambda value: value
    kind: Any = annotation
    for meta in metas:
        kind = Annotated[kind, meta]
    try:
        msgspec.inspect.type_info(kind)
    except TypeError as error:
        raise DeclarationError(f"parameter `{parameter}`: {error}") from None

    def check(value: Any) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            # Says the declared bound, never the value.
            text = str(error).replace("`", "")
            raise Invalid(text[:1].lower() + text[1:]) from None

    return check


def is_many(annotation: Any) -> bool:
    """Whether an annotation takes every value of a name, not the last."""
    return get_origin(annotation) in _COLLECTIONS


def converter(annotation: Any, metadata: list[Any], parameter: str) -> Callable[[list[str]], Any]:
    """Compiles ``annotation`` into a function from the values of a name to the parameter's value.

    The function raises :class:`Invalid`. Raises :class:`DeclarationError` for an annotation that
    text cannot become. ``annotation`` and ``metadata`` are as :func:`peel` gives them.
    """
    if not is_many(annotation):
        convert = _scalar(annotation, parameter)
        check = _constrained(annotation, metadata, parameter)
        return lambda values: check(convert(values[-1]))
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        raise DeclarationError(
            f"parameter `{parameter}` cannot be read from text as {annotation}",
            "a name may come any number of times: write `tuple[..., ...]` of one type, or a list",
        )
    item, _, item_metadata = peel(arguments[0])
    convert_item = _scalar(item, parameter)
    check_item = _constrained(item, item_metadata, parameter)
    collect = get_origin(annotation)
    check_all = _constrained(collect, metadata, parameter)
    return lambda values: check_all(collect(check_item(convert_item(value)) for value in values))
