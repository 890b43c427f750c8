"""Nobody is left behind: workers without a supervisor, ports without a server."""

import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pybolt.listeners import _listening
from tests.command import beside
from tests.live.server import Server

APP = """
import asyncio, multiprocessing, os, subprocess, time
from django.http import FileResponse
from pybolt import BoltAPI, File

api = BoltAPI()

@api.get("/to-thread")
async def to_thread(request):
    await asyncio.to_thread(time.sleep, 100)

@api.get("/sleep")
def sleep(request):
    time.sleep(100)

@api.get("/spin")
def spin(request):
    while True:
        pass

@api.get("/fifo")
def fifo(request):
    return File("fifo")

@api.get("/child/{kind}")
def child(request, kind: str):
    if kind == "exec":
        process = subprocess.Popen(["sleep", "100"], close_fds=False)
        return {"pid": process.pid}
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    process.start()
    return {"pid": process.pid}

@api.get("/file")
def file(request):
    return FileResponse(open(__file__, "rb"))

@api.get("/pid")
def pid(request):
    return {"pid": os.getpid()}
"""


def make(directory):
    (directory / "app.py").write_text(APP)
    os.mkfifo(directory / "fifo")
    return directory


@pytest.fixture
def directory(tmp_path):
    return make(tmp_path)


def runs(pid):
    """Whether the process is there and has not ended; whoever adopted it may be slow to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


URLS = ["/pid", "/to-thread", "/sleep", "/spin", "/fifo"]


@pytest.fixture(scope="module")
def outlived(tmp_path_factory):
    """For how long a worker that was asked for each of them goes on without its supervisor."""

    def start(_):
        return Server(make(tmp_path_factory.mktemp("orphan")), "app.py")

    def outlives(server):
        [worker] = server.workers()
        server.process.kill()
        server.process.wait()
        begun = time.monotonic()
        while runs(worker) and time.monotonic() < begun + 10:
            time.sleep(0.02)
        return time.monotonic() - begun

    servers = beside(start, URLS)
    with ThreadPoolExecutor(2 * len(URLS)) as pool:
        asked = [
            pool.submit(one.request, "GET", url) for one, url in zip(servers, URLS, strict=True)
        ]
        time.sleep(0.3)
        took = list(pool.map(outlives, servers))
        for answer in asked:
            answer.exception()
    return dict(zip(URLS, took, strict=True))


@pytest.mark.parametrize("url", URLS)
def test_a_worker_is_gone_two_seconds_after_its_supervisor(outlived, url):
    assert outlived[url] < 2.2


def test_a_thread_of_an_executor_keeps_no_worker_from_its_end(directory):
    (directory / "bolt.yaml").write_text("version: 1\nserver: {drain_timeout: 1s}\n")
    arguments = ("app.py", "--config", "bolt.yaml")
    with Server(directory, *arguments) as server, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.request, "GET", "/to-thread")
        time.sleep(0.3)
        begun = time.monotonic()
        assert server.stop() == 0
        # The supervisor would end it by force two seconds after the drain.
        assert time.monotonic() - begun < 2.8
        assert isinstance(asked.exception(), OSError)


def descriptors(pid):
    """What the process has open."""
    return {os.path.realpath(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


@pytest.mark.parametrize("kind", ["exec", "fork"])
def test_a_handlers_child_does_not_hold_the_port(directory, kind):
    server = Server(directory, "app.py")
    child = json.loads(server.request("GET", f"/child/{kind}")[2])["pid"]
    try:
        listening = {f"/proc/{child}/fd/socket:[{inode}]" for inode in _listening(server.port)}
        assert listening
        # A child that was forked closes them first thing, which may be a moment from now.
        deadline = time.monotonic() + 5
        while descriptors(child) & listening:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        deadline = time.monotonic() + 5
        while _listening(server.port) and time.monotonic() < deadline:
            time.sleep(0.02)
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", server.port))
    finally:
        os.kill(child, signal.SIGKILL)
        server.stop()


def test_a_streamed_file_has_its_length(directory):
    with Server(directory, "app.py") as server:
        status, headers, body = server.request("GET", "/file")
        assert (status, headers["content-length"]) == (200, str(len(APP)))
        assert "transfer-encoding" not in headers
        assert body.decode() == APP
        status, headers, body = server.request("HEAD", "/file")
        assert (status, headers["content-length"], body) == (200, str(len(APP)), b"")
