"""What of a queryset a read needs: how its rows look, what is below them, how many there may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from django.db.models import Count, F, ForeignKey, QuerySet
from django.db.models.query import (
    FlatValuesListIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.sql.subqueries import AggregateQuery

from ..exceptions import DeclarationError
from .declare import Nested, Param
from .optional import without
from .placeholders import Below

#: What a column is called that is read for its link to other rows alone.
LINK = "bolt_link"
_LOOKS = {
    ValuesIterable: "objects",
    ValuesListIterable: "arrays",
    NamedValuesListIterable: "arrays",
    FlatValuesListIterable: "values",
}


@dataclasses.dataclass(frozen=True)
class Rows:
    """A queryset without what is nested in it. ``look``: ``objects``, ``arrays`` or ``values``;
    ``below``: the nested lists by name."""

    queryset: Any
    look: str
    below: dict[str, Nested]

    @property
    def names(self) -> list[str]:
        """The columns, as Django names them."""
        query = self.queryset.query
        if query.selected:
            return list(query.selected)
        return [*query.extra_select, *query.values_select, *query.annotation_select]

    def linked(self, field: str) -> tuple[Rows, int]:
        """The same with the column ``field`` among them, and its place.

        Raises :class:`DeclarationError` where another column would change the rows.
        """
        query = self.queryset.query
        if field in self.names:
            return self, self.names.index(field)
        if query.distinct or query.group_by is not None or query.combinator:
            raise DeclarationError(
                f"a nested list needs the column `{field}`", f'add "{field}" to `values(...)`'
            )
        added = dataclasses.replace(self, queryset=self.queryset.annotate(**{LINK: F(field)}))
        return added, len(self.names)


def rows_of(queryset: Any) -> Rows:
    """Raises :class:`DeclarationError` for what is no queryset with ``values()``."""
    if not isinstance(queryset, QuerySet):
        raise DeclarationError(
            f"a {type(queryset).__qualname__} is no queryset",
            'give one with values: `Item.objects.values("id", "name")`',
        )
    look = _LOOKS.get(queryset._iterable_class)
    if look is None:
        raise DeclarationError(
            "a queryset of whole objects has no JSON form",
            'say which fields: `.values("id", ...)` or `.values_list(...)`',
        )
    below = {
        name: one.nested
        for name, one in queryset.query.annotations.items()
        if isinstance(one, Below)
    }
    if below and look != "objects":
        raise DeclarationError("a nested list needs a name", "use `values()`, not `values_list()`")
    return Rows(_less(queryset, below), look, below)


def _less(queryset: Any, names: Collection[str]) -> Any:
    if not names:
        return queryset
    query = queryset.query.clone()
    for name in names:
        del query.annotations[name]
    if query.annotation_select_mask is not None:
        mask = [name for name in query.annotation_select_mask if name not in names]
        query.set_annotation_mask(mask)
    if query.selected:
        query.selected = {key: at for key, at in query.selected.items() if key not in names}
    return with_query(queryset, query)


def with_query(queryset: Any, query: Any) -> Any:
    """A queryset like ``queryset`` of another query."""
    clone = queryset._chain()
    clone._query = query
    return clone


def counting(queryset: Any, absent: Collection[Param]) -> Any:
    """The query of ``queryset.count()``."""
    query = without(queryset.query, absent).clone()
    query.select_for_update = False
    query.select_related = False
    query.clear_ordering(force=False)
    if query.annotations or query.is_sliced or query.distinct or query.combinator or query.extra:
        query.subquery = True
        query = AggregateQuery(query.model, query)
    else:
        query.clear_select_clause()
        query.selected = None
    query.add_annotation(Count("*"), alias="__count", select=True)
    return query


def bounded(query: Any, *, one: bool, max_rows: int) -> tuple[Any, int | None]:
    """A copy of ``query`` that ends somewhere: at its slice, at the first row, or one row behind
    ``max_rows``, so that it is noticed; with the bound that is left to check."""
    clone = query.clone()
    if one:
        clone.set_limits(high=1)
        return clone, None
    if query.high_mark is not None:
        return clone, None
    clone.set_limits(high=max_rows + 1)
    return clone, max_rows


def foreign_key(child: Any, parent: Any, by: str | None) -> Any:
    """The field of the model ``child`` that refers to ``parent``.

    Raises :class:`DeclarationError` where there is none, or there are several and none is named.
    """
    found = [
        field
        for field in child._meta.concrete_fields
        if isinstance(field, ForeignKey)
        and issubclass(parent, field.remote_field.model)
        and by in (None, field.name, field.attname)
    ]
    if len(found) == 1:
        return found[0]
    names = f"{child.__name__} to {parent.__name__}"
    if found:
        fields = " or ".join(f'by="{field.name}"' for field in found)
        raise DeclarationError(f"a nested list may go by several fields of {names}", fields)
    said = "no foreign key" if by is None else f"no foreign key `{by}`"
    raise DeclarationError(f"a nested list has {said} of {names}", "name the right one: `by=...`")
