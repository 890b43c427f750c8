"""From options to the wire: read YAML, set Django up, import the app and handlers, merge."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..exceptions import ConfigError
from ..queries.declare import Read
from ..routing import BoltAPI
from .binding import Binding, ToldRead, name_of
from .diagnostics import (
    Diagnostic,
    Location,
    Position,
    consequences_left_out,
    from_engine,
    in_full,
    render,
)
from .hidden import Hidden, masked, without_contents
from .importing import ImportFailed, import_object, make_cwd_importable, split_app
from .include import File, Includes
from .interpolate import from_files, interpolate
from .mounting import UNASKED, project
from .options import RunOptions
from .python import ApiDocument
from .sources import Sources
from .written import prefix_of, put_roots_aside, routes_of, says_what_is_logged, text, value_at
from .yaml import Reader, Table


@dataclasses.dataclass
class LoadedConfig:
    """Everything that was declared, ready for the engine."""

    wire: str
    callables: list[Callable[..., Any]]
    diagnostics: list[Diagnostic]
    table: Table
    settings: str | None
    app: str | None
    #: Where something is wrong already, so that nothing more is said of what is there.
    broken: frozenset[Location] = frozenset()
    #: Whether a whole document is missing, so that nothing can be said of the rest.
    incomplete: bool = False
    #: Whether files are missing that may have defined something.
    lacking: bool = False
    #: What was read from files beside the configuration: shown nowhere.
    hidden: Hidden = dataclasses.field(default_factory=dict)
    #: The directories of ``files`` where they are only named, by their places.
    roots: dict[Location, str] = dataclasses.field(default_factory=dict)
    #: The files that it was read from.
    sources: Sources = dataclasses.field(default_factory=Sources)
    #: The declared reads, with what runs them.
    reads: list[ToldRead] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def server(self) -> dict[str, Any]:
        """What the plan says of the server; of a plan without errors."""
        from .. import _engine

        told: dict[str, Any] = json.loads(_engine.server(self.wire))
        return told

    @functools.cached_property
    def routes(self) -> list[dict[str, Any]]:
        """The plan's routes; of a plan without errors."""
        from .. import _engine

        told: list[dict[str, Any]] = json.loads(_engine.routes(self.wire))
        return told

    def locate(self, location: Location, target: str = "value") -> Position | None:
        """The place of something in the documents."""
        return self.table.locate(location, target)

    def check(self) -> list[Diagnostic]:
        """Every mistake: those found here, then the engine's."""
        from .. import _engine

        found = consequences_left_out(
            json.loads(_engine.check(self.wire)),
            self.broken,
            incomplete=self.incomplete,
            lacking=self.lacking,
        )
        return self.diagnostics + from_engine(masked(found, self.hidden), self.table)

    def check_online(self) -> list[Diagnostic]:
        """What is wrong with the keys at URLs, which are fetched, and with the stores of limits and
        the databases of declared reads, which are asked; of a plan without errors."""
        from .. import _engine
        from . import online

        found = json.loads(_engine.check_online(self.wire))
        return from_engine(masked(found, self.hidden), self.table) + online.databases(self)

    def require(self) -> None:
        """Raises :class:`ConfigError` with all mistakes if there is an error."""
        found = self.check()
        if any(item.is_error for item in found):
            raise ConfigError(render(found))


class _Loading:
    def __init__(self, options: RunOptions, sources: Sources | None = None) -> None:
        self.options = options
        self.sources = Sources() if sources is None else sources
        self.table = Table()
        self.diagnostics: list[Diagnostic] = []
        self.documents: list[dict[str, Any]] = []
        self.binding = Binding(self.report, self.warn)
        self.broken: set[Location] = set()
        self.hidden: Hidden = {}
        self.roots: dict[Location, str] = {}
        self.incomplete = False
        self.lacking = False
        self.failed_modules: set[str] = set()
        #: The Django project, where it answers routes of its own.
        self.django: dict[str, Any] | str | None = None

    def report(
        self,
        code: str,
        message: str,
        at: Location,
        hint: str | None = None,
        *,
        target: str = "value",
        related: tuple[tuple[Location, str], ...] = (),
    ) -> None:
        if at:
            self.broken.add(at)
        position = self.table.locate(at, target)
        others = tuple((self.table.locate(other, "value"), said) for other, said in related)
        message = without_contents(message, at, self.hidden)
        hint = hint and without_contents(hint, at, self.hidden)
        self.diagnostics.append(Diagnostic(code, message, position, hint, related=others))

    def warn(self, code: str, message: str, at: Location, hint: str | None = None) -> None:
        place = self.table.locate(at, "value")
        self.diagnostics.append(Diagnostic(code, message, place, hint, severity="warning"))

    def read_files(self) -> list[dict[str, Any]]:
        """What the file says, and the files that it includes: document by document."""
        if self.options.config is None:
            return []
        includes = Includes(Path(self.options.config), self.sources, self.report)
        configs = []
        for file in includes.files:
            index = len(self.documents)
            config = self._read(file)
            includes.follow(file, config, index, self.broken)
            configs.append(config if isinstance(config, dict) else {})
        self.lacking |= includes.lacking
        self.incomplete |= self.lacking
        return configs

    def _read(self, file: File) -> Any:
        index = len(self.documents)
        reader = Reader(file.path, index, self.table, self.sources)
        config = reader.read()
        self.broken |= reader.broken
        for found in reader.diagnostics:
            place = found.position or self.table.locate(file.at, "value")
            self.diagnostics.append(dataclasses.replace(found, position=place))
        if config is None:
            self.incomplete = True
            if file.parent is None:
                return None
            # It keeps its number: the places in it are known already.
            self.lacking, config = True, {}
        return self._add(str(file.path), str(file.path), config)

    def _interpolate(self, config: Any, index: int, directory: Path) -> Any:
        report = self._interpolation_failed
        hidden = list(from_files(config, (index,)))
        config = interpolate(config, (index,), report, directory, sources=self.sources)
        self.hidden |= {place: str(value_at(config, place)) for place in hidden}
        return config

    def _interpolation_failed(self, at: Location, message: str, hint: str) -> None:
        self.report("E006", in_full(message, self.table.beyond(at)), at, hint)

    def import_app(self, app: str, at: Location) -> BoltAPI | None:
        try:
            module, attribute = split_app(app)
            api = import_object(f"{module}:{attribute}")
        except ImportFailed as error:
            if error.__cause__ is None:
                error.hint = error.hint or "write `api = BoltAPI()`, or name it: `module:attribute`"
            self.app_failed(error, at)
            return None
        if not isinstance(api, BoltAPI):
            kind = type(api).__qualname__
            self.report("E008", f"`{app}` is {kind}, not a BoltAPI", at, "write `api = BoltAPI()`")
            self.incomplete = True
            return None
        return api

    def app_failed(self, error: ImportFailed, at: Location) -> None:
        """Reports that the app, or what it needs, cannot be had."""
        self.incomplete = True
        self._import_failed(error, at)

    def _import_failed(self, error: ImportFailed, at: Location) -> None:
        self.report("E008", error.message, at, error.hint)
        if error.position is None:
            return
        found = self.diagnostics[-1]
        if found.position is None:
            found = dataclasses.replace(found, position=error.position)
        else:
            found = dataclasses.replace(found, related=((error.position, "raised here"),))
        self.diagnostics[-1] = found

    def bind_api(self, api: BoltAPI, source: str) -> None:
        index = len(self.documents)
        document = ApiDocument(api, index, self.table)
        for at, message, hint in document.misfits:
            self.report("E012", message, at, hint)
        for at, (handler, route) in document.handlers.items():
            config = value_at(document.config, at)
            path = prefix_of(document.config, at) + (text(config["path"]) or "")
            methods = config["methods"]
            if isinstance(handler, Read):
                name = str(route.source)
                config |= self.binding.read(handler, name, path, methods, (*at, "query"))
                continue
            body, place = route.request_body, (*at, "handler")
            described = self.binding.handler(handler, path, methods, body, place)
            config["handler"] = described or name_of(handler)
        for at, compiled, place_of in document.compiled:
            self.binding.compile(compiled, str(place_of), at)
        config = self._add(source, api.source.file, document.config)
        self._find_django_files(config, index)

    def _add(self, source: str, file: str, written: Any) -> Any:
        """One more document, with its references resolved: every path in it that is relative
        begins in the directory of its file."""
        directory = Path(file).absolute().parent
        config = self._interpolate(written, len(self.documents), directory)
        self.documents.append({"source": source, "directory": str(directory), "config": config})
        return config

    def _find_django_files(self, config: dict[str, Any], index: int) -> None:
        """``files: {root: django}`` is the project's ``STATIC_ROOT``."""
        for at, route, _ in routes_of(config, (index,)):
            files = route.get("files")
            if not isinstance(files, dict) or files.get("root") != "django":
                continue
            from django.conf import settings

            root = getattr(settings, "STATIC_ROOT", None)
            files["root"] = str(root or "")
            if not root:
                message = "the project has no STATIC_ROOT"
                hint = "set it and run `collectstatic`, or name a directory (`./django` is one)"
                self.report("E160", message, (*at, "files", "root"), hint)

    def bind_file(self, config: dict[str, Any], index: int) -> None:
        """Resolves the handlers and the project's files that a file names."""
        self._find_django_files(config, index)
        for at, route, path in routes_of(config, (index,)):
            for key in ("handler", "query"):
                if key in route:
                    self._bind_named(route, key, path, (*at, key))

    def _bind_named(self, route: dict[str, Any], key: str, path: str, at: Location) -> None:
        name = route[key]
        if not isinstance(name, str):
            what = "function" if key == "handler" else "queryset"
            message = f"a {key} in a file is the name of a {what}"
            hint = f'write for example `{key}: "shop.api:hello"`'
            self.report("E009" if key == "handler" else "E170", message, at, hint)
            # Only what is imported here becomes a callable's number.
            route[key] = "?"
            return
        methods = route.get("methods", ["GET"])
        methods = methods if isinstance(methods, list) else [methods]
        try:
            found = import_object(name)
        except ImportFailed as error:
            self._handler_failed(name.partition(":")[0], error, at)
            return
        known = [method for method in methods if isinstance(method, str)]
        if key == "handler":
            route[key] = self.binding.handler(found, path, known, None, at) or name
            return
        del route[key]
        route |= self.binding.read(found, name, path, known, at)

    def _handler_failed(self, module: str, error: ImportFailed, at: Location) -> None:
        """A module that cannot be imported is one mistake, however many handlers are in it."""
        if error.__cause__ is not None:
            if module in self.failed_modules:
                return
            self.failed_modules.add(module)
        self._import_failed(error, at)

    def mount_django(self, settings: str | None, *, made: bool) -> None:
        """Has the project answer the routes that name nothing else. Without ``made`` its code is
        not asked for."""
        try:
            self.django = project(self.documents, settings, self.binding.callables, made=made)
        except ImportFailed as error:
            self.django = UNASKED
            self.app_failed(error, (0, "settings") if settings else ())

    def override(self) -> None:
        """The command line wins over the file; who works on it wants to see the requests."""
        options = self.options
        listen = None
        if options.host is not None or options.port is not None:
            host = options.host or "127.0.0.1"
            listen = [f"{host}:{8000 if options.port is None else options.port}"]
        given: dict[str, Any] = {"listen": listen, "workers": options.workers}
        given = {key: value for key, value in given.items() if value is not None}
        config: dict[str, Any] = {"version": 1}
        if options.reload and not any(map(says_what_is_logged, self.documents)):
            config["defaults"] = {"access_log": {"format": "text"}}
        if given:
            config["server"] = given
        elif "defaults" not in config:
            return
        for document in self.documents:
            written = document["config"]
            server = written.get("server") if isinstance(written, dict) else None
            for key in given:
                if isinstance(server, dict):
                    server.pop(key, None)
        self.documents.append({"source": "the command line", "config": config})

    def wire(self) -> str:
        """The documents as the engine reads them."""
        wire: dict[str, Any] = {"documents": self.documents}
        if self.django is not None:
            wire["django"] = self.django
        if self.binding.databases:
            wire["databases"] = self.binding.databases
        if self.binding.compiled:
            wire["compiled"] = self.binding.compiled
        return json.dumps(wire, allow_nan=False)


def load(
    options: RunOptions, sources: Sources | None = None, *, handlers: bool = True
) -> LoadedConfig:
    """Loads what ``options`` name. Sets Django up on the way, before the app is imported.

    ``sources``: where the configuration's files are read from, for those who keep them.

    Without ``handlers`` those that a file names are not imported, its directories are not opened,
    and Django is set up only for an app: what is read is a policy, maybe one of yesterday's code.

    Mistakes are collected in ``diagnostics``; nothing is raised for them.
    """
    from .. import bootstrap

    make_cwd_importable()
    loading = _Loading(options, sources)
    configs = loading.read_files()
    config = configs[0] if configs else {}
    app = options.app or text(config.get("app"))
    at: Location = (0, "app") if options.app is None else ()
    module = None
    if app is not None:
        try:
            module, _ = split_app(app)
        except ImportFailed as error:
            loading.app_failed(error, at)
            app = None
    settings = text(config.get("settings"))
    try:
        if handlers or app is not None:
            bootstrap.setup(settings, module)
    except bootstrap.SettingsFailed as error:
        if settings is None:
            variable = "DJANGO_SETTINGS_MODULE"
            error.message = f"{variable}={os.environ[variable]}: {error.message}"
        loading.app_failed(error, (0, "settings") if settings else ())
        app = None
    except ImportFailed as error:
        attached = bootstrap.is_attached(settings)
        loading.app_failed(error, (0, "settings") if attached and settings else at)
        app = None
    else:
        for index, written in enumerate(configs):
            if handlers:
                loading.bind_file(written, index)
            else:
                loading.roots |= put_roots_aside(written, (index,))
    if app is not None:
        api = loading.import_app(app, at)
        if api is not None:
            loading.bind_api(api, app)
    loading.mount_django(settings, made=handlers and not loading.incomplete)
    loading.override()
    return LoadedConfig(
        wire=loading.wire(),
        callables=loading.binding.callables,
        diagnostics=loading.diagnostics,
        table=loading.table,
        settings=settings,
        app=app,
        broken=frozenset(loading.broken),
        incomplete=loading.incomplete,
        lacking=loading.lacking,
        hidden=loading.hidden,
        roots=loading.roots,
        sources=loading.sources,
        reads=loading.binding.reads,
    )


def from_api(api: BoltAPI) -> LoadedConfig:
    """The configuration of an api that is at hand, for the test client."""
    from .. import bootstrap

    bootstrap.setup(None, None)
    loading = _Loading(RunOptions())
    loading.bind_api(api, "api")
    loading.mount_django(None, made=not loading.incomplete)
    return LoadedConfig(
        loading.wire(),
        loading.binding.callables,
        loading.diagnostics,
        loading.table,
        None,
        None,
        frozenset(loading.broken),
        reads=loading.binding.reads,
    )
