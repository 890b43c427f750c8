"""Requests at an even pace on keep-alive connections, and what came of them."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from typing import Self


@dataclasses.dataclass
class Tally:
    """What one connection saw."""

    lost: int = 0
    closed: int = 0
    times: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    bodies: dict[bytes, int] = dataclasses.field(default_factory=dict)


class Load:
    """``rate`` requests a second for ``path`` over ``connections`` connections, while entered.

    A request that was written and has no complete answer is lost, and so is a connection that
    the server closes.
    """

    def __init__(self, port: int, path: str, *, rate: int, connections: int = 16) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        self.port = port
        self.pause = connections / rate
        self.tallies = [Tally() for _ in range(connections)]
        self.ends = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(t,)) for t in self.tallies]

    def __enter__(self) -> Self:
        for number, thread in enumerate(self.threads):
            thread.start()
            time.sleep(self.pause * number / len(self.threads) / len(self.threads))
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        for thread in self.threads:
            thread.join()

    @property
    def lost(self) -> int:
        """Requests without a complete answer, and connections that were closed."""
        return sum(tally.lost + tally.closed for tally in self.tallies)

    @property
    def answered(self) -> int:
        """Complete answers."""
        return sum(len(tally.times) for tally in self.tallies)

    def bodies(self) -> dict[bytes, int]:
        """How often each body came."""
        found: dict[bytes, int] = {}
        for tally in self.tallies:
            for body, times in tally.bodies.items():
                found[body] = found.get(body, 0) + times
        return found

    def p99(self, begin: float, end: float) -> float:
        """In milliseconds, of the requests that were sent between two moments."""
        times = sorted(
            took for tally in self.tallies for sent, took in tally.times if begin <= sent < end
        )
        return times[int(len(times) * 0.99)] * 1000

    def _run(self, tally: Tally) -> None:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        due = time.monotonic()
        while not self.ends.is_set():
            due = max(due + self.pause, time.monotonic() - 0.05)
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            try:
                connection.sendall(self.request)
                head, body = _answer(connection)
            except OSError:
                tally.lost += 1
                connection.close()
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                continue
            tally.times.append((sent, time.monotonic() - sent))
            tally.bodies[body] = tally.bodies.get(body, 0) + 1
            tally.closed += b"connection: close" in head.lower()
        connection.close()


def _answer(connection: socket.socket) -> tuple[bytes, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)
    return head, body


def _more(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionResetError
    return chunk
