"""The servers under measurement: how each is provisioned, started on its core, awaited and stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.load import Exchange, NotAnswered, ask
from tests.pythons import find

HERE = Path(__file__).resolve().parent
LOGS = HERE / "logs"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
DJANGO_BOLT = "django-bolt==0.13.0"
PSYCOPG = "psycopg[binary]>=3.2"
DJANGO_BOLT_VENV = HERE / ".venv-django-bolt"
PYBOLT_VENV = HERE / ".venv-pybolt"
DJANGO_BOLT_PYTHONS = ("3.12", "3.13")
FILES = HERE / "files"
FILE_SIZES = {"1k": 1024, "1m": 1024 * 1024}
FLOOR_BINARY = HERE / "floor" / "target" / "release" / "floor"


class Unavailable(Exception):
    """A server cannot be had on this machine; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A command whose `{port}` is a port of 127.0.0.1, and the exchange that shows it is ready.

    `reads`: whether it needs the databases; `settings`: its Django project's, if it has one.
    """

    kind: str
    command: tuple[str, ...]
    ready: Exchange
    directory: Path = machine.ROOT
    settings: str = ""
    reads: bool = False


@dataclass(frozen=True, kw_only=True)
class Running:
    """A started server."""

    server: Server
    port: int
    pid: int

    def processes(self) -> frozenset[int]:
        return machine.process_tree(self.pid)


def pybolt(app: str, ready: Exchange, settings: str = "") -> Server:
    """One worker of pybolt under its supervisor. The app is `module:name`; `settings` have the databases."""
    command = (f"{PYBOLT_VENV}/bin/bolt", "run", app, "--port", "{port}", "--workers", "1")
    return Server(
        kind="pybolt", command=command, ready=ready, settings=settings, reads=bool(settings)
    )


def floor(ready: Exchange, *, reads: bool = False) -> Server:
    """Raw actix-web, and with `reads` raw tokio-postgres."""
    command = (str(FLOOR_BINARY), "{port}", *(["{BENCH_POSTGRESQL}"] if reads else []))
    return Server(kind="raw actix", command=command, ready=ready, reads=reads)


def nginx(ready: Exchange) -> Server:
    """nginx with one worker, sendfile on and no log."""
    command = (sys.executable, "-m", "bench.nginx", "{port}", str(FILES))
    return Server(kind="nginx", command=command, ready=ready)


def django_bolt(ready: Exchange, settings: str = "") -> Server:
    """django-bolt in production mode: one process, one worker, no admin, no logging; `settings` have the databases."""
    python = str(DJANGO_BOLT_VENV / "bin" / "python")
    options = (
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
        "--processes",
        "1",
        "--workers",
        "1",
        "--no-admin",
    )
    return Server(
        kind="django-bolt",
        command=(python, "manage.py", "runbolt", *options),
        ready=ready,
        directory=HERE / "peers" / "django_bolt_app",
        settings=settings,
        reads=bool(settings),
    )


def provision(kinds: frozenset[str], python: str | None) -> None:
    """Build or install what these kinds of server need, or raise `Unavailable`."""
    if not {machine.SERVER_CORE, machine.CLIENT_CORE} <= os.sched_getaffinity(0):
        raise Unavailable("two cores are needed: one for the server, one for the client")
    for tool in ("taskset", "wrk"):
        if shutil.which(tool) is None:
            raise Unavailable(f"`{tool}` is not installed")
    if "nginx" in kinds:
        if shutil.which("nginx") is None:
            raise Unavailable("`nginx` is not installed (Debian: nginx-light)")
        _make_files()
    if "raw actix" in kinds:
        _run(["cargo", "build", "--release", "--locked"], cwd=HERE / "floor")
    if "django-bolt" in kinds:
        _install(DJANGO_BOLT_VENV, python, DJANGO_BOLT)
    if "pybolt" in kinds:
        _provision_pybolt(python)


@contextlib.contextmanager
def started(server: Server, places: Mapping[str, str]) -> Iterator[Running]:
    """Run a server pinned to its core until the block ends, however it ends. `places`: where the databases are."""
    port = _free_port()
    LOGS.mkdir(exist_ok=True)
    log = LOGS / f"{server.kind.replace(' ', '-')}-{port}.log"
    command = [
        "taskset",
        "-c",
        str(machine.SERVER_CORE),
        *(part.format(port=port, **places) for part in server.command),
    ]
    environment = os.environ | {"PYTHONPATH": str(machine.ROOT), **places}
    if server.settings:
        environment["DJANGO_SETTINGS_MODULE"] = server.settings
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the harness alone, which then stops its servers in order.
        process = subprocess.Popen(
            command,
            cwd=server.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_ready(server, process, port, log)
        yield Running(server=server, port=port, pid=process.pid)
    finally:
        _stop(process)
    log.unlink(missing_ok=True)


def _await_ready(server: Server, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            ask(port, server.ready)
            return
        except (OSError, NotAnswered) as problem:
            reason = problem
        if process.poll() is not None or time.monotonic() > end:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise Unavailable(
                f"{server.kind} did not get ready ({reason}); the end of its output:\n{tail}"
            )
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes]) -> None:
    tree = machine.process_tree(process.pid)
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for pid in tree - {process.pid}:  # workers whose supervisor did not take them along
        if pid in machine.process_tree(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
        process.wait()


def _make_files() -> None:
    FILES.mkdir(exist_ok=True)
    for name, size in FILE_SIZES.items():
        (FILES / name).write_bytes(file_content(size))


def file_content(size: int) -> bytes:
    """What is in a file of so many bytes."""
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _provision_pybolt(python: str | None) -> None:
    """pybolt built for the same Python that django-bolt runs on."""
    _install(PYBOLT_VENV, python, "maturin")
    build = [str(PYBOLT_VENV / "bin" / "maturin"), "develop", "--release", "--quiet"]
    environment = {
        "VIRTUAL_ENV": str(PYBOLT_VENV),
        "CARGO_TARGET_DIR": str(machine.ROOT / "target" / "bench"),
    }
    _run(build, cwd=machine.ROOT, environment=environment)


def _install(venv: Path, python: str | None, requirement: str) -> None:
    """A virtualenv with the requirement and the driver of PostgreSQL; pip asks nobody for what is there."""
    installed = venv / "bin" / "python"
    if not installed.exists():
        _run([_django_bolt_python(python), "-m", "venv", "--clear", str(venv)], cwd=HERE)
    _run([str(installed), "-m", "pip", "install", "--quiet", requirement, PSYCOPG], cwd=HERE)


def _django_bolt_python(python: str | None) -> str:
    if python:
        return python
    for version in DJANGO_BOLT_PYTHONS:
        if (found := find(version)) is not None:
            return found
    raise Unavailable(
        f"django-bolt needs Python {' or '.join(DJANGO_BOLT_PYTHONS)} and there is none: name one with --python"
    )


def _run(command: list[str], cwd: Path, environment: dict[str, str] | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, env=os.environ | (environment or {}))
    except (OSError, subprocess.CalledProcessError) as problem:
        raise Unavailable(str(problem)) from problem
