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
from ..config.compare import Change, Kind, asks_nobody, limit, server, slot, target
from ..config.resolved import Resolved, ResolvedRoute, Setting, resolve

#: What the exit code says of a policy that is loosened.
LOOSENED = 3

_DIGEST = re.compile(r"secret:[0-9a-f]{64}")
_KINDS: tuple[Kind, ...] = ("loosened", "tightened", "changed")

Key = tuple[str, str]
Routes = dict[Key, ResolvedRoute]


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
        self.old, self.new = resolve(old, hide, keys=True), resolve(new, hide, keys=True)
        self.changes: list[Change] = []
        #: The routes whose policies were compared, by method.
        self.compared: set[tuple[str, int, int]] = set()

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
        self.shadowed(old, new, gone, come)
        self.counted_apart(old, new)

    def shadowed(self, old: Routes, new: Routes, gone: set[Key], come: set[Key]) -> None:
        """A route that has come or gone, and another one, may share some paths only: a request of
        both is answered by the narrower one."""
        samples = {
            (method, path)
            for keys, others in ((come, old), (gone, new))
            for method, pattern in sorted(keys)
            for other_method, other in others
            if other_method == method and (path := shared(pattern, other)) is not None
        }
        ordered = sorted(samples)
        for sample, before, after in zip(ordered, *self.found(ordered), strict=True):
            if before is not None and after is not None:
                pair = self.old.routes[before], self.new.routes[after]
                self.route(" ".join(sample), *pair)

    def found(self, samples: list[Key]) -> list[list[int | None]]:
        """The numbers of the routes that answer requests, before and after."""
        from .. import _engine

        return [_engine.matches(wire, samples) for wire in self.wires]

    def counted_apart(self, old: Routes, new: Routes) -> None:
        """Routes that no longer share the counts of a limit admit more together."""
        before, after = (_counts(routes) for routes in (old, new))
        for (key, name), sharing in before.items():
            others = after.get((key, name))
            apart = sorted((sharing - others) & new.keys()) if others is not None else []
            apart = [other for other in apart if (other, name) in after]
            if apart and "route" not in texts(old[key].limits[name].value.get("key")):
                message = f"no longer counted together with {' '.join(apart[0])}"
                setting = new[key].limits[name]
                self.add("loosened", " ".join(key), f"rate_limit.{name}", message, setting)

    def answering(self, side: int, keys: set[Key]) -> dict[Key, ResolvedRoute]:
        """What answers requests of these routes on the side that does not declare them."""
        from .. import _engine

        ordered = sorted(keys)
        samples = [(method, _filled(path)) for method, path in ordered]
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
        elif asks_nobody(after.slots["auth"].value):
            self.add("loosened", where, "route", "added, and asks nobody who they are", told)
        else:
            self.add("changed", where, "route", "added", told)

    def route(self, where: str, before: ResolvedRoute, after: ResolvedRoute) -> None:
        pair = where.split(" ")[0], id(before), id(after)
        if pair in self.compared:
            return
        self.compared.add(pair)
        for key in {**before.slots, **after.slots}:
            setting = after.slots.get(key)
            for kind, message in slot(key, _value(before.slots.get(key)), _value(setting)):
                self.add(kind, where, key, message, setting)
        for name in {**before.limits, **after.limits}:
            setting = after.limits.get(name)
            old, new = _value(before.limits.get(name)) or None, _value(setting) or None
            for kind, message in limit(old, new) if old != new else []:
                self.add(kind, where, f"rate_limit.{name}", message, setting)
        answers = [(key, setting.value) for key, setting in (before.target, after.target)]
        for kind, message in target(*answers):
            self.add(kind, where, after.target[0], message, after.target[1])


def _value(setting: Setting | None) -> Any:
    return None if setting is None else setting.value


def texts(value: Any) -> list[str]:
    """One or several."""
    return value if isinstance(value, list) else [value]


def _filled(path: str) -> str:
    """A path that a pattern matches."""
    return re.sub(r"\{\*?[^}]*\}", "0pybolt", path)


def shared(one: str, other: str) -> str | None:
    """A path that both patterns match, the narrowest there is; ``None`` where there is none."""
    path: list[str] = []
    left, right = one.split("/"), other.split("/")
    while left and right:
        first, second = left.pop(0), right.pop(0)
        if first.startswith("{*") or second.startswith("{*"):
            rest = [second, *right] if first.startswith("{*") else [first, *left]
            return "/".join([*path, *map(_filled, rest)])
        for segment, pattern in ((_filled(first), second), (_filled(second), first)):
            if re.fullmatch(re.sub(r"\\\{.*?\\\}", ".+", re.escape(pattern)), segment):
                path.append(segment)
                break
        else:
            return None
    return None if left or right else "/".join(path)


def _counts(routes: Routes) -> dict[tuple[Key, str], set[Key]]:
    """For each limit of each route the routes that it counts together: those that have it from the
    same place."""
    places: dict[tuple[str, str], set[Key]] = {}
    found = [
        (key, name, str(setting.origin[-1]))
        for key, route in routes.items()
        for name, setting in route.limits.items()
        if setting.value and setting.origin
    ]
    for key, name, place in found:
        places.setdefault((name, place), set()).add(key)
    return {(key, name): places[name, place] for key, name, place in found}


def _by_request(resolved: Resolved) -> Routes:
    """Routes by method and by path, whatever parameters are called."""
    return {
        (method, re.sub(r"\{(\*?)[^}]*\}", r"{\1}", route.path)): route
        for route in resolved.routes
        for method in route.methods
    }
