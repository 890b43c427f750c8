"""``diff``: what a new configuration lets through that the old one did not, and the other way."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import re
import secrets
from typing import Any

from ..config import LoadedConfig, RunOptions, load
from ..config.compare import Change, Kind, limit, server, slot
from ..config.resolved import Resolved, ResolvedRoute, Setting, resolve

#: What the exit code says of a policy that is loosened.
LOOSENED = 3

_DIGEST = re.compile(r"secret:[0-9a-f]{64}")
_KINDS: tuple[Kind, ...] = ("loosened", "tightened", "changed")

Key = tuple[str, str]


def diff(old: str, new: str, form: str) -> int:
    """Prints what changes; 0 where nothing is loosened, else 3."""
    found = [load(RunOptions(config=file), handlers=False) for file in (old, new)]
    for loaded in found:
        loaded.require()
    changes = _Comparison(*found).all()
    if form == "json":
        print(json.dumps([dataclasses.asdict(change) for change in changes], indent=2))
    else:
        print(text(changes))
    return LOOSENED if any(change.kind == "loosened" for change in changes) else 0


def text(changes: list[Change]) -> str:
    """What lets more through first; routes that change alike stand together."""
    lines: list[str] = []
    for kind in _KINDS:
        alike: dict[tuple[str, str], list[str]] = {}
        for change in changes:
            if change.kind == kind:
                where = f"{change.where}  {change.place}" if change.place else change.where
                alike.setdefault((change.slot, change.message), []).append(where)
        if alike:
            lines.append(kind)
        for (name, message), places in alike.items():
            lines.append(f"  {name}: {message}")
            lines += [f"      {place}" for place in places]
    counts = [sum(1 for change in changes if change.kind == kind) for kind in _KINDS]
    return "\n".join([*lines, "{} loosened, {} tightened, {} otherwise changed".format(*counts)])


class _Comparison:
    def __init__(self, old: LoadedConfig, new: LoadedConfig) -> None:
        key = secrets.token_bytes(32)

        def hide(secret: str) -> str:
            return f"secret:{hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()}"

        self.wires = old.wire, new.wire
        self.old, self.new = resolve(old, hide), resolve(new, hide)
        self.changes: list[Change] = []

    def all(self) -> list[Change]:
        for key in {**self.old.top, **self.new.top}:
            before, after = self.old.top.get(key), self.new.top.get(key)
            if _value(before) != _value(after):
                message = f"{_value(before)} → {_value(after)}"
                self.add("changed", "document", key, message, after)
        for key in {**self.old.server, **self.new.server}:
            before, after = self.old.server.get(key), self.new.server.get(key)
            for kind, message in server(key, _value(before), _value(after)):
                self.add(kind, "server", key, message, after)
        self.routes()
        return sorted(self.changes, key=lambda change: _KINDS.index(change.kind))

    def add(self, kind: Kind, where: str, name: str, message: str, setting: Setting | None) -> None:
        place = str(setting.origin[0]) if setting and setting.origin else None
        self.changes.append(Change(kind, where, name, _DIGEST.sub("***", message), place))

    def routes(self) -> None:
        old, new = _by_request(self.old), _by_request(self.new)
        gone, come = old.keys() - new.keys(), new.keys() - old.keys()
        instead = self.answering(1, gone) | self.answering(0, come)
        for key in sorted({**old, **new}, key=lambda key: (key[1], key[0])):
            before, after = old.get(key), new.get(key)
            either = after or before
            where = f"{key[0]} {either.path if either else key[1]}"
            if before is None or after is None:
                other = instead.get(key)
                self.one_sided(where, before, after, other)
                before, after = before or other, after or other
            if before is not None and after is not None:
                self.route(where, before, after)

    def answering(self, side: int, keys: set[Key]) -> dict[Key, ResolvedRoute]:
        """What answers requests of these routes on the side that does not declare them."""
        from .. import _engine

        ordered = sorted(keys)
        samples = [(method, re.sub(r"\{\*?[^}]*\}", "0pybolt", path)) for method, path in ordered]
        routes = (self.old, self.new)[side].routes
        found = zip(ordered, _engine.matches(self.wires[side], samples), strict=True)
        return {key: routes[number] for key, number in found if number is not None}

    def one_sided(
        self,
        where: str,
        before: ResolvedRoute | None,
        after: ResolvedRoute | None,
        other: ResolvedRoute | None,
    ) -> None:
        route = after or before
        assert route is not None
        told = Setting(None, None, route.declared)
        if other is not None:
            message = f"now by {other.path}" if after is None else f"so far by {other.path}"
            self.add("changed", where, "route", f"answered {message}", told)
        elif after is None:
            self.add("tightened", where, "route", "removed", told)
        elif after.slots["auth"].value == "public":
            self.add("loosened", where, "route", "added, and public", told)
        else:
            self.add("changed", where, "route", "added", told)

    def route(self, where: str, before: ResolvedRoute, after: ResolvedRoute) -> None:
        for key in {**before.slots, **after.slots}:
            setting = after.slots.get(key)
            for kind, message in slot(key, _value(before.slots.get(key)), _value(setting)):
                self.add(kind, where, key, message, setting)
        for name in {**before.limits, **after.limits}:
            setting = after.limits.get(name)
            old, new = _value(before.limits.get(name)) or None, _value(setting) or None
            for kind, message in limit(old, new) if old != new else []:
                self.add(kind, where, f"rate_limit.{name}", message, setting)
        (_, old_target), (_, new_target) = before.target, after.target
        if (before.target[0], old_target.value) != (after.target[0], new_target.value):
            self.add("changed", where, after.target[0], "answers otherwise", new_target)


def _value(setting: Setting | None) -> Any:
    return None if setting is None else setting.value


def _by_request(resolved: Resolved) -> dict[Key, ResolvedRoute]:
    """Routes by method and by path, whatever parameters are called."""
    return {
        (method, re.sub(r"\{(\*?)[^}]*\}", r"{\1}", route.path)): route
        for route in resolved.routes
        for method in route.methods
    }
