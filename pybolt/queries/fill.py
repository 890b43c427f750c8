"""Values put into a query in place of its parameters, through Django's own lookups.

Each lookup that compares with a parameter is made anew, by its own class and with the value, so
that its SQL is exactly what Django makes of ``filter(name=value)``.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db.models import Value
from django.db.models.expressions import ExpressionList
from django.db.models.lookups import IsNull, Lookup
from django.db.models.sql import Query
from django.utils.tree import Node

from ..exceptions import DeclarationError
from .declare import Param
from .placeholders import Placeholder


def fill(query: Any, values: Mapping[Param, Any]) -> Any:
    """A copy of ``query``, a ``django.db.models.sql.Query``, with ``values`` in it. It shares no
    query below it: Django counts in them while it compiles, and other threads do as well.

    Raises what Django raises for a value that does not fit, and :class:`DeclarationError` where a
    parameter has no value.
    """
    return _Filling(values).query(query)


class _Filling:
    def __init__(self, values: Mapping[Param, Any]) -> None:
        self.values = values
        #: The copies by what they are of, which is kept with them: what stands in several places,
        #: as an annotation that is grouped by does, is one afterwards as well.
        self.made: dict[int, tuple[Any, Any]] = {}

    def query(self, query: Any) -> Any:
        return self._once(query, self._query)

    def node(self, node: Any) -> Any:
        """The same, with values; itself where there is no parameter and no query in it."""
        return self._once(node, self._node)

    def _once(self, one: Any, copied: Callable[[Any], Any]) -> Any:
        if id(one) not in self.made:
            self.made[id(one)] = one, copied(one)
        return self.made[id(one)][1]

    def _query(self, query: Any) -> Any:
        clone = query.clone()
        clone.where = self.node(clone.where)
        clone.annotations = {name: self.node(one) for name, one in clone.annotations.items()}
        clone.select = tuple(map(self.node, clone.select))
        clone.order_by = tuple(map(self.node, clone.order_by))
        clone.combined_queries = tuple(map(self.query, clone.combined_queries))
        if isinstance(clone.group_by, tuple):
            clone.group_by = tuple(map(self.node, clone.group_by))
        if hasattr(clone, "inner_query"):
            clone.inner_query = self.query(clone.inner_query)
        return clone

    def _node(self, node: Any) -> Any:
        if isinstance(node, Query):
            return self._query(node)
        if not any(params_of(node)) and not _has_query(node):
            return node
        if isinstance(node, Param | Placeholder):
            return Value(self.value(node)).resolve_expression()
        if isinstance(node, Value):
            clone = node.copy()
            clone.value = self.value(node.value)
            return clone
        if isinstance(node, Node):
            clone = copy.copy(node)
            clone.children = [self._child(child) for child in node.children]
            return clone
        if isinstance(node, Lookup) and compared_with(node):
            return type(node)(self.node(node.lhs), self._compared(node.rhs))
        clone = node.copy()
        clone.set_source_expressions([self.node(one) for one in node.get_source_expressions()])
        return clone

    def _child(self, child: Any) -> Any:
        if isinstance(child, tuple):
            name, value = child
            return name, self._compared(value) if _is_value(value) else self.node(value)
        return self.node(child)

    def _compared(self, rhs: Any) -> Any:
        if isinstance(rhs, ExpressionList):
            return [self._compared(one) for one in rhs.get_source_expressions()]
        if isinstance(rhs, list | tuple):
            return type(rhs)(map(self._compared, rhs))
        if isinstance(rhs, Param | Placeholder):
            return self.value(rhs)
        # A value that Django wrapped, because it stands beside a parameter.
        return rhs.value if type(rhs) is Value else rhs

    def value(self, node: Param | Placeholder) -> Any:
        param = node if isinstance(node, Param) else node.param
        try:
            return self.values[param]
        except KeyError:
            raise DeclarationError(f"the parameter `{param.name}` has no value here") from None


def _has_query(node: Any) -> bool:
    if isinstance(node, Query):
        return True
    if isinstance(node, Node):
        return any(map(_has_query, node.children))
    if hasattr(node, "get_source_expressions"):
        return any(map(_has_query, node.get_source_expressions()))
    return False


def _is_value(rhs: Any) -> bool:
    if isinstance(rhs, ExpressionList):
        rhs = rhs.get_source_expressions()
    if isinstance(rhs, list | tuple):
        return any(map(_is_value, rhs))
    return isinstance(rhs, Param | Placeholder)


def compared_with(lookup: Any) -> list[Param]:
    """The parameters that ``lookup`` compares with as plain values.

    Raises :class:`DeclarationError` for ``__isnull``, which decides how tables are joined.
    """
    if not _is_value(lookup.rhs):
        return []
    found = list(params_of(lookup.rhs))
    if isinstance(lookup, IsNull):
        raise DeclarationError(
            f"`__isnull` cannot be asked with the parameter `{found[0].name}`",
            "declare two routes, one with `__isnull=True`",
        )
    return found


@dataclasses.dataclass(frozen=True)
class Compared:
    """A lookup with the parameters that it compares with, the query that it is in, and whether it
    is a condition of it."""

    lookup: Any
    params: list[Param]
    query: Any
    is_condition: bool


def params_of(node: Any) -> Iterator[Param]:
    """Every parameter in a query, a condition or an expression, as often as it is there."""
    for place in places_of(node):
        yield place if isinstance(place, Param) else place.param


def places_of(node: Any) -> Iterator[Param | Placeholder]:
    """What stands for parameters; a :class:`Param` where Django has not resolved it yet."""
    if isinstance(node, Param | Placeholder):
        yield node
    elif isinstance(node, Query):
        for part in parts_of(node):
            yield from places_of(part)
    elif isinstance(node, Node):
        for child in node.children:
            yield from places_of(child[1] if isinstance(child, tuple) else child)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from places_of(item)
    elif isinstance(node, Value) and isinstance(node.value, Param):
        yield node.value
    elif hasattr(node, "get_source_expressions"):
        for source in node.get_source_expressions():
            yield from places_of(source)
        if isinstance(node, Lookup) and isinstance(node.rhs, list | tuple):
            yield from places_of(node.rhs)


def parts_of(query: Any) -> Iterator[Any]:
    """Where parameters may stand in a query, its conditions first."""
    yield query.where
    yield from query.annotations.values()
    yield from query.select
    yield from query.order_by
    yield from query.combined_queries
    if isinstance(query.group_by, tuple):
        yield from query.group_by
    if hasattr(query, "inner_query"):
        yield query.inner_query


def lookups_of(node: Any, query: Any = None, part: str = "") -> Iterator[Compared]:
    """Every lookup that compares with parameters."""
    if isinstance(node, Query):
        yield from lookups_of(node.where, node, "where")
        for other in parts_of(node):
            if other is not node.where:
                yield from lookups_of(other, node, "other")
        return
    if isinstance(node, Node):
        sources = node.children
    elif hasattr(node, "get_source_expressions"):
        sources = node.get_source_expressions()
    else:
        return
    if isinstance(node, Lookup):
        params = compared_with(node)
        if params:
            yield Compared(node, params, query, part == "where")
    for source in sources:
        yield from lookups_of(source, query, part)
