"""Requests with known answers: asked once to verify, by wrk to load a server, and at a pace to learn a latency."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import machine

TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.002
_METHOD_SCRIPT = Path(__file__).resolve().parent / "method.lua"


class NotAnswered(Exception):
    """A server's answer is not the one that the case is about."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request, and the status and body that it must be answered with.

    `body` is the exact body; `document` is what a JSON body must say instead, however it is written; `member` names a
    member, and its value or `...` for any, that it must have; with none, the body must be empty. `sent` is the request's own body. `spared` answers of each second
    may be of another kind: a limiter of whole requests a second has to let one pass.
    """

    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    sent: str = ""
    status: int = 200
    body: bytes = b""
    document: object = None
    member: tuple[str, object] | None = None
    answer_headers: tuple[tuple[str, str], ...] = ()
    spared: int = 0

    def check(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        """Raise `NotAnswered` unless this is the answer."""
        request = f"{self.method} {self.path}"
        if status != self.status:
            raise NotAnswered(
                f"{request}: status {status} instead of {self.status}: {body[:200]!r}"
            )
        if self.document is not None:
            if json.loads(body) != self.document:
                raise NotAnswered(f"{request}: body {body[:200]!r} instead of {self.document!r}")
        elif self.member is None and body != self.body:
            raise NotAnswered(f"{request}: body {body[:200]!r} instead of {self.body!r}")
        if self.member is not None:
            name, value = self.member
            document = json.loads(body)
            if name not in document or value not in (..., document[name]):
                raise NotAnswered(f"{request}: body {body[:200]!r} without {name!r} = {value!r}")
        for name, value in self.answer_headers:
            if headers.get(name) != value:
                raise NotAnswered(
                    f"{request}: header {name}: {headers.get(name)!r} instead of {value!r}"
                )


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk saw."""

    requests: int
    seconds: float
    refused: int
    errors: str
    p99_ms: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Latencies of one connection, in milliseconds, in ascending order."""

    samples: tuple[float, ...]

    def quantile(self, share: float) -> float:
        return self.samples[min(int(len(self.samples) * share), len(self.samples) - 1)]


def ask(port: int, exchange: Exchange) -> bytes:
    """Make the request on a connection of its own, check the answer, and return the body."""
    with contextlib.closing(_connect(port)) as connection:
        return _ask_on(connection, exchange)


def warm(port: int, exchange: Exchange, times: int) -> None:
    """Make the request so many times, so that an engine that learns has learned."""
    with contextlib.closing(_connect(port)) as connection:
        for _ in range(times):
            _ask_on(connection, exchange)


def load(port: int, exchange: Exchange, *, connections: int, seconds: float) -> Load:
    """Let wrk make the request as fast as it is answered; every answer must be of the expected kind."""
    done = subprocess.run(
        _wrk(port, exchange, connections, seconds),
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    return _verified(_parse(done.stdout), exchange)


@contextlib.contextmanager
def storm(
    port: int, exchange: Exchange, *, connections: int, seconds: float
) -> Iterator[list[Load]]:
    """Hold a load on the server during the block, at most so many seconds; its result is in the list afterwards."""
    results: list[Load] = []
    process = subprocess.Popen(
        _wrk(port, exchange, connections, seconds),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield results
        if process.poll() is not None:
            raise NotAnswered("the storm ended before the probe did")
        process.send_signal(signal.SIGINT)  # wrk then prints what it has
        output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
        results.append(_verified(_parse(output), exchange))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def probe(port: int, exchange: Exchange, *, samples: int, seconds: float) -> Latencies:
    """Time one request after another on one connection with a pause between, until enough samples or seconds."""
    end = time.monotonic() + seconds
    latencies: list[float] = []
    with contextlib.closing(_connect(port)) as connection:
        _ask_on(connection, exchange)
        while len(latencies) < samples and time.monotonic() < end:
            begin = time.perf_counter()
            _ask_on(connection, exchange)
            latencies.append((time.perf_counter() - begin) * 1e3)
            time.sleep(PAUSE_SECONDS)
    return Latencies(samples=tuple(sorted(latencies)))


def _connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)


def _ask_on(connection: http.client.HTTPConnection, exchange: Exchange) -> bytes:
    try:
        connection.request(
            exchange.method, exchange.path, exchange.sent or None, dict(exchange.headers)
        )
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as problem:
        raise NotAnswered(f"{exchange.method} {exchange.path}: {problem!r}") from problem
    exchange.check(response.status, response.headers, body)
    return body


def _wrk(port: int, exchange: Exchange, connections: int, seconds: float) -> list[str]:
    command = [
        "taskset",
        "-c",
        str(machine.CLIENT_CORE),
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
    ]
    command += ["--latency", "--timeout", f"{TIMEOUT_SECONDS:g}s"]
    for name, value in exchange.headers:
        command += ["-H", f"{name}: {value}"]
    if exchange.method != "GET":
        command += ["-s", str(_METHOD_SCRIPT)]
    command.append(f"http://127.0.0.1:{port}{exchange.path}")
    if exchange.method != "GET":
        command += ["--", exchange.method, *([exchange.sent] if exchange.sent else [])]
    return command


def _parse(output: str) -> Load:
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", output)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", output)
    if total is None or p99 is None:
        raise NotAnswered(f"wrk printed no result:\n{output}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    errors = re.search(r"Socket errors: (.*)", output)
    return Load(
        requests=int(total[1]),
        seconds=_seconds(total[2], total[3]),
        refused=int(refused[1]) if refused else 0,
        errors=errors[1] if errors else "",
        p99_ms=_seconds(p99[1], p99[2]) * 1e3,
    )


def _seconds(number: str, unit: str) -> float:
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[unit]


def _verified(result: Load, exchange: Exchange) -> Load:
    refusal = not 200 <= exchange.status < 400
    expected = result.requests if refusal else 0
    if (
        result.requests == 0
        or result.errors
        or abs(result.refused - expected) > exchange.spared * (result.seconds + 1)
    ):
        raise NotAnswered(
            f"{exchange.method} {exchange.path}: of {result.requests} answers {result.refused} were refusals,"
            f" expected {'all' if refusal else 'none'}; socket errors: {result.errors or 'none'}"
        )
    return result
