"""``check``, ``routes`` and ``explain``: what a configuration says, without serving it."""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

from ..bootstrap import is_attached
from ..config import LoadedConfig, Position, RunOptions, load
from ..config import online as online_checks
from ..config.diagnostics import Diagnostic, count, render
from ..config.importing import ImportFailed
from ..django.urls import view_of
from . import control, covered, reads
from .unanswered import unanswered


def check(options: RunOptions, form: str, *, strict: bool, online: bool = False) -> int:
    """Prints every mistake and, if there is none, what everybody may use; what was not looked at
    is one line, on standard error where a program reads the rest."""
    # What a file becomes stays until the end: there is nothing to collect on the way.
    gc.disable()
    loaded = load(options)
    found = loaded.check()
    left_out = _not_checked(loaded, found, online=online)
    if not any(item.is_error for item in found):
        found += unanswered(loaded)
    if online and not left_out:
        found += loaded.check_online()
    failed = any(item.is_error or strict for item in found)
    match form:
        case "json":
            print(json.dumps([item.to_json() for item in found], indent=2))
        case "sarif":
            from . import sarif

            print(sarif.text(found, strict=strict))
        case _:
            if found:
                print(render(found, strict=strict))
                first = min(item.code for item in found)
                print(f"`bolt check --explain {first}` tells what a code means")
            if not failed:
                print("\n".join([_public(loaded), *_reads(loaded)]))
    if left_out:
        print(left_out, file=sys.stdout if form == "text" else sys.stderr)
    return int(failed)


def explain_code(code: str) -> int:
    """Prints the page of a code."""
    from ..config.explanations import explanations, page

    if code in explanations():
        print(page(code), end="")
        return 0
    print(f"bolt check: there is no code `{code}`", file=sys.stderr)
    return 2


def _not_checked(loaded: LoadedConfig, found: list[Diagnostic], *, online: bool) -> str:
    """What is not fetched, and why; nothing where there is nothing to fetch, or it will be."""

    if any(item.is_error for item in found):
        what = "keys at URLs, stores of limits and databases"
        return f"not checked: {what}, before the rest is right" if online else ""
    server = loaded.server
    urls, stores = server["key_urls"], server["limit_stores"]
    left = [f"{count(urls, 'URL')} of keys"] if urls else []
    left += [f"{count(stores, 'store')} of limits"] if stores else []
    statements, databases = online_checks.statements(loaded.reads)
    if statements:
        left.append(f"{count(statements, 'statement')} of {count(databases, 'database')}")
    if online or not left:
        return ""
    what = ", ".join(left[:-1]) + " and " + left[-1] if left[1:] else left[0]
    asks = "asks them" if stores or left[1:] else "fetches them" if urls else "prepares them"
    return f"not checked: {what}; `bolt check --online` {asks}"


def _public(loaded: LoadedConfig) -> str:

    routes = loaded.routes
    left = covered.uncovered(loaded)
    if not loaded.server["has_auth"]:
        fine = f"fine: {count(len(routes), 'route')}, all public: no auth is declared anywhere"
        return "\n".join([fine, *left])
    public = [f"  {','.join(r['methods'])} {r['path']}" for r in routes if r["public"]]
    lines = [f"fine: {count(len(routes), 'route')}, {len(public)} public", *public]
    decided = [f"  {','.join(r['methods'])} {r['path']}" for r in routes if r["auth"] == "django"]
    if decided:
        lines += [f"{len(decided)} where Django decides", *decided]
    return "\n".join([*lines, *left])


def _reads(loaded: LoadedConfig) -> list[str]:
    """Who runs the declared reads, and why not Rust."""
    slow = [read for read in loaded.reads if read.tier > 1]
    if not loaded.reads:
        return []
    lines = [f"{count(len(loaded.reads) - len(slow), 'query', 'queries')} in Rust"]
    if slow:
        lines[0] += f", {len(slow)} in Python:"
    what = {2: "compiled SQL", 3: "queryset"}
    return lines + [f"  {one.name} ({what[one.tier]}): {one.reason}" for one in slow]


def routes(options: RunOptions, *, django: bool = False) -> int:
    """Prints a table of all routes, or of the URLs of the Django project with theirs."""

    loaded = load(options)
    loaded.require()
    if django:
        return _project(loaded)
    rows: list[tuple[str, ...]] = [("METHODS", "PATH", "HANDLER", "AUTH", "WHERE")]
    for route in loaded.routes:
        rows.append(
            (
                ",".join(route["methods"]),
                route["path"],
                route["handler"] or route["answer"] or "",
                route["auth"],
                ", ".join(map(str, _places(route["locations"], loaded))),
            )
        )
    print(_table(rows))
    return 0


def _project(loaded: LoadedConfig) -> int:
    if not is_attached(loaded.settings):
        hint = "name its settings: `settings: mysite.settings`"
        print(f"bolt routes: there is no Django project; {hint}", file=sys.stderr)
        return 2
    try:
        print(_table(covered.rows(covered.urls(loaded))))
    except ImportFailed as error:
        print(f"bolt routes: {error.message}", file=sys.stderr)
        return 1
    return 0


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def explain(
    options: RunOptions,
    method: str,
    url: str,
    headers: list[tuple[str, str]],
    form: str,
    *,
    peer: str = "127.0.0.1",
    live: bool = False,
    analyze: bool = False,
) -> int:
    """Prints the route, the chain with its origins, and what a request of ``peer``'s would get;
    with ``analyze`` how the database runs what the route reads."""
    from .. import _engine
    from . import analyze as analyzing

    loaded = load(options)
    loaded.require()
    if not (url.startswith("/") or "://" in url):
        url = f"/{url}"
    try:
        told = json.loads(_engine.explain(loaded.wire, method.upper(), url, headers, peer))
    except ValueError as error:
        hint = "; write /path?query, a space as %20" if "URL" in str(error) else ""
        print(f"bolt explain: {error}{hint}", file=sys.stderr)
        return 2
    told["django"] = _view(told)
    read = reads.read_of(loaded, told) if told["matched"] else None
    if read is not None:
        told["query"] = reads.explained(read)
    try:
        if analyze:
            told["analyze"] = analyzing.analyze(loaded, told, method.upper(), url, headers, peer)
        if live:
            told["live"] = _live(options, told["route"])
    except (analyzing.NotAnalyzed, control.NotThere) as error:
        print(f"bolt explain: {error}", file=sys.stderr)
        return 1
    if form == "json":
        print(json.dumps(told, indent=2))
        return 0
    print(render_explanation(told, loaded))
    return 0


def _view(told: dict[str, Any]) -> str | None:
    """The name of the view that Django would lead to; what `rewrite` shows it is not known here."""
    rewritten = any(stage["slot"] == "rewrite" for stage in told["stages"])
    if not told["route"]["is_django"] or not told["matched"] or rewritten:
        return None
    return view_of(told["path"]) or "no such path"


def _live(options: RunOptions, route: dict[str, Any]) -> dict[str, Any]:
    """What the server that runs says of a route."""
    status = control.ask(options, None, {"do": "status"})
    label = f"{','.join(route['methods'])} {route['path']}"
    found = [(runs, where) for known, runs, where in control.placements(status) if known == label]
    runs, where = found[0] if found else (0, None)
    return {
        "version": status["version"],
        "hash": status["hash"],
        "maintenance": status["maintenance"],
        "runs": runs,
        "where": where,
    }


def render_explanation(told: dict[str, Any], loaded: LoadedConfig) -> str:
    """An explanation as text: one line for each stage, an arrow where the request stops."""
    outcome = told["outcome"]
    shown = _Places(loaded)
    lines = _heading(told, shown)
    rows = []
    for stage in told["stages"]:
        what = f"{stage['name'] or ''} {stage['summary']}".strip()
        origin = "" if stage["slot"] == "gate" else shown.chain(stage["origin"])
        rows.append((f"{stage['order']:>2} {stage['slot']}", what, origin))
    slots, whats = (max(len(row[column]) for row in rows) for column in (0, 1))
    whats = min(whats, _WIDEST)
    stopped = False
    for stage, (slot, what, origin) in zip(told["stages"], rows, strict=True):
        arrow = ""
        if stage["slot"] == outcome["stops"] and not stopped:
            arrow, stopped = f"  ← stops here: {outcome['status']}", True
        lines.append(f"{slot:<{slots}}  {what:<{whats}}  {origin}{arrow}".rstrip())
    if "query" in told:
        lines += reads.lines(told["query"])
    if outcome["handler"]:
        lines.append(f"answer  the {'query' if 'query' in told else 'handler'}'s")
    else:
        why = f" ({outcome['rejection']})" if outcome["rejection"] else ""
        lines.append(f"answer  {outcome['status']}{why}, from Rust")
    lines += [f"        {name}: {value}" for name, value in outcome["headers"]]
    if "analyze" in told:
        from .analyze import lines as analyzed

        lines += analyzed(told["analyze"])
    lines += _live_lines(told)
    return "\n".join(lines)


def _live_lines(told: dict[str, Any]) -> list[str]:
    live = told.get("live")
    if live is None:
        return []
    same = "this file" if live["hash"] == told["hash"] else f"this file is {told['hash']}"
    where = f"{live['where']}, {live['runs']} runs" if live["where"] else "by no handler"
    lines = [f"live    version {live['version']} ({live['hash']}), {same}", f"        {where}"]
    if live["maintenance"]:
        lines.append("        switched for maintenance: bolt status")
    return lines


#: A longer summary does not push the places of all others to the right.
_WIDEST = 60


def _heading(told: dict[str, Any], shown: _Places) -> list[str]:
    route = told["route"]
    name = f"{route['name']} › " if route["name"] else ""
    declared = f"{name}{','.join(route['methods'])} {route['path']}"
    places = shown.all(route["locations"])
    gate = next((stage for stage in told["stages"] if stage["slot"] == "gate"), None)
    if gate is not None:
        lines = [f"route   none: {gate['summary']}"]
        if told["matched"]:
            lines.append(f"chain   {declared}   {places}")
        return lines
    params = "   ".join(f"{name}={value}" for name, value in told["params"].items())
    kind = "async" if route["is_async"] else "sync"
    handler = f"{route['handler']} ({kind})" if route["handler"] else "none: answered by Rust"
    if route["is_django"]:
        handler = "the Django project, by its own URLs"
    view = f"django: {told['django']}" if told["django"] else ""
    parts = [part for part in (declared, places, params, view) if part]
    return [f"route   {'   '.join(parts)}", f"handler {handler}"]


class _Places:
    """Places in few characters: a file's name is left out while it is the one named before."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self.loaded = loaded
        self.file: str | None = None

    def all(self, locations: list[Any]) -> str:
        """Several places of equal rank."""
        return ", ".join(map(self._short, _places(locations, self.loaded)))

    def chain(self, origin: list[Any]) -> str:
        """Where a slot is written, and the definition that it names."""
        places = list(map(self._short, _places(origin, self.loaded)))
        return " → define ".join(places) or "default"

    def _short(self, place: Position) -> str:
        same, self.file = place.file == self.file, place.file
        return f":{place.line}" if same else str(place).rsplit(":", 1)[0]


def _places(locations: list[Any], loaded: LoadedConfig) -> list[Position]:
    found = (loaded.locate(tuple(location), "key") for location in locations)
    return [place for place in found if place is not None]
