"""An api's declarations as a document, and where each of them is written."""

from __future__ import annotations

from typing import Any

from ..middleware import RateLimit
from ..routing import BoltAPI, Group, Route, _Declares, slots_to_config
from .diagnostics import Location, Position
from .yaml import Table


class ApiDocument:
    """``api`` as document number ``index``: its configuration, its handlers by location."""

    def __init__(self, api: BoltAPI, index: int, table: Table) -> None:
        self.table = table
        self.handlers: dict[Location, Route] = {}
        #: Limits that were given without a name.
        self.nameless: dict[Location, RateLimit] = {}
        root: Location = (index,)
        self._place(root, api)
        self._place((*root, "defaults"), api)
        self.config: dict[str, Any] = {
            "version": 1,
            "defaults": self._slots((*root, "defaults"), api.slots),
        }
        self.config |= self._members(root, api)

    def _members(self, at: Location, owner: _Declares) -> dict[str, Any]:
        members: dict[str, Any] = {}
        if owner.routes:
            members["routes"] = [
                self._route((*at, "routes", number), route)
                for number, route in enumerate(owner.routes)
            ]
        if owner.groups:
            members["groups"] = [
                self._group((*at, "groups", number), group)
                for number, group in enumerate(owner.groups)
            ]
        return members

    def _route(self, at: Location, route: Route) -> dict[str, Any]:
        position = Position(route.source.file, route.source.line)
        self.table.values[at] = self.table.keys[at] = position
        self.handlers[at] = route
        self._slots(at, route.slots)
        return route.to_config()

    def _group(self, at: Location, group: Group) -> dict[str, Any]:
        self._place(at, group)
        config: dict[str, Any] = {"prefix": group.prefix}
        if group.name is not None:
            config["name"] = group.name
        return config | self._slots(at, group.slots) | self._members(at, group)

    def _slots(self, at: Location, slots: dict[str, Any]) -> dict[str, Any]:
        limit = slots.get("rate_limit")
        if isinstance(limit, RateLimit):
            self.nameless[(*at, "rate_limit")] = limit
        return slots_to_config(slots)

    def _place(self, at: Location, owner: _Declares) -> None:
        position = Position(owner.source.file, owner.source.line)
        self.table.values[at] = self.table.keys[at] = position
