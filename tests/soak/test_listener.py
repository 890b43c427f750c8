"""F2 and O3: hostile bytes and idle connections, at full size under ``make soak``."""

import contextlib
import random
import re
import resource
import socket
import time
from pathlib import Path

import pytest

from tests.live.server import Server
from tests.live.test_listener import CHUNKED, GET, POST, VECTORS
from tests.live.wire import connected, rest

#: Idle connections, and the client's own descriptors.
CONNECTIONS = 9_000
PIECES = [
    b"\r\n", b"\0", b":", b" ", b"\n", b"\r", b"9" * 40, b"0\r\n\r\n", b"\x80", b",", b";", b"\t",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"HTTP/1.0", b"Host: b\r\n", b"ffffffffffffffff\r\n", b"X_A: b\r\n",
    b"GET / HTTP/1.1\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"a" * 700, b"%00",
]  # fmt: skip
REQUESTS = [
    GET,
    POST + b"Content-Length: 3\r\n\r\nabc",
    POST + CHUNKED + b"3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
    POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /drip HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /framed HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /nowhere HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
]


FILE = """\
version: 1
server: {limits: {uri: 64B, headers: 512B, header_count: 8}}
defaults: {security_headers: on}
routes:
  - {path: /size, methods: [POST], handler: "handlers:size", body_limit: 1KiB}
  - {path: /drip, methods: [GET, POST], handler: "handlers:drip"}
  - {path: /framed, handler: "handlers:framed"}
  - {path: /locked, methods: [GET, POST], respond: {status: 401}}
  - {path: "/{*rest}", methods: [GET, OPTIONS, FROB], respond: {body: ok}}
"""
HANDLERS = """\
import asyncio
import pybolt

def size(request):
    return {"size": len(request.body)}

async def drip(request):
    await asyncio.sleep(0.01)
    return {"path": request.path}

def framed(request):
    return pybolt.Stream([b"123", b"45"])
"""


@pytest.fixture
def server(tmp_path):
    (tmp_path / "bolt.yaml").write_text(FILE)
    (tmp_path / "handlers.py").write_text(HANDLERS)
    with Server(tmp_path) as server:
        yield server


def memory(worker):
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{worker}/status").read_text())
    return int(found[1]) << 10


def mutated(chance, seeds):
    """Some requests behind each other, with a few mistakes; and where the bytes are cut apart."""
    raw = bytearray(b"".join(chance.choice(seeds) for _ in range(chance.randrange(1, 4))))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(5):
            case 0 if at < len(raw):
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randrange(8)]
            case 2:
                raw[at:at] = raw[at : at + chance.randrange(40)]
            case _:
                raw[at:at] = chance.choice(PIECES)
    return bytes(raw), chance.randrange(len(raw) + 1)


def hostile(server, chance, seeds):
    """Sends one; the statuses of its answers."""
    sent, cut = mutated(chance, seeds)
    with connected(server) as raw:
        # Refused and closed, perhaps before all of it was sent.
        with contextlib.suppress(OSError):
            raw.sendall(sent[:cut])
            raw.sendall(sent[cut:])
            raw.shutdown(socket.SHUT_WR)
        received = rest(raw)
    assert not received or re.match(rb"HTTP/1\.[01] [1-5]\d\d ", received), (sent, received)
    return re.findall(rb"HTTP/1\.[01] (\d+) ", received), sent


@pytest.mark.timeout(3000)
def test_hostile_bytes(server, scale, verdict):
    [worker] = server.workers()
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    seeds = REQUESTS + [row["raw"].encode("latin-1") for row in VECTORS]

    def some(count):
        for _ in range(count):
            statuses, sent = hostile(server, chance, seeds)
            assert b"500" not in statuses, (seed, sent)
        assert server.request("GET", "/")[0] == 200

    some(scale(200, 5_000))
    before = memory(worker)
    some(scale(1_500, 100_000))
    verdict("F2 memory", memory(worker) / before - 1, 0.05)
    assert server.workers() == [worker]
    verdict("F2 connections left", connections_left(worker, server.port), 0)
    assert not re.search("Traceback|panicked", server.log())


def connections_left(worker, port):
    """How many connections of ``port`` the worker still has when it had time to end them."""
    deadline = time.monotonic() + 15
    while (left := connections(worker, port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def connections(worker, port):
    inodes = set()
    for descriptor in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(OSError):
            if found := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                inodes.add(found[1])
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    sockets = (line.split() for line in lines)
    return sum(
        fields[9] in inodes and fields[3] != "0A" and fields[1].endswith(f":{port:04X}")
        for fields in sockets
    )


@pytest.mark.timeout(3000)
def test_idle_connections(server, scale, verdict):
    count = scale(900, CONNECTIONS)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 200:
        pytest.skip(f"{hard} descriptors are not enough for {count} connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    [worker] = server.workers()
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (hard, hard))
    assert server.request("GET", "/")[0] == 200
    before = memory(worker)
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            raw = stack.enter_context(connected(server))
            clients.append(raw)
            raw.sendall(GET)
            assert raw.recv(4096).startswith(b"HTTP/1.1 200")
        verdict("O3 bytes each", (memory(worker) - before) / count, 25_000)
        took = []
        for _ in range(20):
            begun = time.monotonic()
            assert server.request("GET", "/")[0] == 200
            took.append(time.monotonic() - begun)
        verdict("O3 seconds for a new request", sorted(took)[10], 0.05)
        for raw in clients:
            raw.sendall(GET)
        for raw in clients:
            assert raw.recv(4096).startswith(b"HTTP/1.1 200")
    assert server.request("GET", "/")[0] == 200
    verdict("O3 connections left", connections_left(worker, server.port), 0)
    deadline = time.monotonic() + 15
    while memory(worker) - before > 5_000 * count and time.monotonic() < deadline:
        time.sleep(0.05)
    verdict("O3 bytes kept of each", (memory(worker) - before) / count, 5_000)
