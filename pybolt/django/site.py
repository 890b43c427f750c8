"""A Django project as a handler: its own URLs, middleware, views and errors, unchanged.

What comes through is what the engine has decided: the path as it was matched, decoded once; the
client's address behind trusted proxies as ``REMOTE_ADDR``; the scheme that it spoke.
"""

from __future__ import annotations

import functools
import io
import sys
import tempfile
from typing import IO, Any

from django.conf import settings
from django.core import signals
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest, get_script_name
from django.urls import get_resolver, set_script_prefix

from ..exceptions import ClientDisconnected

#: How much of a file Django hands over at once.
_FILE_CHUNK = 64 * 1024
_WITHOUT_PREFIX = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class Site(WSGIHandler):  # type: ignore[misc]
    """The project that is set up. Made once: its middleware and URLs are imported then, and raise
    whatever they raise."""

    def __init__(self) -> None:
        super().__init__()
        _ = get_resolver().url_patterns

    def answer(self, request: Any) -> Any:
        """Django's response to a request of ours."""
        body = _body(request)
        environ = _environ(request, body)
        set_script_prefix(get_script_name(environ))
        signals.request_started.send(sender=type(self), environ=environ)
        asked = SiteRequest(environ, request, body)
        response = self.get_response(asked)
        response._handler_class = type(self)
        if getattr(response, "file_to_stream", None) is not None:
            response.block_size = max(response.block_size, _FILE_CHUNK)
        return response


class SiteRequest(WSGIRequest):  # type: ignore[misc]
    """What views see. ``bolt``: the request as handlers of ours see it, with ``principal``,
    ``request_id`` and ``params``."""

    def __init__(self, environ: dict[str, Any], bolt: Any, body: IO[bytes]) -> None:
        super().__init__(environ)
        self.bolt = bolt
        self._incoming = body

    @functools.cached_property
    def csp_nonce(self) -> str | None:
        """The nonce of the answer's content security policy, where that has a place for one."""
        nonce: str | None = self.bolt.csp_nonce
        return nonce

    @functools.cached_property
    def _csp_nonce(self) -> str | None:
        # Where the `csp` context processor of Django 6 looks for it.
        return self.csp_nonce

    def close(self) -> None:
        """Also lets go of what the body was kept in."""
        super().close()
        self._incoming.close()


class _Incoming(io.RawIOBase):
    """A body that is read as it arrives."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            try:
                self._left = next(self._chunks)
            except StopIteration:
                return 0
            except ClientDisconnected as error:
                # An `OSError` is what Django expects here: views see an `UnreadablePostError`.
                raise ConnectionResetError("the client has gone") from error
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _body(request: Any) -> IO[bytes]:
    """The request's body. One whose length nobody said is read first, as under Django's ASGI
    handler: what parses it goes by the length."""
    if "transfer-encoding" not in request.headers:
        return io.BufferedReader(_Incoming(request.stream()))
    body = tempfile.SpooledTemporaryFile(  # noqa: SIM115
        max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, dir=settings.FILE_UPLOAD_TEMP_DIR
    )
    try:
        for chunk in request.stream():
            body.write(chunk)
    except BaseException:
        body.close()
        raise
    return body


def _environ(request: Any, body: IO[bytes]) -> dict[str, Any]:
    """What WSGI (PEP 3333) calls the environment; text in it is bytes read as Latin-1."""
    host = request.host or ""
    name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": _latin_1(request.script_name),
        "PATH_INFO": _latin_1(request.path),
        "QUERY_STRING": _latin_1(request.query_string),
        "SERVER_NAME": name or "localhost",
        "SERVER_PORT": port or ("443" if request.scheme == "https" else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.client,
        "CONTENT_TYPE": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for field, value in request.headers.items():
        key = _WITHOUT_PREFIX.get(field) or f"HTTP_{field.upper().replace('-', '_')}"
        if key in environ and key != "CONTENT_TYPE":
            # RFC 9110, 5.3; the lines of `Cookie` are one list of pairs (RFC 6265, 5.4).
            value = f"{environ[key]}{'; ' if field == 'cookie' else ','}{value}"
        environ[key] = value
    if environ.pop("HTTP_TRANSFER_ENCODING", None) is not None:
        environ["CONTENT_LENGTH"] = str(body.tell())
        body.seek(0)
    return environ


def _latin_1(text: str) -> str:
    return text if text.isascii() else text.encode().decode("latin-1")
