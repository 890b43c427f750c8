"""pybolt: routing and middleware in Rust for Django and Python, declared in Python or YAML."""

from typing import Any

from .exceptions import (
    BoltError,
    ConfigError,
    DeclarationError,
    HTTPError,
    MalformedBody,
    RequestValidationError,
    UnsupportedMediaType,
)
from .middleware import (
    CORS,
    CSRF,
    AccessLog,
    AnyAuth,
    APIKeyAuth,
    BasicAuth,
    Compress,
    InFlight,
    IPRules,
    JWTAuth,
    Maintenance,
    PythonLimits,
    RateLimit,
    RequestHeaders,
    RequestId,
    ResponseHeaders,
    Rewrite,
    SecurityHeaders,
    Timeout,
)
from .params import Body, Cookie, Form, Header, Path, Query
from .queries import Compiled, Nested, Page, Param, QueryFailed, Read, count, gather
from .response import HTML, JSON, Bytes, File, Redirect, Stream, Text
from .routing import BoltAPI

__all__ = [
    "CORS",
    "CSRF",
    "HTML",
    "JSON",
    "APIKeyAuth",
    "AccessLog",
    "AnyAuth",
    "BasicAuth",
    "BoltAPI",
    "BoltError",
    "Body",
    "Bytes",
    "Compiled",
    "Compress",
    "ConfigError",
    "Cookie",
    "DeclarationError",
    "File",
    "Form",
    "HTTPError",
    "Header",
    "IPRules",
    "InFlight",
    "JWTAuth",
    "Maintenance",
    "MalformedBody",
    "Nested",
    "Page",
    "Param",
    "Path",
    "PythonLimits",
    "Query",
    "RateLimit",
    "QueryFailed",
    "Read",
    "Redirect",
    "RequestHeaders",
    "RequestId",
    "RequestValidationError",
    "ResponseHeaders",
    "Rewrite",
    "SecurityHeaders",
    "Stream",
    "Text",
    "Timeout",
    "UnsupportedMediaType",
    "count",
    "gather",
    "stats",
]


def stats() -> dict[str, Any]:
    """The counters of this worker: takes of the GIL by place, where each route runs, which plan it
    serves (``plan``: ``version``, ``hash``, ``reload_failures``), and of each store of limits how
    many decisions it was asked for, how many it did not make, and whether it is left alone
    (``stores``: ``asked``, ``failed``, ``open``). Of each database that queries are read from
    (``databases``): statements ``asked``, ``failed``, ``prepared``, ``in_flight``, ``connections``,
    and the ``microseconds`` that statements took in all."""
    import json

    from . import _engine

    counters: dict[str, Any] = json.loads(_engine.stats())
    return counters
