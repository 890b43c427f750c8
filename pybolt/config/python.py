"""An api's declarations as a document, and where each of them is written."""

from __future__ import annotations

from typing import Any

from ..routing import BoltAPI, Group, Route, _Declares, slots_to_config
from .diagnostics import Location, Position
from .yaml import Table


class ApiDocument:
    """``api`` as document number ``index``: its configuration, its handlers by location."""

    def __init__(self, api: BoltAPI, index: int, table: Table) -> None:
        self.table = table
        self.handlers: dict[Location, Route] = {}
        root: Location = (index,)
        self._place(root, api)
        self._slots((*root, "defaults"), api)
        self.config: dict[str, Any] = {"version": 1, "defaults": slots_to_config(api.slots)}
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
        return route.to_config()

    def _group(self, at: Location, group: Group) -> dict[str, Any]:
        self._place(at, group)
        config: dict[str, Any] = {"prefix": group.prefix}
        if group.name is not None:
            config["name"] = group.name
        return config | slots_to_config(group.slots) | self._members(at, group)

    def _slots(self, at: Location, owner: _Declares) -> None:
        self._place(at, owner)

    def _place(self, at: Location, owner: _Declares) -> None:
        position = Position(owner.source.file, owner.source.line)
        self.table.values[at] = self.table.keys[at] = position
