"""Conditions left out: what a query is where optional parameters are not given.

A condition is left out where that is what everybody would read it as: where it is one of those
that must all hold, or an OR of nothing but conditions of the same parameter. The tables that only
it joined are left out with it, as Django counts them.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

from django.db.models.expressions import Col
from django.db.models.lookups import Lookup
from django.db.models.sql.constants import INNER
from django.db.models.sql.where import AND, WhereNode

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


class _Leaving:
    def __init__(self, query: Any, absent: Collection[Param]) -> None:
        self.query = query
        self.absent = absent
        #: Table by table, how often the conditions that are left out name it, and for whom.
        self.aliases: list[tuple[str, Param]] = []

    def conditions(self, node: Any) -> Any:
        clone = copy.copy(node)
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
            self._note(child, gone[0])
        return bool(gone)

    def _note(self, node: Any, param: Param) -> None:
        if isinstance(node, WhereNode):
            for child in node.children:
                self._note(child, param)
            return
        for alias in self._named(node.lhs):
            self.aliases.append((alias, param))

    def _named(self, lhs: Any) -> set[str]:
        """The tables that Django joined for ``lhs``, which an annotation of the query is not."""
        if any(lhs is annotation for annotation in self.query.annotations.values()):
            return set()
        if isinstance(lhs, Col):
            return {lhs.alias}
        return set().union(*(self._named(one) for one in lhs.get_source_expressions() if one))

    def tables(self) -> None:
        """Counts the tables down, with those that they were reached by."""
        for alias, param in self.aliases:
            at = alias
            while parent := self.query.alias_map[at].parent_alias:
                self.query.unref_alias(at)
                self._check(at, param)
                at = parent

    def _check(self, alias: str, param: Param) -> None:
        join = self.query.alias_map[alias]
        if self.query.alias_refcount[alias] <= 0 or not getattr(join, "nullable", False):
            return
        # It was made an inner join, maybe by the condition that is left out alone.
        if join.join_type == INNER and not self._is_needed(self.query.where, alias):
            raise Ambiguous(
                param,
                f"looks into `{join.table_name}`, which the query also reads otherwise: without it "
                "there may be rows that have none",
                "declare two routes, or look for it in a subquery: `field__in=Model.objects.filter"
                "(...)` with a parameter that is not optional",
            )

    def _is_needed(self, where: Any, alias: str) -> bool:
        """Whether another condition leaves no rows that have nothing there."""
        return any(
            (
                isinstance(child, WhereNode)
                and child.connector == AND
                and not child.negated
                and self._is_needed(child, alias)
            )
            or (
                isinstance(child, Lookup)
                and child.lookup_name != "isnull"
                and alias in self._named(child.lhs)
            )
            for child in where.children
        )


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
