"""Pages that go on from the last row: by a column that no two rows share."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.db.models.sql.where import AND

from ..exceptions import DeclarationError
from .declare import Param
from .fill import params_of

#: The fields whose JSON says the whole value, which that of a moment does not.
_TYPES: dict[Any, type] = {
    models.IntegerField: int,
    models.CharField: str,
    models.TextField: str,
    models.UUIDField: uuid.UUID,
    models.DateField: datetime.date,
}


def order_of(query: Any) -> tuple[Any, ...]:
    """What a query is ordered by, as it is written."""
    if query.order_by or not query.default_ordering:
        return tuple(query.order_by)
    return tuple(query.get_meta().ordering)


def picks_the_same(query: Any) -> bool:
    """Whether a part of the rows is the same part each time: where they are in an order that no
    two of them share, or there is one at most."""
    if any(_is_unique(query, name) for name in order_of(query)):
        return True
    where = query.where
    conditions = where.children if where.connector == AND and not where.negated else []
    return any(
        isinstance(one, Exact)
        and isinstance(one.lhs, Col)
        and one.lhs.alias == query.base_table
        and _is_unique(query, one.lhs.target)
        and not any(param.optional for param in params_of(one))
        for one in conditions
    )


def _is_unique(query: Any, said: Any) -> bool:
    meta = query.get_meta()
    if isinstance(said, str):
        name = said.lstrip("-")
        names = {
            one: field for field in meta.concrete_fields for one in (field.name, field.attname)
        }
        said = meta.pk if name == "pk" else names.get(name)
    return said in meta.concrete_fields and said.unique and not said.null


def ordered_by(queryset: Any, by: str) -> Any:
    """``queryset`` after the row that a cursor names, if there is one.

    Raises :class:`DeclarationError` where it is not ordered by the column ``by`` alone, or that
    is not unique.
    """
    field = _field(queryset.model, by)
    order = [by, field.name, field.attname] + (["pk"] if field.primary_key else [])
    said = order_of(queryset.query)
    if len(said) != 1 or not isinstance(said[0], str) or said[0].lstrip("-") not in order:
        raise DeclarationError(
            f"pages go on by `{by}`, and the rows are not ordered by it alone",
            f'write `.order_by("{by}")` or `.order_by("-{by}")`',
        )
    if _may_repeat(queryset.query):
        raise DeclarationError(
            f"pages go on by `{by}`, and a row of it may be there several times",
            "a join of many rows, an OR or a window function is in the query: page it by offset",
        )
    backwards = said[0].startswith("-") != (not queryset.query.standard_ordering)
    lookup = "lt" if backwards else "gt"
    after = Param("after", _type(field, by), place="cursor", optional=True)
    return queryset.filter(**{f"{field.attname}__{lookup}": after})


def _may_repeat(query: Any) -> bool:
    """Whether rows may have the same key, or are not those that a condition on it leaves."""
    joins = [join for alias, join in query.alias_map.items() if query.alias_refcount[alias]]
    many = any(
        getattr(getattr(join, "join_field", None), name, False)
        for join in joins
        for name in ("many_to_many", "one_to_many")
    )
    is_or = query.where.connector != AND and bool(query.where.children)
    windows = any(getattr(one, "contains_over_clause", False) for one in query.annotations.values())
    return many or is_or or windows


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
