"""From options to the wire: read YAML, set Django up, import the app and handlers, merge."""

from __future__ import annotations

import dataclasses
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..exceptions import ConfigError, DeclarationError
from ..params import bind
from ..routing import BoltAPI
from .diagnostics import Diagnostic, Location, Position, from_engine, render
from .importing import ImportFailed, import_object, make_cwd_importable, split_app
from .interpolate import interpolate
from .options import RunOptions
from .python import ApiDocument
from .yaml import Reader, Table


@dataclasses.dataclass
class LoadedConfig:
    """Everything that was declared, ready for the engine."""

    wire: str
    callables: list[Callable[..., Any]]
    diagnostics: list[Diagnostic]
    table: Table
    sources: list[str]
    settings: str | None
    app: str | None

    def locate(self, location: Location, target: str = "value") -> Position | None:
        """The place of something in the documents."""
        return self.table.locate(location, target)

    def check(self) -> list[Diagnostic]:
        """Every mistake: those found here, then the engine's."""
        from .. import _engine

        return self.diagnostics + from_engine(_engine.check(self.wire), self.table.locate)

    def require(self) -> None:
        """Raises :class:`ConfigError` with all mistakes if there is an error."""
        found = self.check()
        if any(item.is_error for item in found):
            raise ConfigError(render(found))


class _Loading:
    def __init__(self, options: RunOptions) -> None:
        self.options = options
        self.table = Table()
        self.diagnostics: list[Diagnostic] = []
        self.documents: list[dict[str, Any]] = []
        self.callables: list[Callable[..., Any]] = []

    def report(self, code: str, message: str, at: Location, hint: str | None = None) -> None:
        position = self.table.locate(at, "value")
        self.diagnostics.append(Diagnostic(code, message, position, hint))

    def read_file(self) -> dict[str, Any]:
        if self.options.config is None:
            return {}
        index = len(self.documents)
        reader = Reader(Path(self.options.config), index, self.table)
        config = reader.read()
        self.diagnostics += reader.diagnostics
        if config is None:
            return {}
        config = interpolate(config, (index,), self._interpolation_failed)
        self.documents.append({"source": self.options.config, "config": config})
        return config if isinstance(config, dict) else {}

    def _interpolation_failed(self, at: Location, message: str, hint: str) -> None:
        self.report("E006", message, at, hint)

    def import_app(self, app: str, at: Location) -> BoltAPI | None:
        try:
            module, attribute = split_app(app)
            api = import_object(f"{module}:{attribute}")
        except ImportFailed as error:
            self._import_failed(error, at)
            return None
        if not isinstance(api, BoltAPI):
            kind = type(api).__qualname__
            self.report("E008", f"`{app}` is {kind}, not a BoltAPI", at, "write `api = BoltAPI()`")
            return None
        return api

    def _import_failed(self, error: ImportFailed, at: Location) -> None:
        self.report("E008", error.message, at, error.hint)
        cause = error.__cause__
        if cause is not None and cause.__traceback__ is not None:
            frames = traceback.extract_tb(cause.__traceback__)
            last = next((f for f in reversed(frames) if "importlib" not in f.filename), None)
            if last is not None and self.diagnostics[-1].position is None:
                position = Position(last.filename, last.lineno or 1)
                self.diagnostics[-1] = dataclasses.replace(self.diagnostics[-1], position=position)

    def bind_api(self, api: BoltAPI, source: str) -> None:
        index = len(self.documents)
        document = ApiDocument(api, index, self.table)
        for at, message, hint in document.misfits:
            self.report("E012", message, at, hint)
        for at, route in document.handlers.items():
            config = _at(document.config, at)
            path = _prefix(document.config, at) + (_text(config.get("path")) or "")
            description = self._bind(route.handler, path, config["methods"], route.request_body, at)
            if description is not None:
                config["handler"] = description
        config = interpolate(document.config, (index,), self._interpolation_failed)
        self.documents.append({"source": source, "config": config})

    def _bind(
        self,
        handler: Callable[..., Any],
        path: str,
        methods: list[str],
        request_body: str | None,
        at: Location,
    ) -> dict[str, Any] | None:
        name = f"{getattr(handler, '__module__', '?')}:{getattr(handler, '__qualname__', handler)}"
        if not callable(handler):
            self.report("E009", f"{name} is not callable", at, "give a function")
            return None
        try:
            bound = bind(handler, parameter_names(path), methods, request_body)
        except DeclarationError as error:
            self.report("E009", f"{name}: {error.message}", at, error.hint)
            return None
        self.callables.append(bound.call)
        return {
            "index": len(self.callables) - 1,
            "name": name,
            "is_async": bound.is_async,
            "request_body": bound.request_body,
        }

    def bind_file(self, config: dict[str, Any]) -> None:
        """Resolves the handlers that the file names."""
        for at, route, path in _routes(config, (0,), ""):
            name = route.get("handler")
            if not isinstance(name, str):
                continue
            methods = route.get("methods", ["GET"])
            methods = methods if isinstance(methods, list) else [methods]
            try:
                handler = import_object(name)
            except ImportFailed as error:
                self._import_failed(error, (*at, "handler"))
                continue
            known = [method for method in methods if isinstance(method, str)]
            route["handler"] = self._bind(handler, path, known, None, (*at, "handler")) or name

    def override(self) -> None:
        """The command line wins over the file."""
        options = self.options
        listen = None
        if options.host is not None or options.port is not None:
            host = options.host or "127.0.0.1"
            listen = [f"{host}:{8000 if options.port is None else options.port}"]
        given: dict[str, Any] = {"listen": listen, "workers": options.workers}
        given = {key: value for key, value in given.items() if value is not None}
        if not given:
            return
        for document in self.documents:
            config = document["config"]
            server = config.get("server") if isinstance(config, dict) else None
            for key in given:
                if isinstance(server, dict):
                    server.pop(key, None)
        config = {"version": 1, "server": given}
        self.documents.append({"source": "the command line", "config": config})


def load(options: RunOptions) -> LoadedConfig:
    """Loads what ``options`` name. Sets Django up on the way, before the app is imported.

    Mistakes are collected in ``diagnostics``; nothing is raised for them.
    """
    from .. import bootstrap

    make_cwd_importable()
    loading = _Loading(options)
    config = loading.read_file()
    app = options.app or _text(config.get("app"))
    at: Location = (0, "app") if options.app is None else ()
    module = None
    if app is not None:
        try:
            module, _ = split_app(app)
        except ImportFailed as error:
            loading.report("E008", error.message, at, error.hint)
            app = None
    settings = _text(config.get("settings"))
    try:
        bootstrap.setup(settings, module)
    except ModuleNotFoundError as error:
        hint = f"start in the directory that holds it; this is {os.getcwd()}"
        where: Location = at if module and str(error.name) in module else (0, "settings")
        loading.report("E008", f"there is no module `{error.name}`", where, hint)
        app = None
    except Exception as error:
        message = f"Django cannot be set up: {type(error).__name__}: {error}"
        loading.report("E008", message, (0, "settings"))
        app = None
    else:
        loading.bind_file(config)
    if app is not None:
        api = loading.import_app(app, at)
        if api is not None:
            loading.bind_api(api, app)
    loading.override()
    wire = json.dumps({"documents": loading.documents}, allow_nan=False)
    return LoadedConfig(
        wire=wire,
        callables=loading.callables,
        diagnostics=loading.diagnostics,
        table=loading.table,
        sources=[document["source"] for document in loading.documents],
        settings=settings,
        app=app,
    )


def from_api(api: BoltAPI) -> LoadedConfig:
    """The configuration of an api that is at hand, for the test client."""
    from .. import bootstrap

    bootstrap.setup(None, None)
    loading = _Loading(RunOptions())
    loading.bind_api(api, "api")
    wire = json.dumps({"documents": loading.documents}, allow_nan=False)
    return LoadedConfig(
        wire, loading.callables, loading.diagnostics, loading.table, ["api"], None, None
    )


def parameter_names(path: str) -> list[str]:
    """The names that a path captures."""
    names = []
    for part in path.split("{")[1:]:
        name, closed, _ = part.partition("}")
        if closed:
            names.append(name.lstrip("*"))
    return names


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _at(config: dict[str, Any], at: Location) -> Any:
    found: Any = config
    for key in at[1:]:
        found = found[key]
    return found


def _prefix(config: dict[str, Any], at: Location) -> str:
    prefix, found = "", config
    for key in at[1:]:
        found = found[key]  # type: ignore[index]
        if isinstance(found, dict):
            prefix += found.get("prefix", "")
    return prefix


def _routes(config: dict[str, Any], at: Location, prefix: str) -> Any:
    """Every route of a document: location, route, full path. Malformed parts are skipped here
    and reported by the engine."""
    routes = config.get("routes")
    for number, route in enumerate(routes if isinstance(routes, list) else []):
        if isinstance(route, dict):
            path = prefix + (_text(route.get("path")) or "")
            yield (*at, "routes", number), route, path
    groups = config.get("groups")
    for number, group in enumerate(groups if isinstance(groups, list) else []):
        if isinstance(group, dict):
            inner = prefix + (_text(group.get("prefix")) or "")
            yield from _routes(group, (*at, "groups", number), inner)
