"""Conditions left out: what a query is where optional parameters are not given.

A condition is left out where that is what everybody would read it as: where it is one of those
that must all hold, or an OR of nothing but conditions of the same parameter. The tables that only
it joined are left out with it, as Django counts them.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any, cast

from django.db.models.expressions import Col
from django.db.models.lookups import Lookup
from django.db.models.sql.constants import INNER
from django.db.models.sql.datastructures import Join
from django.db.models.sql.where import AND, OR, WhereNode

from ..exceptions import DeclarationError
from .declare import Param
from .fill import compared_with, params_of, parts_of


class Ambiguous(DeclarationError):
    """A condition of an optional parameter that cannot be left out."""

    def __init__(self, param: Param, why: str, hint: str) -> None:
        super().__init__(f"the optional parameter `{param.name}` {why}", hint)


def without(query: Any, absent: Collection[Param]) -> Any:
    """A copy of ``query`` without the conditions of the ``absent`` parameters.

    Raises :class:`Ambiguous` where that could mean several things.
    """
    if not absent:
        return query
    clone = query.clone()
    leaving = _Leaving(clone, absent)
    clone.where = leaving.conditions(clone.where)
    for part in parts_of(clone):
        for param in params_of(part):
            if param in absent:
                raise Ambiguous(
                    param,
                    "stands where its condition cannot be left out",
                    "use it in a condition of `filter(...)` that stands for itself, not below "
                    "`exclude`, `~` or `|`, not in an expression and not in a subquery",
                )
    leaving.tables()
    return clone


class Gone(Join):  # type: ignore[misc]
    """A join that is no longer there: it keeps its name, and nothing joins by it again."""

    @classmethod
    def of(cls, join: Any) -> Gone:
        """The same join, gone."""
        gone = copy.copy(join)
        gone.__class__ = cls
        return cast("Gone", gone)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # type: ignore[assignment]


class _Leaving:
    def __init__(self, query: Any, absent: Collection[Param]) -> None:
        self.query = query
        self.absent = absent
        #: The tables that conditions which are left out look into, as often as they do.
        self.aliases: list[str] = []

    def conditions(self, node: Any) -> Any:
        """What is left of the conditions of ``node``, which is the root or one that must hold."""
        clone = copy.copy(node)
        if node.connector != AND or node.negated:
            if self._is_left_out(node):
                clone.children = []
            return clone
        clone.children = []
        for child in node.children:
            if isinstance(child, WhereNode) and child.connector == AND and not child.negated:
                child = self.conditions(child)
                if child.children:
                    clone.children.append(child)
            elif not self._is_left_out(child):
                clone.children.append(child)
        return clone

    def _is_left_out(self, child: Any) -> bool:
        params = _only_of(child)
        gone = [param for param in params or () if param in self.absent]
        if params and 0 < len(gone) < len(params):
            raise Ambiguous(
                gone[0],
                "is one of several values of a condition",
                "write a condition for each: `__gte` and `__lte` in place of `__range`",
            )
        if gone:
            self._note(child)
        return bool(gone)

    def _note(self, node: Any) -> None:
        if isinstance(node, WhereNode):
            for child in node.children:
                self._note(child)
            return
        # Django has one object for a column, so that this may be an annotation itself: then the
        # table is joined for that, and stays.
        annotations = self.query.annotations.values()
        if not any(node.lhs is annotation for annotation in annotations):
            self.aliases += [one.alias for one in _columns_of(node.lhs)]

    def tables(self) -> None:
        """Counts the tables down, with those that they were reached by, and looks whether the rest
        are joined as they would have been."""
        touched = set()
        for alias in self.aliases:
            at = alias
            while parent := self.query.alias_map[at].parent_alias:
                self.query.unref_alias(at)
                touched.add(at)
                at = parent
        for alias, join in list(self.query.alias_map.items()):
            if not isinstance(join, Join):
                continue
            if self.query.alias_refcount[alias] <= 0:
                self.query.alias_map[alias] = Gone.of(join)
            elif join.nullable and not self._is_needed(self.query.where, alias):
                self._join_as_before(alias, touched)

    def _join_as_before(self, alias: str, touched: Collection[str]) -> None:
        """Has a table be joined as no condition asks for it: so that rows without one stay.

        Refuses one of which there may be several, which the rest maybe would have of its own.
        """
        join = self.query.alias_map[alias]
        is_apart = join.join_field.one_to_many
        if is_apart and (join.join_type == INNER or alias in touched):
            raise Ambiguous(
                next(iter(self.absent)),
                f"may be why the query reads `{join.table_name}` as it does: without it there "
                "may be other rows",
                "declare two routes, or look for it in a subquery: `field__in=Model.objects."
                "filter(...)` with a parameter that is not optional",
            )
        self.query.promote_joins([alias])

    def _is_needed(self, node: Any, alias: str) -> bool:
        """Whether a condition leaves no rows that have nothing in a table."""
        if isinstance(node, WhereNode):
            each = (self._is_needed(child, alias) for child in node.children)
            if node.negated or not node.children:
                return False
            return any(each) if node.connector == AND else node.connector == OR and all(each)
        if not isinstance(node, Lookup) or (node.lookup_name == "isnull" and node.rhs is not False):
            return False
        join = self.query.alias_map[alias]
        keys = {(join.parent_alias, column) for column, _ in join.join_cols}
        return any(
            alias in self._ways_to(one.alias) or (one.alias, one.target.column) in keys
            for one in _columns_of(node.lhs)
        )

    def _ways_to(self, alias: str) -> Iterator[str]:
        while join := self.query.alias_map.get(alias):
            yield alias
            alias = join.parent_alias


def _columns_of(node: Any) -> Iterator[Any]:
    if isinstance(node, Col):
        yield node
        return
    for one in node.get_source_expressions():
        if one is not None:
            yield from _columns_of(one)


def _only_of(node: Any) -> frozenset[Param] | None:
    """The parameters without any of which ``node`` says nothing; ``None`` where it says more."""
    if isinstance(node, Lookup):
        params = compared_with(node)
        return frozenset(params) if params and not any(params_of(node.lhs)) else None
    if isinstance(node, WhereNode) and not node.negated and node.children:
        each = {_only_of(child) for child in node.children}
        if len(each) == 1:
            return each.pop()
    return None
