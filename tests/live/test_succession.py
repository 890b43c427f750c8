"""What outlives the plan that it began under, and what every plan looks at anew: streams and files
under way, where handlers run, what is switched, what is in a directory of files."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pybolt import limits, snapshots
from pybolt.config import RunOptions, load
from tests.command import bolt, said
from tests.live.server import ROOT, Server
from tests.live.wire import connected

HANDLERS = """\
import asyncio
import time
from pathlib import Path

import pybolt

GO = Path("go")


def hello(request):
    return {"message": "hello"}


def other(request):
    return {"message": "other"}


def placed(request):
    return pybolt.stats()["routes"]


async def feed(request):
    async def chunks():
        yield "begun "
        while not GO.exists():
            await asyncio.sleep(0.02)
        yield "ended"

    return pybolt.Stream(chunks())


def pour(request):
    def chunks():
        yield "begun "
        while not GO.exists():
            time.sleep(0.02)
        yield "ended"

    return pybolt.Stream(chunks())
"""

BEFORE = """\
version: 1
routes:
  - {path: /which, respond: {body: before}}
  - {path: /feed, handler: "handlers:feed", python: {concurrency: 1, queue: 0}}
  - {path: /pour, handler: "handlers:pour"}
  - {path: /hello, handler: "handlers:hello"}
  - {path: /other, handler: "handlers:hello"}
  - {path: /placed, handler: "handlers:placed"}
  - {path: "/files/{*path}", files: {root: files}}
"""
#: What streams is there no more, and one route has another handler.
AFTER = """\
version: 1
routes:
  - {path: /which, respond: {body: after}}
  - {path: /hello, handler: "handlers:hello", timeout: 5s}
  - {path: /other, handler: "handlers:other"}
  - {path: /placed, handler: "handlers:placed"}
"""
SIZE = 16 << 20


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "bolt.yaml").write_text(BEFORE)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large").write_bytes(b"x" * SIZE)
    return tmp_path


@pytest.fixture
def server(directory):
    with Server(directory, "--config", "bolt.yaml") as server:
        yield server


def reloaded(directory, text=None):
    if text is not None:
        (directory / "bolt.yaml").write_text(text)
    said(bolt(directory, "reload"))


@pytest.mark.parametrize("path", ["/feed", "/pour"])
def test_a_stream_goes_on_to_its_end_under_the_plan_that_it_began_with(directory, server, path):
    connection = server.connect()
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.read(6) == b"begun "
    reloaded(directory, AFTER)
    assert server.request("GET", "/which")[2] == b"after"
    assert server.request("GET", path)[0] == 404
    (directory / "go").touch()
    assert response.read() == b"ended"
    # The connection stays, and what is asked on it now is answered by the new plan.
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_a_file_goes_on_to_its_end_under_the_plan_that_it_began_with(directory, server):
    with connected(server) as client:
        client.sendall(b"GET /files/large HTTP/1.1\r\nHost: x\r\n\r\n")
        received = client.recv(65536)
        assert received.startswith(b"HTTP/1.1 200")
        reloaded(directory, AFTER)
        assert server.request("GET", "/files/large")[0] == 404
        head, _, body = received.partition(b"\r\n\r\n")
        assert str(SIZE).encode() in head
        left = SIZE - len(body)
        while left and (chunk := client.recv(min(left, 1 << 20))):
            assert chunk == b"x" * len(chunk)
            left -= len(chunk)
        assert left == 0
        client.sendall(b"GET /which HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65536).endswith(b"after")


def test_where_a_handler_runs_is_known_after_a_reload(directory, server):
    def runs():
        found = json.loads(server.request("GET", "/placed")[2])
        return {path: found[f"GET {path}"] for path in ("/hello", "/other")}

    deadline = time.monotonic() + 30
    while not all(route["inline"] for route in runs().values()):
        assert time.monotonic() < deadline, runs()
        for _ in range(40):
            for path in ("/hello", "/other"):
                server.request("GET", path)
    before = runs()
    reloaded(directory, AFTER)
    after = runs()
    assert after["/hello"]["inline"]
    assert after["/hello"]["runs"] == before["/hello"]["runs"]
    # Another handler is measured from the beginning.
    assert after["/other"] == after["/other"] | {"inline": False, "reason": "measuring", "runs": 0}


def test_a_reload_of_the_same_text_looks_at_the_directory_of_files_again(directory, server):
    def cached(name):
        return server.request("GET", f"/files/{name}")[1].get("cache-control")

    (directory / "files" / "a.abc.css").write_text("a {}")
    assert cached("a.abc.css") == "no-cache"
    manifest = {"paths": {"a.css": "a.abc.css"}, "version": "1.1", "hash": ""}
    (directory / "files" / "staticfiles.json").write_text(json.dumps(manifest))
    reloaded(directory)
    assert "immutable" in cached("a.abc.css")
    # The directory itself may be another one now, as after a deployment.
    (directory / "files").rename(directory / "old")
    (directory / "files").mkdir()
    (directory / "files" / "new.css").write_text("b {}")
    assert server.request("GET", "/files/new.css")[0] == 404
    reloaded(directory)
    assert server.request("GET", "/files/new.css")[2] == b"b {}"


def test_a_hangup_while_all_is_loaded_for_the_first_time_is_a_reload(directory):
    """The file has changed since it was read: what is served in the end is the new one."""
    (directory / "handlers.py").write_text(
        f"import time\nfrom pathlib import Path\n{HANDLERS}"
        "Path('loading').touch()\n"
        "while not Path('loaded').exists():\n    time.sleep(0.02)\n"
    )
    run = [sys.executable, "-m", "pybolt", "run", "--config", "bolt.yaml", "--port", "0"]
    process = subprocess.Popen(
        run, cwd=directory, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while not (directory / "loading").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (directory / "bolt.yaml").write_text(AFTER)
    process.send_signal(signal.SIGHUP)
    (directory / "loaded").touch()
    said = ""
    while "version 2" not in said:
        line = process.stderr.readline().decode()
        assert line, f"it ended: {said}"
        said += line
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


class Alone:
    """A worker without a supervisor: its orders and what it reports."""

    def __init__(self, directory: Path) -> None:
        options = RunOptions(config=str(directory / "bolt.yaml"))
        content = load(options, handlers=False).sources.dump()
        self.files = snapshots.Snapshots()
        snapshots.write(self.files.tried.write_fd, content)
        self.snapshot = [self.files.tried.read_fd, len(content)]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.memory = limits.make(1 << 16)
        hears, self.control = os.pipe()
        report, says = os.pipe()
        job = {
            "listeners": [self.listener.fileno()],
            "control": hears,
            "report": says,
            "snapshots": self.files.read_fds(),
            "snapshot": self.snapshot,
            "version": 1,
            "limits": self.memory,
            "switches": [],
        }
        given = [self.listener.fileno(), hears, says, self.memory, *self.files.read_fds()]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pybolt.worker", "serve", json.dumps(job), *options.to_argv()],
            cwd=directory,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            pass_fds=given,
        )
        os.close(hears)
        os.close(says)
        self.reports = os.fdopen(report, "rb")

    def order(self, do, **details):
        os.write(self.control, json.dumps({"do": do} | details).encode() + b"\n")

    def hears(self, *expected):
        """Waits for these reports, in whatever order they come."""
        found = [json.loads(self.reports.readline())["is"] for _ in expected]
        assert sorted(found) == sorted(expected)

    def status(self, path):
        with socket.create_connection(self.listener.getsockname(), timeout=20) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return int(client.recv(65536).split()[1])

    def __enter__(self):
        self.hears("ready")
        return self

    def __exit__(self, *_):
        os.close(self.control)
        self.process.wait(10)
        self.reports.close()
        self.listener.close()
        self.files.close()
        os.close(self.memory)


def test_what_is_switched_while_a_plan_is_built_or_waits_holds_for_it(directory):
    closed = [{"group": None, "route": None, "on": True}]
    with Alone(directory) as worker:
        assert worker.status("/which") == 200
        worker.order("prepare", number=2, snapshot=worker.snapshot)
        worker.order("switch", number=1, switches=closed)
        worker.hears("switched", "prepared")
        worker.order("commit", number=2)
        worker.hears("committed")
        assert worker.status("/which") == 503
        worker.order("prepare", number=3, snapshot=worker.snapshot)
        worker.hears("prepared")
        worker.order("switch", number=2, switches=[])
        worker.hears("switched")
        worker.order("commit", number=3)
        worker.hears("committed")
        assert worker.status("/which") == 200
