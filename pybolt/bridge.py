"""What the engine calls: encoding, rendering, failures, the loop, connections.

Nothing in here may raise where its docstring says so: it is the last line before a worker.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import msgspec
import orjson

from . import encoding, response
from .bodies import NOT_JSON
from .django.mounted import mounted
from .exceptions import HTTPError, MalformedBody
from .loop import SlotLoop, pump, pump_sync

logger = logging.getLogger("pybolt.request")

_decoder = msgspec.json.Decoder()
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_NO_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


def decode_json(raw: bytes) -> Any:
    """``request.json()``. Raises :class:`MalformedBody`."""
    try:
        return _decoder.decode(raw)
    except NOT_JSON:
        raise MalformedBody from None


def failure(error: BaseException, handler: str, request: Any) -> response.Rendered:
    """The answer to an exception. Logs what nobody expected, once, with its traceback.

    Never raises, whatever the exception is or does.
    """
    try:
        expected = _expected(error)
        if expected is not None:
            try:
                return _answer(expected)
            except Exception as second:
                # The answer that the handler asked for cannot be given; both are worth a look.
                second.__context__ = error
                error = second
        _log(error, handler, request)
    except BaseException:
        # The exception's own methods may raise as well; the answer stays the same.
        _log_bare(error, handler)
    problem = HTTPError(500, code="internal").problem()
    return 500, [("content-type", "application/problem+json")], orjson.dumps(problem)


def _answer(expected: HTTPError) -> response.Rendered:
    if not 200 <= expected.status <= 599:
        raise ValueError(f"{expected.status} is not the status of an answer")
    headers = [("content-type", "application/problem+json")]
    for name, value in expected.headers.items():
        if not _TOKEN.fullmatch(name) or _NO_VALUE.search(value):
            raise ValueError(f"the header {name!r} of an HTTPError is not valid")
        headers.append((name, value))
    return expected.status, headers, encoding.encode(expected.problem())


def _expected(error: BaseException) -> HTTPError | None:
    """The answer that an exception stands for, if it stands for one."""
    if isinstance(error, HTTPError):
        return error
    from django.core.exceptions import (
        BadRequest,
        PermissionDenied,
        RequestDataTooBig,
        SuspiciousOperation,
    )
    from django.http import Http404
    from django.http.multipartparser import MultiPartParserError

    if isinstance(error, Http404):
        return HTTPError(404, code="not_found")
    if isinstance(error, PermissionDenied):
        return HTTPError(403, code="forbidden")
    if isinstance(error, RequestDataTooBig):
        return HTTPError(413, code="body_too_large")
    if isinstance(error, BadRequest | SuspiciousOperation | MultiPartParserError):
        return HTTPError(400, code="bad_request")
    return None


def _log(error: BaseException, handler: str, request: Any) -> None:
    where = "" if request is None else f" {request.method} {request.path}"
    request_id = None if request is None else request.request_id
    what = type(error).__qualname__
    if isinstance(error, encoding.UnencodableResult):
        what = str(error)
    logger.error(
        "handler %s failed%s: %s%s",
        handler,
        where,
        what,
        f" [{request_id}]" if request_id else "",
        exc_info=(type(error), error, error.__traceback__),
        extra={"handler": handler, "request_id": request_id},
    )


def _log_bare(error: BaseException, handler: str) -> None:
    try:
        logger.error("handler %s failed: %s", handler, type(error).__name__)
    except BaseException:
        sys.stderr.write(f"handler {handler} failed\n")


def file_failed(handler: str, path: str, reason: str, missing: bool) -> None:
    """One record for a file that a handler answered with and that cannot be sent. Never raises."""
    level = logging.WARNING if missing else logging.ERROR
    try:
        logger.log(level, "handler %s: cannot send %r: %s", handler, path, reason)
    except BaseException as error:
        _log_bare(error, handler)


def log_stream_failure(error: BaseException) -> None:
    """One record for a stream that failed; its response is cut off. Never raises."""
    try:
        logger.error(
            "a response stream failed: %s",
            type(error).__qualname__,
            exc_info=(type(error), error, error.__traceback__),
        )
    except BaseException:
        _log_bare(error, "(stream)")


class Runtime:
    """The functions and settings that :class:`pybolt._engine.Engine` is made with."""

    dumps = staticmethod(orjson.dumps)
    default = staticmethod(encoding.default)
    options = encoding.OPTIONS
    encode = staticmethod(encoding.encode)
    render = staticmethod(response.render)
    render_elsewhere = staticmethod(response.render_elsewhere)
    failure = staticmethod(failure)
    file_failed = staticmethod(file_failed)
    mounted = staticmethod(mounted)
    pump = staticmethod(pump)
    pump_sync = staticmethod(pump_sync)

    def __init__(self, *, threads: int = 8, switch_interval: float = 0.001) -> None:
        from django.core.exceptions import SynchronousOnlyOperation
        from django.db.models.query import QuerySet

        from .django import connections
        from .django.leases import know_loop
        from .django.threads import install, move_context, request_thread

        self.queryset, self.sync_only = QuerySet, SynchronousOnlyOperation
        self.threads = threads
        self.switch_interval = switch_interval
        self.request_thread = request_thread
        self.move_context = move_context
        self.housekeeping = connections.housekeeping
        self.close_connections = connections.close_all
        self._request_threads = install(threads)
        self.release_thread = self._request_threads.end
        self.new_lane = self._request_threads.new_lane
        self.leave_thread = self._request_threads.leave
        self.stay_with = self._request_threads.stay
        self.know_loop = know_loop

    def new_loop(self, slot: Any) -> SlotLoop:
        """The loop, not yet running."""
        return SlotLoop(slot)

    def run_loop(self, loop: SlotLoop) -> None:
        """The body of the loop's thread."""
        sys.setswitchinterval(self.switch_interval)
        loop.serve()
        self._request_threads.close()

    def stop_loop(self, loop: SlotLoop) -> None:
        """Has the loop's thread end."""
        loop.call_soon_threadsafe(loop.end)
