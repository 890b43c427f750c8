"""What Django's converters make of a column, as a name that Rust knows."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.expressions import Col, ExpressionWrapper
from django.db.models.fields.json import KeyTransform
from django.db.models.functions.datetime import TruncBase
from django.utils import timezone

from ..exceptions import DeclarationError

#: The fields whose values Rust writes as Django does.
KNOWN = frozenset(
    {
        models.AutoField,
        models.BigAutoField,
        models.BigIntegerField,
        models.BooleanField,
        models.CharField,
        models.DateField,
        models.DateTimeField,
        models.DecimalField,
        models.DurationField,
        models.EmailField,
        models.FileField,
        models.FilePathField,
        models.FloatField,
        models.ForeignKey,
        models.ImageField,
        models.IntegerField,
        models.JSONField,
        models.OneToOneField,
        models.PositiveBigIntegerField,
        models.PositiveIntegerField,
        models.PositiveSmallIntegerField,
        models.SlugField,
        models.SmallAutoField,
        models.SmallIntegerField,
        models.TextField,
        models.TimeField,
        models.URLField,
        models.UUIDField,
    }
)
#: What a subclass of one of them may not say otherwise.
_TELLING = (
    "cast_db_type",
    "db_type",
    "from_db_value",
    "get_db_converters",
    "get_db_prep_value",
    "get_internal_type",
    "get_placeholder",
    "get_prep_value",
    "rel_db_type",
    "select_format",
    "to_python",
)
#: What the converters of SQLite are called in Django's operations.
_SQLITE = {
    "convert_datetimefield_value": "datetime",
    "convert_datefield_value": "date",
    "convert_timefield_value": "time",
    "convert_uuidfield_value": "uuid",
    "convert_booleanfield_value": "bool",
    "convert_durationfield_value": "duration",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of an answer. ``name``: ``None`` of one that is read and not written; ``kind``: see
    the wire; ``places``: the digits of a SQLite decimal."""

    name: str | None
    kind: str
    places: int | None = None


class NotKnown(Exception):
    """A column that Django's own code has to convert; the message says why."""


def is_known(field: Any) -> bool:
    """Whether ``field`` is one of Django's, or a subclass that changes nothing of its values."""
    for kind in type(field).__mro__:
        if kind in KNOWN:
            return True
        if any(name in vars(kind) for name in _TELLING):
            return False
    return False


def refuse_unencodable(name: str, expression: Any) -> None:
    """Raises :class:`DeclarationError` for a column that ``JsonResponse`` cannot write."""
    field = expression._output_field_or_none
    base = getattr(field, "base_field", None)
    ranges = hasattr(field, "range_type")
    if isinstance(field, models.BinaryField) or ranges or isinstance(base, models.BinaryField):
        what = type(field).__name__
        raise DeclarationError(
            f"the column `{name}` is a {what}, which has no JSON form",
            "leave it out of `values(...)`, or annotate what you want of it",
        )


def column(name: str | None, expression: Any, connection: Any) -> Column:
    """How the column is converted. Raises :class:`NotKnown`."""
    shown = name or "a column"
    field = expression._output_field_or_none
    if field is None or not is_known(field):
        raise NotKnown(f"`{shown}` is a {type(field).__name__}")
    target = getattr(expression, "target", None)
    if target is not None and not is_known(target):
        raise NotKnown(f"`{shown}` is a {type(target).__name__}")
    made = connection.ops.get_db_converters(expression) + expression.get_db_converters(connection)
    if connection.vendor == "sqlite" and _is_recast(expression):
        raise NotKnown(f"`{shown}` reads a column as another type")
    kind, places = "raw", None
    for converter in made:
        step = _kind(converter, expression, connection)
        if step is None or kind not in ("raw", step):
            raise NotKnown(f"`{shown}` has a converter of its own")
        kind = step
    if kind == "decimal" and connection.vendor == "sqlite" and isinstance(expression, Col):
        places = field.decimal_places
    return Column(name, kind, places)


def _kind(converter: Any, expression: Any, connection: Any) -> str | None:
    field = expression.output_field
    owner, name = getattr(converter, "__self__", None), getattr(converter, "__name__", "")
    if converter is expression.__dict__.get("convert_value"):
        internal = field.get_internal_type()
        if not _is_djangos(type(expression), "convert_value"):
            return None
        return {"FloatField": "float", "DecimalField": "decimal"}.get(internal, "int")
    if owner is connection.ops and _is_djangos(type(owner), name):
        return _SQLITE.get(name)
    if "get_decimalfield_converter" in getattr(converter, "__qualname__", ""):
        return "decimal"
    if owner is expression and isinstance(expression, TruncBase):
        return _truncated(expression, connection) if _is_djangos(type(owner), name) else None
    if owner is not None and type(owner) is models.JSONField:
        # SQLite takes a value out of a document without its quotes.
        is_part = isinstance(expression, KeyTransform) and connection.vendor == "sqlite"
        return "json" if owner.decoder is None and not is_part else None
    return None


def _truncated(expression: Any, connection: Any) -> str | None:
    """What becomes of ``DATE_TRUNC``, which says a moment without its zone."""
    if isinstance(expression.output_field, models.DateTimeField):
        zone = expression.tzinfo or timezone.get_default_timezone()
        return "datetime" if settings.USE_TZ and str(zone) == "UTC" else None
    return "date" if isinstance(expression.output_field, models.DateField) else None


def _is_djangos(kind: type, name: str) -> bool:
    found = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    found = getattr(found, "func", found)
    return str(getattr(found, "__module__", "")).startswith("django.db.")


def _is_recast(expression: Any) -> bool:
    """Whether SQLite's driver would convert by the column's type, and Django by another one."""
    if not isinstance(expression, ExpressionWrapper):
        return False
    inner = expression.get_source_expressions()[0]
    kinds = {one.output_field.get_internal_type() for one in (inner, expression)}
    return isinstance(inner, Col) and len(kinds) > 1
