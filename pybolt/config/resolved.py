"""What holds for every route once documents are merged, slots inherited and references resolved."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .diagnostics import Location, Position
from .load import LoadedConfig
from .schema import Schema, blocks, schema

#: How a secret is shown.
HIDDEN = "***"

_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)(?=@)")


@dataclasses.dataclass(frozen=True)
class Setting:
    """A value as it is written, in full (with its defaults), and where it comes from."""

    written: Any
    value: Any
    origin: tuple[Position, ...] = ()
    name: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As ``bolt dump --format json`` shows it."""
        shown = {"value": self.value, "origin": [str(place) for place in self.origin]}
        return shown if self.name is None else shown | {"name": self.name}


@dataclasses.dataclass(frozen=True)
class ResolvedRoute:
    """A route with its effective slots; ``limits`` are those of ``rate_limit``. The target is a key
    of the route with its value, or ``django`` where none says what answers it."""

    path: str
    methods: tuple[str, ...]
    name: str | None
    target: tuple[str, Setting]
    declared: tuple[Position, ...]
    slots: dict[str, Setting]
    limits: dict[str, Setting]
    #: Where `rate_limit` is set last: what switches off limits of the defaults.
    limited: tuple[Position, ...]

    def to_json(self) -> dict[str, Any]:
        """As ``bolt dump --format json`` shows it."""
        key, target = self.target
        return {
            "path": self.path,
            "methods": list(self.methods),
            "name": self.name,
            key: target.value,
            "declared": [str(place) for place in self.declared],
            "slots": {key: setting.to_json() for key, setting in self.slots.items()},
            "limits": {name: setting.to_json() for name, setting in self.limits.items()},
        }


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A whole configuration."""

    top: dict[str, Setting]
    server: dict[str, Setting]
    define: dict[str, dict[str, Setting]]
    defaults: dict[str, Setting]
    default_limits: dict[str, Setting]
    routes: list[ResolvedRoute]

    def to_json(self) -> dict[str, Any]:
        """As ``bolt dump --format json`` shows it."""

        def plain(settings: dict[str, Setting]) -> dict[str, Any]:
            return {key: setting.to_json() for key, setting in settings.items()}

        return {
            **plain(self.top),
            "server": plain(self.server),
            "define": {kind: plain(named) for kind, named in self.define.items()},
            "defaults": {"slots": plain(self.defaults), "limits": plain(self.default_limits)},
            "routes": [route.to_json() for route in self.routes],
        }


def resolve(
    loaded: LoadedConfig, hide: Callable[[str], str] = lambda _: HIDDEN, *, keys: bool = False
) -> Resolved:
    """Resolves what was loaded without a mistake; each secret is what ``hide`` makes of it.

    Relative directories and files begin where the first document is. ``keys``: a file of keys is
    what is in it, and that a secret.
    """
    return _Resolving(loaded, hide, keys).all()


class _Resolving:
    def __init__(self, loaded: LoadedConfig, hide: Callable[[str], str], keys: bool) -> None:
        from .. import _engine

        self.loaded = loaded
        self.found = json.loads(_engine.effective(loaded.wire))
        self.has_auth: bool = loaded.server["has_auth"]
        self.schema = schema()
        documents = json.loads(loaded.wire)["documents"]
        self.documents = [document["config"] for document in documents]
        for place, root in loaded.roots.items():
            _at(self.documents, place[:-1])["root"] = root
        base = documents[0]["directory"] if documents else ""
        for document in documents:
            _rebase(document["config"], document["directory"], base, hide if keys else None)
        for place in {*map(tuple, self.found["secrets"]), *loaded.hidden}:
            _hide(self.documents, place, hide)
        self.documents = _without_passwords(self.documents, hide)
        self.named: dict[str, dict[str, tuple[Any, Location]]] = {}
        for number, config in enumerate(self.documents):
            for kind, named in config.get("define", {}).items():
                for name, value in named.items():
                    at = (number, "define", kind, name)
                    self.named.setdefault(kind, {})[name] = (value, at)

    def all(self) -> Resolved:
        document = self.schema["$defs"]["Document"]["properties"]
        server = self.schema["$defs"]["Server"]["properties"]
        sections = {"server", "define", "defaults", "groups", "routes", "include"}
        top: dict[str, Setting] = {}
        settings: dict[str, Setting] = {}
        for number, config in enumerate(self.documents):
            for key in config.keys() - sections:
                top[key] = self.setting(document[key], (number, key))
            for key in config.get("server", {}):
                settings[key] = self.setting(server[key], (number, "server", key))
        for key, part in server.items():
            if key not in settings and (filled := _filled_in(self.schema, part)) is not None:
                settings[key] = Setting(filled, filled)
        define = {
            kind: {name: self.definition(kind, name) for name in named}
            for kind, named in self.named.items()
        }
        defaults, limits = self.defaults()
        return Resolved(
            {key: top[key] for key in document if key in top},
            {key: settings[key] for key in server if key in settings},
            define,
            defaults,
            limits,
            [self.route(found) for found in self.found["routes"]],
        )

    def defaults(self) -> tuple[dict[str, Setting], dict[str, Setting]]:
        slots: dict[str, Setting] = {}
        limits: dict[str, Setting] = {}
        for number, config in enumerate(self.documents):
            for key, value in config.get("defaults", {}).items():
                at: Location = (number, "defaults", key)
                if key != "rate_limit":
                    slots[key] = self.slot(key, at)
                elif isinstance(value, dict):
                    limits |= {name: self.limit(name, (*at, name)) for name in value}
        return slots, limits

    def route(self, found: dict[str, Any]) -> ResolvedRoute:
        slots = {key: self.slot(key, tuple(at)) for key, at in found["slots"]}
        if "auth" not in slots:
            value = "deny" if self.has_auth else "public"
            slots["auth"] = Setting(value, value)
        for key, part in self.schema["$defs"]["Route"]["properties"].items():
            if key not in slots and key in _slots(self.schema) and "default" in part:
                slots[key] = Setting(part["default"], part["default"])
        return ResolvedRoute(
            path=found["path"],
            methods=tuple(found["methods"]),
            name=found["name"],
            target=self.target(found["target"]),
            declared=self.places([tuple(at) for at in found["locations"]], "key"),
            slots=slots,
            limits={name: self.limit(name, tuple(at)) for name, at in found["limits"]},
            limited=self.places([tuple(found["no_limits"] or ())]),
        )

    def target(self, at: list[Any] | None) -> tuple[str, Setting]:
        """What answers a route: the key that says so, and its value."""
        if at is None:
            return "django", Setting(True, True)
        target = tuple(at)
        answer = self.setting(self.schema["$defs"]["Route"]["properties"][target[-1]], target)
        if isinstance(answer.value, dict) and target[-1] in ("handler", "query"):
            name = answer.value["name"]
            answer = dataclasses.replace(answer, written=name, value=name)
        return target[-1], answer

    def slot(self, key: str, at: Location) -> Setting:
        """A slot's value; the definition that it names in full."""
        value = _at(self.documents, at)
        part = self.schema["$defs"]["Route"]["properties"][key]
        if key == "auth" and isinstance(value, dict) and "any" in value:
            methods = [self.method(method) for method in value["any"]]
            return Setting(value, value | {"any": methods}, self.places([at]))
        if isinstance(value, str) and value in self.named.get(key, {}):
            return self.naming(key, value, value, at)
        return self.setting(part, at)

    def method(self, written: Any) -> Any:
        """A method among several, in full."""
        if isinstance(written, str) and written in self.named.get("auth", {}):
            return self.definition("auth", written).value
        return _in_full(self.schema, self.schema["$defs"]["Route"]["properties"]["auth"], written)

    def limit(self, name: str, at: Location) -> Setting:
        """A limit; ``on`` is the definition of its own name."""
        value = _at(self.documents, at)
        if value is True or value in ("on", "true"):
            return self.naming("rate_limit", name, value, at)
        if isinstance(value, str) and value in self.named.get("rate_limit", {}):
            return self.naming("rate_limit", value, value, at)
        if isinstance(value, dict) and "rate" not in value:
            # The definition of the same name, changed.
            named, _ = self.named["rate_limit"][name]
            part = self.schema["$defs"]["Define"]["properties"]["rate_limit"]
            full = _in_full(self.schema, part["additionalProperties"], named | value)
            return dataclasses.replace(self.naming("rate_limit", name, value, at), value=full)
        return self.setting(
            self.schema["$defs"]["Define"]["properties"]["rate_limit"]["additionalProperties"], at
        )

    def naming(self, kind: str, name: str, written: Any, at: Location) -> Setting:
        definition = self.definition(kind, name)
        origin = (*self.places([at]), *definition.origin)
        return Setting(written, definition.value, origin, name)

    def definition(self, kind: str, name: str) -> Setting:
        value, at = self.named[kind][name]
        part = self.schema["$defs"]["Define"]["properties"][kind]["additionalProperties"]
        return Setting(value, _in_full(self.schema, part, value), self.places([at], "key"))

    def setting(self, part: Schema, at: Location) -> Setting:
        value = _at(self.documents, at)
        return Setting(value, _in_full(self.schema, part, value), self.places([at]))

    def places(self, locations: list[Location], target: str = "value") -> tuple[Position, ...]:
        found = (self.loaded.locate(location, target) for location in locations)
        return tuple(place for place in found if place is not None)


def _slots(whole: Schema) -> dict[str, Schema]:
    found: dict[str, Schema] = whole["$defs"]["Document"]["properties"]["defaults"]["properties"]
    return found


def _at(documents: list[Any], at: Location) -> Any:
    found: Any = documents
    for key in at:
        found = found[key]
    return found


def _rebase(value: Any, directory: str, base: str, hide: Callable[[str], str] | None) -> None:
    """Has what names a file or a directory name it from ``base``; ``hide``: a file of keys is what
    this makes of its content."""
    if isinstance(value, list):
        for item in value:
            _rebase(item, directory, base, hide)
    elif isinstance(value, dict):
        for key, item in value.items():
            _rebase(item, directory, base, hide)
            name = {"files": "root", "jwks": "file"}.get(key)
            path = item.get(name) if isinstance(item, dict) and name else None
            if not isinstance(path, str) or (name, path) == ("root", "django"):
                continue
            if name == "file" and hide is not None:
                item[name] = hide(Path(directory, path).read_text())
            elif directory != base and not os.path.isabs(path):
                item[name] = os.path.join(os.path.relpath(directory, base), path)


def _hide(documents: list[Any], at: Location, hide: Callable[[str], str]) -> None:
    owner = _at(documents, at[:-1])
    value = owner[at[-1]]
    if value != HIDDEN:
        owner[at[-1]] = hide(value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def _without_passwords(value: Any, hide: Callable[[str], str]) -> Any:
    """The value with the passwords of its URLs hidden."""
    if isinstance(value, dict):
        return {key: _without_passwords(item, hide) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_passwords(item, hide) for item in value]
    if isinstance(value, str) and "://" in value:
        return _PASSWORD.sub(lambda found: f"{found[1]}:{hide(found[2])}", value)
    return value


def _in_full(whole: Schema, part: Schema, value: Any) -> Any:
    """A value with the defaults of what it leaves out; switches are booleans."""
    if isinstance(value, list):
        return [_in_full(whole, part.get("items", {}), item) for item in value]
    candidates = blocks(whole, part)
    if value in ("on", "true", "off", "false") and _is_switch(part):
        value = value in ("on", "true")
    if value is True and len(candidates) == 1 and not candidates[0].get("required"):
        value = {}
    if not isinstance(value, dict):
        return value
    kinds = [c for c in candidates if _tag(c) in (None, value.get("type"))]
    tagged = [c for c in kinds if _tag(c) is not None] or kinds
    if not tagged:
        return value
    full = {}
    for key, field in tagged[0]["properties"].items():
        if key in value:
            full[key] = _in_full(whole, field, value[key])
        elif "default" in field:
            full[key] = copy.deepcopy(field["default"])
    return full


def _tag(found: Schema) -> Any:
    return found["properties"].get("type", {}).get("const")


def _is_switch(part: Schema) -> bool:
    variants = [part, *part.get("anyOf", ())]
    nested = [inner for variant in variants for inner in variant.get("anyOf", ())]
    return any(False in variant.get("enum", ()) for variant in [*variants, *nested])


def _filled_in(whole: Schema, part: Schema) -> Any:
    """What holds where nothing is written; ``None`` where that is nothing."""
    if "default" in part:
        return part["default"]
    return _in_full(whole, part, {}) or None if blocks(whole, part) else None
