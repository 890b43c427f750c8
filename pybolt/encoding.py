"""JSON as Django's own encoder writes it, fast."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_NON_STR_KEYS
)


class UnencodableResult(TypeError):
    """A handler returned something that is no answer."""


def _time(value: datetime.datetime | datetime.time) -> str:
    """ISO 8601 with milliseconds, as Django's encoder writes it."""
    text = value.isoformat()
    if value.microsecond:
        text = text[:23] + text[26:] if isinstance(value, datetime.datetime) else text[:12]
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


#: What `default` and the encoder write better than msgspec does, or refuse.
_OURS = (
    bytes,
    bytearray,
    memoryview,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)


def default(value: Any) -> Any:
    """Encodes what JSON has no type for, as ``DjangoJSONEncoder`` does."""
    if type(value) is decimal.Decimal:
        # The most frequent one.
        return str(value)
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
        # Tags, renamed, omitted and unset fields are msgspec's to know.
        return msgspec.to_builtins(value, builtin_types=_OURS, enc_hook=default)
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
    from django.core.exceptions import SynchronousOnlyOperation
    from django.db.models.query import QuerySet
    from django.utils.functional import Promise

    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, QuerySet):
        if value._result_cache is None and asyncio._get_running_loop() is not None:
            # Before it is compiled for nothing.
            raise SynchronousOnlyOperation("a queryset is not evaluated on an event loop")
        return list(value)
    raise UnencodableResult(f"{type(value).__qualname__} has no JSON form")


def encode(value: Any) -> bytes:
    """``value`` as compact JSON (RFC 8259). Raises ``UnencodableResult`` or ``ValueError``."""
    try:
        return orjson.dumps(value, default, OPTIONS)
    except orjson.JSONEncodeError as error:
        if error.__cause__ is not None:
            # What `default` raised. It has run, and is not run again.
            raise error.__cause__ from None
        # Integers beyond 64 bits, deep nesting and lone surrogates are the standard library's.
        portable = _portable(value)
        text = json.dumps(portable, separators=(",", ":"), ensure_ascii=False)
        try:
            return text.encode()
        except UnicodeEncodeError:
            return json.dumps(portable, separators=(",", ":")).encode()


def _portable(value: Any) -> Any:
    """``value`` in the types that ``json`` knows, as orjson would have written them."""
    kind = type(value)
    if value is None or kind in (str, int, bool):
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is list or kind is tuple:
        return [_portable(item) for item in value]
    if kind is dict:
        return {_key(key): _portable(item) for key, item in value.items()}
    if kind is uuid.UUID:
        return str(value)
    return _portable(default(value))


def _key(key: Any) -> str:
    if type(key) is str:
        return key
    if type(key) is int:
        return str(key)
    text: str = next(iter(orjson.loads(orjson.dumps({key: None}, default, OPTIONS))))
    return text
