"""A real server for a test: ``bolt run`` in a process, ready when its sockets answer."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.command import ROOT

READY_WITHIN = 60.0
LOGGED_WITHIN = 20.0


class Server:
    """``bolt run`` with ``arguments`` in ``directory``; stop it, or use it as a context manager.

    It listens on a free port of this machine, or as its configuration says: ``as_configured``."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        as_configured: bool = False,
    ) -> None:
        where = [] if as_configured else ["--port", "0"]
        self.output = directory / "server.log"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pybolt", "run", *arguments, *where],
                cwd=directory,
                env=environment | dict(environ or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.port = self._await_port()

    def log(self) -> str:
        """What the server has written so far."""
        return self.output.read_text(errors="replace")

    def logs(self, *texts: str) -> bool:
        """Waits until the server has written every one of ``texts``; False when it does not."""
        deadline = time.monotonic() + LOGGED_WITHIN
        while time.monotonic() < deadline:
            log = self.log()
            if all(text in log for text in texts):
                return True
            time.sleep(0.02)
        return False

    def _await_port(self) -> int:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            found = re.search(r"on +http://(?:127\.0\.0\.1|0\.0\.0\.0):(\d+)\D", self.log())
            if found:
                return int(found[1])
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f"the server did not start:\n{self.log()}")

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def request(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers, body."""
        connection = self.connect()
        try:
            connection.request(method, url, body, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """The worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A test that is about the end says `stop`; here nobody waits for connections any more.
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.stop()


def copied(project: str, directory: Path, config: str = "bolt.yaml") -> Server:
    """One of the projects beside this module, served from a copy in ``directory``."""
    shutil.copytree(Path(__file__).parent / project, directory, dirs_exist_ok=True)
    return Server(directory, "--config", config)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
