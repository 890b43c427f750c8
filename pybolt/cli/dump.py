"""``dump``: the configuration that holds, with the origin of every value."""

from __future__ import annotations

import json
import re
from typing import Any

from ..config import RunOptions, load
from ..config.diagnostics import Position
from ..config.resolved import HIDDEN, Resolved, ResolvedRoute, Setting, resolve

_HEAD = f"""\
# What holds once documents are merged, slots inherited and references resolved. Secrets are
# {HIDDEN}. A limit that is written in place counts for each route by itself if this is loaded.
version: 1
"""


def dump(options: RunOptions, form: str) -> int:
    """Prints it; mistakes are ``check``'s to list, and end this too."""
    loaded = load(options)
    loaded.require()
    resolved = resolve(loaded)
    if form == "json":
        print(json.dumps(resolved.to_json(), indent=2, ensure_ascii=False))
    else:
        print(text(resolved), end="")
    return 0


def text(resolved: Resolved) -> str:
    """As YAML: a document that can be loaded again, but for its secrets."""
    lines = _HEAD.splitlines()
    for key, setting in resolved.top.items():
        if key != "version" and key != "app":
            lines.append(_line(key, setting))
    lines.append("server:")
    lines += [f"  {_line(key, setting)}" for key, setting in resolved.server.items()]
    if resolved.define:
        lines.append("define:")
    for kind, named in resolved.define.items():
        lines.append(f"  {kind}:")
        lines += [f"    {_line(name, setting)}" for name, setting in named.items()]
    inherited = [f"  {_line(key, setting)}" for key, setting in resolved.defaults.items()]
    inherited += _limits(resolved.default_limits, "  ")
    lines += ["defaults:", *inherited] if inherited else []
    lines += ["routes:"] if resolved.routes else []
    for route in resolved.routes:
        lines += _route(route, resolved)
    return "\n".join(lines) + "\n"


def _route(route: ResolvedRoute, resolved: Resolved) -> list[str]:
    key, target = route.target
    lines = [
        f"  - path: {flow(route.path)}{_comment(route.declared)}",
        f"    methods: {flow(list(route.methods))}",
    ]
    if route.name is not None:
        lines.append(f"    name: {flow(route.name)}")
    if key != "django":
        # What names nothing is the project's.
        lines.append(f"    {_line(key, target)}")
    lines += [f"    {_line(slot, setting)}" for slot, setting in route.slots.items()]
    switched_off = resolved.default_limits.keys() - route.limits.keys()
    off = {name: Setting(False, False, route.limited) for name in sorted(switched_off)}
    return lines + _limits(route.limits | off, "    ")


def _limits(limits: dict[str, Setting], indent: str) -> list[str]:
    if not limits:
        return []
    lines = [f"{indent}  {_line(name, setting)}" for name, setting in limits.items()]
    return [f"{indent}rate_limit:", *lines]


def _line(key: str, setting: Setting) -> str:
    return f"{flow(key)}: {flow(setting.written)}{_comment(setting.origin)}"


def _comment(origin: tuple[Position, ...]) -> str:
    places = [str(place).rsplit(":", 1)[0] for place in origin]
    return "  # " + (" → define ".join(places) or "default")


def flow(value: Any) -> str:
    """A value as YAML on one line; what would be a reference is spelled out."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        reserved = value.lower() in ("on", "off", "true", "false", "yes", "no", "null", "y", "n")
        plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9_/-]*|[0-9]+(/[0-9]+)?[A-Za-z]+", value)
        if plain and not reserved:
            return value
        return json.dumps(value, ensure_ascii=False).replace("$", "$$")
    return json.dumps(value)
