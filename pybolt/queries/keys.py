"""Pages that go on from the last row: by a column that no two rows share."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models

from ..exceptions import DeclarationError
from .declare import Param

#: The fields whose JSON says the whole value, which that of a moment does not.
_TYPES: dict[Any, type] = {
    models.IntegerField: int,
    models.CharField: str,
    models.TextField: str,
    models.UUIDField: uuid.UUID,
    models.DateField: datetime.date,
}


def ordered_by(queryset: Any, by: str) -> Any:
    """``queryset`` after the row that a cursor names, if there is one.

    Raises :class:`DeclarationError` where it is not ordered by the column ``by`` alone, or that
    is not unique.
    """
    field = _field(queryset.model, by)
    order = [by, field.name, field.attname] + (["pk"] if field.primary_key else [])
    said = queryset.query.order_by
    if not said and queryset.query.default_ordering:
        said = tuple(queryset.model._meta.ordering)
    if len(said) != 1 or not isinstance(said[0], str) or said[0].lstrip("-") not in order:
        raise DeclarationError(
            f"pages go on by `{by}`, and the rows are not ordered by it alone",
            f'write `.order_by("{by}")` or `.order_by("-{by}")`',
        )
    backwards = said[0].startswith("-") != (not queryset.query.standard_ordering)
    lookup = "lt" if backwards else "gt"
    after = Param("after", _type(field, by), place="cursor", optional=True)
    return queryset.filter(**{f"{field.attname}__{lookup}": after})


def _field(model: Any, by: str) -> Any:
    try:
        field = model._meta.pk if by == "pk" else model._meta.get_field(by)
    except FieldDoesNotExist:
        field = None
    if field is None or not getattr(field, "unique", False) or field.null:
        raise DeclarationError(
            f"pages go on by `{by}`, which is no column of its own for every row",
            "go by the primary key, or by a field with `unique=True` that is never NULL",
        )
    return field


def _type(field: Any, by: str) -> type:
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    for kind in type(target).__mro__:
        if kind in _TYPES and kind is not models.DateTimeField:
            return _TYPES[kind]
        if kind is models.DateTimeField:
            break
    raise DeclarationError(
        f"pages go on by `{by}`, a {type(field).__name__}, whose JSON does not say all of it",
        "go by a number, a text, a date or a UUID",
    )
