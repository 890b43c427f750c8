"""Routes as data: ``BoltAPI`` collects declarations, the engine makes a plan of them.

Nothing here imports the extension or reads settings; an api is plain data until the engine is
built.
"""

from __future__ import annotations

import dataclasses
import dis
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

from .middleware import (
    CORS,
    CSRF,
    AccessLog,
    AnyAuth,
    APIKeyAuth,
    BasicAuth,
    Compress,
    Declaration,
    Django,
    Files,
    Health,
    InFlight,
    IPRules,
    JWTAuth,
    Maintenance,
    PythonLimits,
    RateLimit,
    RedirectTo,
    RequestHeaders,
    RequestId,
    Respond,
    ResponseHeaders,
    Rewrite,
    SecurityHeaders,
    Timeout,
)
from .queries.compiled import Compiled
from .queries.declare import Page, Read

Method = JWTAuth | APIKeyAuth | BasicAuth
Handler = TypeVar("Handler", bound=Callable[..., Any])


class Slots(TypedDict, total=False):
    """One slot for each kind of middleware; a child replaces what its parent says.

    A value is a declaration, the name of a definition, ``"on"``/``"off"`` or a boolean. ``auth``
    also takes ``"public"``, ``"deny"`` and a list of methods; ``rate_limit`` is a dict of limits
    by name.
    """

    request_id: RequestId | str | bool
    access_log: AccessLog | str | bool
    response_headers: ResponseHeaders | str | bool
    security_headers: SecurityHeaders | str | bool
    cors: CORS | str | bool
    compress: Compress | str | bool
    maintenance: Maintenance | str | bool
    ip: IPRules | str | bool
    csrf: CSRF | str | bool
    rate_limit: dict[str, RateLimit | str | bool] | str | bool
    in_flight: InFlight | str | bool
    auth: Method | AnyAuth | Sequence[Method | str] | str
    allow: str
    timeout: Timeout | str | bool
    body_limit: str | bool
    request_headers: RequestHeaders | str | bool
    rewrite: Rewrite | str | bool
    python: PythonLimits | str


@dataclasses.dataclass(frozen=True)
class Source:
    """Where something is declared."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.line}"

    @classmethod
    def of_caller(cls) -> Source:
        """The first frame outside this package."""
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno)


@dataclasses.dataclass(frozen=True)
class Route:
    """A declared route: path below its group, methods, what answers it, slots, place.

    ``methods``: ``None`` where none are named. ``handler`` is a function, a declaration
    (:class:`Respond`, :class:`RedirectTo`, :class:`Health`, :class:`Files`) of what Rust answers
    without one, a :class:`Read`, or :class:`Django`.
    """

    path: str
    methods: tuple[str, ...] | str | None
    handler: Callable[..., Any] | Respond | RedirectTo | Health | Files | Read | Django
    name: str | None
    slots: dict[str, Any]
    request_body: str | None
    source: Source


def slots_to_config(slots: dict[str, Any]) -> dict[str, Any]:
    """Slots as the configuration has them."""
    plain = {name: _slot(value) for name, value in slots.items() if value is not None}
    # A list is Python's short spelling of several methods.
    if isinstance(plain.get("auth"), list | tuple):
        plain["auth"] = {"any": [_slot(method) for method in plain["auth"]]}
    return plain


def _slot(value: Any) -> Any:
    if isinstance(value, Declaration):
        return value.to_config()
    if isinstance(value, dict):
        return {key: _slot(item) for key, item in value.items()}
    return value


class _Declares:
    """The decorators, shared by an api and its groups."""

    def __init__(self, slots: dict[str, Any]) -> None:
        self.slots = slots
        self.source = Source.of_caller()
        self.routes: list[Route] = []
        self.groups: list[Group] = []
        #: What :meth:`compile` was given, with its place.
        self.compiled: list[tuple[Compiled, Source]] = []

    def route(
        self,
        path: str,
        *,
        methods: Sequence[str] = ("GET",),
        name: str | None = None,
        request_body: str | None = None,
        **slots: Unpack[Slots],
    ) -> Callable[[Handler], Handler]:
        """Declares a handler for ``path`` (``/items/{id}``, ``/{*rest}``) and ``methods``.

        ``request_body="stream"`` hands the body over as it arrives (``request.stream()``).
        """
        source = Source.of_caller()

        def declare(handler: Handler) -> Handler:
            # A string is a sequence too, of letters; the loader refuses it with the place.
            given = methods if isinstance(methods, str) else tuple(methods)
            self.routes.append(Route(path, given, handler, name, dict(slots), request_body, source))
            return handler

        return declare

    def respond(
        self,
        path: str,
        body: str | None = None,
        *,
        status: int | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        methods: Sequence[str] = ("GET",),
        name: str | None = None,
        **slots: Unpack[Slots],
    ) -> None:
        """Declares an answer that never changes, given by Rust: ``api.respond("/healthz", "ok")``.

        ``status``: 200 to 599, 200 unless said otherwise; ``content_type``: that of ``body``,
        ``text/plain; charset=utf-8`` unless said otherwise; ``headers``: further fields.
        """
        answer = Respond(status=status, body=body, content_type=content_type, headers=headers)
        self._answer(path, answer, methods, name, slots)

    def redirect(
        self,
        path: str,
        to: str,
        *,
        status: int | None = None,
        keep_query: bool | None = None,
        methods: Sequence[str] = ("GET",),
        name: str | None = None,
        **slots: Unpack[Slots],
    ) -> None:
        """Declares that Rust sends clients of ``path`` to ``to``, a path of this host or a URL.

        What ``path`` captures may stand in the path and the query of ``to``, percent-encoded:
        ``api.redirect("/old/{id}", "/new/{id}", status=308)``. ``status``: 301, 302, 303, 307 or
        308, 302 unless said otherwise; ``keep_query``: whether the request's query goes along.
        """
        answer = RedirectTo(to=to, status=status, keep_query=keep_query)
        self._answer(path, answer, methods, name, slots)

    def health(
        self,
        path: str,
        kind: str = "ready",
        *,
        name: str | None = None,
        **slots: Unpack[Slots],
    ) -> None:
        """Declares that Rust tells how this worker is: ``api.health("/readyz", auth="public")``.

        ``kind``: ``"live"``, 200 while it answers at all, or ``"ready"``, 503 while it drains. Both
        name the version of the plan that answers.
        """
        self._answer(path, Health(kind), ("GET",), name, slots)

    def files(
        self,
        path: str,
        root: str | os.PathLike[str],
        *,
        precompressed: Sequence[str] | None = None,
        index: str | None = None,
        fallback: str | None = None,
        cache: str | bool | None = None,
        immutable: bool | None = None,
        dotfiles: bool | None = None,
        symlinks: str | None = None,
        types: Mapping[str, str] | None = None,
        memory: str | None = None,
        name: str | None = None,
        **slots: Unpack[Slots],
    ) -> None:
        """Declares that Rust sends the files below ``root``.

        ``api.files("/static/{*path}", "www")``.

        ``path`` ends with a catch-all. ``root``: a directory, from where the api's module is;
        ``"django"``: the project's ``STATIC_ROOT``. ``precompressed``: of ``"br"``, ``"gzip"`` and
        ``"zstd"``, those whose files lie beside the plain ones. ``index``: the file that a
        directory's path leads to; ``fallback``: the one that a page which is not there leads to.
        ``cache``: how long a copy is good for, such as ``"1h"``; ``False``: nothing is said.
        ``immutable=False``: also of names with a hash. ``dotfiles=True``: names that begin with a
        dot are sent. ``symlinks="inside"``: relative links that stay below ``root`` are followed.
        ``types``: media types by extension. ``memory``: how much of small files a worker keeps.
        """
        answer = Files(
            root=os.fspath(root),
            precompressed=precompressed,
            index=index,
            fallback=fallback,
            cache=cache,
            immutable=immutable,
            dotfiles=dotfiles,
            symlinks=symlinks,
            types=types,
            memory=memory,
        )
        self._answer(path, answer, ("GET",), name, slots)

    def query(
        self,
        path: str,
        what: Any,
        *,
        one: bool = False,
        page: Page | None = None,
        max_rows: int = 1000,
        name: str | None = None,
        **slots: Unpack[Slots],
    ) -> None:
        """Declares that a queryset answers ``path``, without a handler.

        ``api.query("/items", Item.objects.values("id", "name")[:10], auth="public")``.

        It is compiled once at the start, and from then on run and written by Rust where the
        database and its columns allow that; ``bolt check`` and ``bolt explain`` tell where not.
        The answer is byte for byte that of ``JsonResponse(list(queryset), safe=False)``.

        ``what``: a queryset with ``values()`` or ``values_list()``, ``count(queryset)``, a dict
        of them, or a :class:`Read`; a :class:`Param` stands for what the request says. ``one``:
        the first row alone, 404 where there is none. ``page``: see :class:`Page`. ``max_rows``: of
        a queryset without a slice; more rows are an error (500).
        """
        read = Read.of(what, one=one, page=page, max_rows=max_rows)
        self._answer(path, read, ("GET",), name, slots)

    def compile(self, what: Any, *, one: bool = False, max_rows: int = 1000) -> Compiled:
        """Declares a read of :meth:`query` that no route has: its parameters are ``Param(name,
        type)``. It is compiled at the start, with those of the routes."""
        compiled = Compiled(Read.of(what, one=one, page=None, max_rows=max_rows))
        self.compiled.append((compiled, Source.of_caller()))
        return compiled

    def django(
        self,
        path: str,
        *,
        methods: Sequence[str] | None = None,
        name: str | None = None,
        **slots: Unpack[Slots],
    ) -> None:
        """Leaves ``path`` to the attached Django project: its URLs, middleware and views.

        ``api.django("/{*rest}", auth="django")``: what no other route answers. A project is
        attached by ``settings`` of a file or ``DJANGO_SETTINGS_MODULE``; without one this is an
        error (E052). ``methods``: all of them, unless some are named. ``auth="django"`` leaves the
        decision to the project's own session. ``request.bolt`` is the request as handlers see it.
        """
        self._answer(path, Django(), methods, name, slots)

    def _answer(
        self,
        path: str,
        answer: Respond | RedirectTo | Health | Files | Read | Django,
        methods: Sequence[str] | None,
        name: str | None,
        slots: Slots,
    ) -> None:
        given = methods if methods is None or isinstance(methods, str) else tuple(methods)
        source = Source.of_caller()
        self.routes.append(Route(path, given, answer, name, dict(slots), None, source))

    def get(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """``route`` for GET (and with it HEAD)."""
        return self.route(path, methods=("GET",), **options)

    def post(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """``route`` for POST."""
        return self.route(path, methods=("POST",), **options)

    def put(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """``route`` for PUT."""
        return self.route(path, methods=("PUT",), **options)

    def patch(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """``route`` for PATCH."""
        return self.route(path, methods=("PATCH",), **options)

    def delete(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """``route`` for DELETE."""
        return self.route(path, methods=("DELETE",), **options)

    def head(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """``route`` for HEAD alone."""
        return self.route(path, methods=("HEAD",), **options)

    def options(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """``route`` for OPTIONS."""
        return self.route(path, methods=("OPTIONS",), **options)

    def group(self, prefix: str = "", *, name: str | None = None, **slots: Unpack[Slots]) -> Group:
        """A group of routes below ``prefix`` that inherit ``slots``."""
        group = Group(prefix, name, dict(slots))
        self.groups.append(group)
        return group

    def include(self, api: BoltAPI, *, prefix: str = "") -> Group:
        """Takes over everything that ``api`` declares, below ``prefix``."""
        group = Group(prefix, None, dict(api.slots))
        group.routes, group.groups, group.compiled = api.routes, api.groups, api.compiled
        self.groups.append(group)
        return group

    def all_routes(self) -> Iterator[Route]:
        """Every route, groups included, in the order of the document."""
        yield from self.routes
        for group in self.groups:
            yield from group.all_routes()


class Group(_Declares):
    """Routes that share a prefix and slots. Made by :meth:`BoltAPI.group`."""

    def __init__(self, prefix: str, name: str | None, slots: dict[str, Any]) -> None:
        super().__init__(slots)
        self.prefix = prefix
        self.name = name


class BoltAPI(_Declares):
    """An api: its slots are the defaults of every route that it declares.

    >>> api = BoltAPI(cors=CORS(origins=["https://app.example.com"]))
    >>> @api.get("/hello")
    ... def hello(request):
    ...     return {"message": "Hello, World!"}
    """

    def __init__(self, **slots: Unpack[Slots]) -> None:
        super().__init__(dict(slots))

    def __repr__(self) -> str:
        return f"<BoltAPI with {sum(1 for _ in self.all_routes())} routes>"


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling ``handler`` gives a coroutine."""
    while hasattr(handler, "func"):
        handler = handler.func
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004
    )


def awaits(handler: Callable[..., Any]) -> bool:
    """Whether a coroutine of ``handler`` may suspend: one whose code has no ``await``, ``async
    for`` or ``async with`` cannot. Where the code is not at hand, it may."""
    if not (inspect.isfunction(handler) or inspect.ismethod(handler)):
        return True
    code = handler.__code__
    if not code.co_flags & inspect.CO_COROUTINE:
        return True
    if "current_task" in code.co_names:
        # It asks for its task, and gets one.
        return True
    return any(instruction.opname == "YIELD_VALUE" for instruction in dis.get_instructions(code))
