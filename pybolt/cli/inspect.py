"""``check``, ``routes`` and ``explain``: what a configuration says, without serving it."""

from __future__ import annotations

import json
from typing import Any

from ..config import LoadedConfig, RunOptions, load
from ..config.diagnostics import render


def check(options: RunOptions, form: str, *, strict: bool) -> int:
    """Prints every mistake and, if there is none, what everybody may use."""
    loaded = load(options)
    found = loaded.check()
    failed = any(item.is_error or strict for item in found)
    if form == "json":
        print(json.dumps([item.to_json() for item in found], indent=2))
        return int(failed)
    if found:
        print(render(found, strict=strict))
    if not failed:
        print(_public(loaded))
    return int(failed)


def _public(loaded: LoadedConfig) -> str:
    from .. import _engine

    routes = json.loads(_engine.routes(loaded.wire))
    if not json.loads(_engine.server(loaded.wire))["has_auth"]:
        return f"fine: {len(routes)} routes, all public: no auth is declared anywhere"
    public = [f"  {','.join(r['methods'])} {r['path']}" for r in routes if r["public"]]
    return "\n".join([f"fine: {len(routes)} routes, {len(public)} public", *public])


def routes(options: RunOptions) -> int:
    """Prints a table of all routes."""
    from .. import _engine

    loaded = load(options)
    loaded.require()
    rows: list[tuple[str, ...]] = [("METHODS", "PATH", "HANDLER", "AUTH", "WHERE")]
    for route in json.loads(_engine.routes(loaded.wire)):
        where = loaded.locate(tuple(route["location"]), "key")
        rows.append(
            (
                ",".join(route["methods"]),
                route["path"],
                route["handler"] or "",
                route["auth"],
                str(where or ""),
            )
        )
    print(_table(rows))
    return 0


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def explain(
    options: RunOptions, method: str, url: str, headers: list[tuple[str, str]], form: str
) -> int:
    """Prints the route, the chain with its origins, and what the request would get."""
    from .. import _engine

    loaded = load(options)
    loaded.require()
    told = json.loads(_engine.explain(loaded.wire, method.upper(), url, headers))
    if form == "json":
        print(json.dumps(told, indent=2))
        return 0
    print(render_explanation(told, loaded))
    return 0


#: Which slot a refusal comes from.
_STAGE_OF = {
    "rate_limited": "rate_limit",
    "unauthorized": "auth",
    "bad_header": "auth",
    "forbidden": "allow",
    "body_too_large": "body_limit",
}


def render_explanation(told: dict[str, Any], loaded: LoadedConfig) -> str:
    """An explanation as text: one line for each stage, an arrow where the request stops."""
    route, outcome = told["route"], told["outcome"]
    lines = []
    if told["matched"]:
        where = _where(route["locations"][:1], loaded)
        params = "   ".join(f"{name}={value}" for name, value in told["params"].items())
        name = f"{route['name']} › " if route["name"] else ""
        line = f"route   {name}{','.join(route['methods'])} {route['path']}   {where}   {params}"
        lines.append(line.rstrip())
        lines.append(f"handler {route['handler']}")
    else:
        lines.append("route   none: what follows is what every unmatched request meets")
    stops = _STAGE_OF.get(outcome["rejection"] or "")
    slots = [stage["slot"] for stage in told["stages"]]
    if stops == "allow" and "allow" not in slots:
        stops = "auth"
    for stage in told["stages"]:
        origin = _where(stage["origin"], loaded) or "default"
        arrow = f"   ← stops here: {outcome['status']}" if stage["slot"] == stops else ""
        name = stage["name"] or ""
        lines.append(
            f"{stage['order']:>2} {stage['slot']:<17} {name:<10} "
            f"{stage['summary']}   {origin}{arrow}"
        )
    if outcome["handler"]:
        lines.append("answer  the handler's")
    else:
        why = f" ({outcome['rejection']})" if outcome["rejection"] else ""
        lines.append(f"answer  {outcome['status']}{why}, from Rust")
    lines += [f"        {name}: {value}" for name, value in outcome["headers"]]
    return "\n".join(lines)


def _where(origin: list[Any], loaded: LoadedConfig) -> str:
    places = [loaded.locate(tuple(location), "key") for location in origin]
    return " → ".join(str(place).rsplit(":", 1)[0] for place in places if place)
