"""The test client: the same engine, in this process, without sockets.

>>> with Client(api) as client:
...     assert client.get("/hello").json() == {"message": "Hello, World!"}
"""

from __future__ import annotations

import dataclasses
import json as json_module
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from .config.load import LoadedConfig, from_api, load
from .config.options import RunOptions
from .routing import BoltAPI

HeaderItems = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class TestResponse:
    """An answer: ``status``, header pairs in order, ``body``."""

    __test__ = False

    status: int
    header_items: list[tuple[str, str]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The header fields by lower-case name; several values are joined by ``, ``."""
        joined: dict[str, str] = {}
        for name, value in self.header_items:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """The body decoded from JSON."""
        return json_module.loads(self.body)


class Client:
    """Sends requests through an engine in this process.

    Made of an api, the path of a configuration file, or a loaded configuration; raises
    :class:`pybolt.ConfigError` where that is wrong. Close it, or use it as a context manager.
    """

    __test__ = False

    def __init__(self, source: BoltAPI | LoadedConfig | str, *, app: str | None = None) -> None:
        from . import _engine
        from .bridge import Runtime

        if isinstance(source, BoltAPI):
            loaded = from_api(source)
        elif isinstance(source, LoadedConfig):
            loaded = source
        else:
            loaded = load(RunOptions(config=source, app=app))
        loaded.require()
        self.loaded = loaded
        self.engine = _engine.Engine(loaded.wire, loaded.callables, Runtime(threads=4))

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderItems = (),
        content: bytes = b"",
        json: Any = None,
        data: Mapping[str, Any] | None = None,
        cookies: Mapping[str, str] | None = None,
        peer: tuple[str, int] | None = ("127.0.0.1", 40000),
    ) -> TestResponse:
        """One request. ``json`` and ``data`` (a form) set the content type."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if json is not None:
            content = json_module.dumps(json).encode()
            pairs.append(("content-type", "application/json"))
        if data is not None:
            content = urlencode(data, doseq=True).encode()
            pairs.append(("content-type", "application/x-www-form-urlencoded"))
        if cookies:
            pairs.append(("cookie", "; ".join(f"{k}={v}" for k, v in cookies.items())))
        status, found, body = self.engine.handle(method, url, pairs, content, peer)
        return TestResponse(status, found, body)

    def get(self, url: str, **options: Any) -> TestResponse:
        """``request`` with GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> TestResponse:
        """``request`` with POST."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> TestResponse:
        """``request`` with PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> TestResponse:
        """``request`` with PATCH."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> TestResponse:
        """``request`` with DELETE."""
        return self.request("DELETE", url, **options)

    def options(self, url: str, **options: Any) -> TestResponse:
        """``request`` with OPTIONS."""
        return self.request("OPTIONS", url, **options)

    def close(self) -> None:
        """Ends the engine's threads."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
