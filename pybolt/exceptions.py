"""What pybolt raises, and what a handler may raise.

BoltError
├── ConfigError             the configuration is wrong; carries rendered diagnostics
├── DeclarationError        a handler cannot be what it is declared to be
└── HTTPError               an answer: status, code, detail, headers
    ├── RequestValidationError   422, names the fields, never their values
    ├── MalformedBody            400
    ├── UnsupportedMediaType     415
    ├── BodyTooLarge             413
    └── ClientDisconnected       the client went away; nobody reads the answer
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any


class BoltError(Exception):
    """The root of all of pybolt's exceptions."""


class ConfigError(BoltError):
    """The configuration is wrong.

    ``text`` is ready to print: every diagnostic with its place, source line and hint.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class DeclarationError(BoltError):
    """A handler's signature or declaration cannot work; ``hint`` says how to fix it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class HTTPError(BoltError):
    """An answer of ``status`` as ``application/problem+json`` (RFC 9457).

    ``detail`` is shown to the client; ``code`` is the stable last part of the problem's ``type``.
    """

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or f"HTTP {status}")
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = dict(headers or {})

    def problem(self) -> dict[str, Any]:
        """The body of the answer."""
        title = HTTPStatus(self.status).phrase if self.status in _STATUSES else "Error"
        code = self.code or title.lower().replace(" ", "_").replace("-", "_")
        problem: dict[str, Any] = {
            "type": f"urn:pybolt:problem:{code}",
            "title": title,
            "status": self.status,
        }
        if self.detail:
            problem["detail"] = self.detail
        return problem


_STATUSES = {int(status) for status in HTTPStatus}


class RequestValidationError(HTTPError):
    """422: parameters or body do not fit the handler's annotations.

    ``errors`` are dicts of ``in`` (path, query, header, cookie, body), ``field`` and ``message``.
    """

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        super().__init__(422, code="invalid_request")
        self.errors = [dict(error) for error in errors]

    def problem(self) -> dict[str, Any]:
        """The body of the answer, with the fields."""
        return {**super().problem(), "title": "Invalid Request", "errors": self.errors}


class MalformedBody(HTTPError):
    """400: the body is not what its content type says."""

    def __init__(self, detail: str = "the body is not valid JSON") -> None:
        super().__init__(400, detail, code="malformed_body")


class UnsupportedMediaType(HTTPError):
    """415: the handler does not take bodies of this content type."""

    def __init__(self, expected: str = "application/json") -> None:
        super().__init__(
            415,
            f"send the body as {expected}",
            code="unsupported_media_type",
            headers={"accept": expected},
        )


class BodyTooLarge(HTTPError):
    """413: the body is longer than the route admits."""

    def __init__(self) -> None:
        super().__init__(413, code="body_too_large")


class ClientDisconnected(HTTPError):
    """The client went away while its body was being read."""

    def __init__(self) -> None:
        super().__init__(400, "the body broke off", code="bad_body")
