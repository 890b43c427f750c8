"""A Redis of a test's own, what asks it, and a way to it that can be slow."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from tests.live.server import free_port

READY_WITHIN = 20.0


class Redis:
    """A server on 127.0.0.1 that keeps nothing on disk; by TLS too where it has a certificate."""

    def __init__(self, directory: Path, password: str = "", options: Sequence[str] = ()) -> None:
        self.directory = directory
        self.password = password
        self.options = list(options)
        self.tls_port = 0
        if "--tls-cert-file" in options:
            self.tls_port = free_port()
            self.options += ["--tls-port", str(self.tls_port)]
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is missing: tests/install_tools.sh")
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", self.password]
        settings += ["--save", "", "--appendonly", "no", "--dir", str(self.directory)]
        with (self.directory / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [program, *settings, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_WITHIN
        while True:
            with contextlib.suppress(OSError), self.connect() as connection:
                connection.ask("PING")
                return
            assert time.monotonic() < deadline, (self.directory / "redis.log").read_text()
            time.sleep(0.01)

    def signal(self, number: int) -> None:
        """Sends its process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, stopped or not; all that it knew is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def connect(self) -> Connection:
        """A connection to it."""
        connection = Connection(self.port)
        if self.password:
            connection.ask("AUTH", self.password)
        return connection

    def ask(self, *words: object) -> Any:
        """What it answers to one command."""
        with self.connect() as connection:
            return connection.ask(*words)

    def calls(self, command: str) -> int:
        """How many times it has run a command since it was started."""
        for line in self.ask("INFO", "commandstats").splitlines():
            name, _, told = line.partition(":")
            if name == f"cmdstat_{command}":
                return int(told.partition("calls=")[2].partition(",")[0])
        return 0


class ReplyError(Exception):
    """The server has answered with an error."""


class Connection:
    """Says commands and reads answers (RESP2)."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def ask(self, *words: object) -> Any:
        """What is answered to one command: text, a number, a list or ``None``."""
        said = [str(word).encode() for word in words]
        lines = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in said)
        self.socket.sendall(b"*%d\r\n%b" % (len(said), lines))
        return self._answer()

    def _answer(self) -> Any:
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError
        kind, told = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise ReplyError(told)
        if kind == b":":
            return int(told)
        if kind == b"*":
            return [self._answer() for _ in range(int(told))]
        if kind == b"$":
            return None if told == "-1" else self.file.read(int(told) + 2)[:-2].decode()
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()


#: What is under way, and when it arrives; nothing is the end.
Way = queue.SimpleQueue[tuple[float, bytes]]


class Proxy:
    """A way to a port that takes ``delay`` seconds in each direction; ``url`` leads there."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.delay = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.open = [self.listener]
        self.threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.open.append(client)
                try:
                    server = socket.create_connection(("127.0.0.1", self.to))
                except OSError:
                    client.shutdown(socket.SHUT_RDWR)
                    continue
                self.open.append(server)
                for source, target in [(client, server), (server, client)]:
                    way: Way = queue.SimpleQueue()
                    self._start(self._read, source, way)
                    self._start(self._write, target, way, source)

    def _read(self, source: socket.socket, way: Way) -> None:
        said = b"-"
        while said:
            try:
                said = source.recv(65536)
            except OSError:
                said = b""
            way.put((time.monotonic() + self.delay, said))

    def _write(self, target: socket.socket, way: Way, source: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (item := way.get())[1]:
                time.sleep(max(0.0, item[0] - time.monotonic()))
                target.sendall(item[1])
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for end in self.open:
            end.close()


@contextlib.contextmanager
def redis(
    password: str = "", options: Sequence[str] = (), directory: Path | None = None
) -> Iterator[Redis]:
    """A running server until the block ends; files that ``options`` name are in ``directory``."""
    own = Path(tempfile.mkdtemp(prefix="bolt-redis-"))
    server = Redis(directory or own, password, options)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
        shutil.rmtree(own)
