"""Files over real sockets: what is none, a link that is swapped, a disk that hangs, and the GIL."""

import contextlib
import ctypes
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.live.gil import not_taken, read_often
from tests.live.server import Server
from tests.live.wire import connected, rest
from tests.static_tree import TABLE, make

FILE = """\
version: 1
server: {limits: {write_idle: 1s}}
defaults: {access_log: {format: json}}
routes:
  - {path: "/static/{*path}", files: {root: www, symlinks: inside, precompressed: [br]}}
  - {path: "/unremembered/{*path}", files: {root: www, memory: 0B}}
  - {path: "/kept/{*path}", files: {root: www, memory: 256MiB}}
  - {path: /healthz, respond: {body: ok}, access_log: off}
  - {path: /stats, handler: "files_stats:stats", access_log: off}
"""
STATS = "import pybolt\n\n\ndef stats(request):\n    return pybolt.stats()\n"

#: What is no text of a target, beside the spellings of the table.
RAW = [
    b"/static/\xc0\xae\xc0\xae/secret.txt",
    b"/static/..\xff/secret.txt",
    b"/static/..\xc0\xafsecret.txt",
    b"/static/a.txt\x00",
    b"/static/..\x00/secret.txt",
    b"/static/..\x0b/secret.txt",
    b"/static/..\t/secret.txt",
    b"/static/.. /secret.txt",
    b"http://localhost/static/../secret.txt",
    b"http://localhost/static/%2e%2e/secret.txt",
    b"http://localhost/static//secret.txt",
    b"static/../secret.txt",
    b"../secret.txt",
    b"\\static\\..\\secret.txt",
    b"/static/" + b"../" * 1000 + b"etc/passwd",
    b"/static/" + b"a/" * 2000 + b"x",
    b"/static/" + b"a" * 5000,
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    make(root)
    (root / "bolt.yaml").write_text(FILE)
    (root / "files_stats.py").write_text(STATS)
    return root


@pytest.fixture(scope="module")
def large(tree):
    """The content of a file that is kept in memory, no part of it like another."""
    content = b"".join(b"%07x\n" % number for number in range(230_000))
    (tree / "www" / "large.bin").write_bytes(content)
    (tree / "www" / "larger.bin").write_bytes(content * 8)  # more than a socket's buffer takes
    return content


@pytest.fixture(scope="module")
def server(tree):
    with Server(tree) as server:
        yield server


def ask_raw(server, target):
    """Everything that a target is answered with."""
    with connected(server) as raw:
        raw.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return rest(raw)


@pytest.mark.parametrize(
    "target", [spelling.encode() for spelling in TABLE["spellings"]] + RAW, ids=repr
)
def test_no_spelling_leads_out(server, target):
    answer = ask_raw(server, target)
    assert b"SECRET" not in answer
    assert b"root:" not in answer
    assert answer.split(b" ", 2)[:2] in ([b"HTTP/1.1", b"400"], [b"HTTP/1.1", b"404"]), answer[:100]
    assert server.request("GET", "/static/a.txt")[2] == b"0123456789"


def test_a_connection_goes_on_after_every_kind_of_answer(server):
    connection = server.connect()
    try:
        for method, url, headers, status, length, body in [
            ("HEAD", "/static/big.bin", {}, 200, "200000", b""),
            ("GET", "/unremembered/big.bin", {}, 200, "200000", b"0123456789" * 20000),
            ("HEAD", "/unremembered/big.bin", {"Range": "bytes=0-1"}, 200, "200000", b""),
            ("GET", "/static/a.txt", {"Range": "bytes=2-4"}, 206, "3", b"234"),
            ("GET", "/static/a.txt", {"If-None-Match": "*"}, 304, None, b""),
            ("GET", "/static/empty.txt", {}, 200, "0", b""),
            ("GET", "/static/css/site.css", {"Accept-Encoding": "br"}, 200, "9", b"in brotli"),
            ("GET", "/static/big.bin", {}, 200, "200000", b"0123456789" * 20000),
        ]:
            connection.request(method, url, None, headers)
            response = connection.getresponse()
            assert (response.status, response.getheader("content-length")) == (status, length)
            assert response.read() == body
    finally:
        connection.close()


def test_the_log_tells_the_bytes_sent(server):
    assert server.request("GET", "/unremembered/big.bin?logged")[0] == 200
    assert server.logs("/unremembered/big.bin")
    lines = [json.loads(line) for line in server.log().splitlines() if "unremembered/big" in line]
    assert any(line["status"] == 200 and line.get("bytes") == 200_000 for line in lines), lines


def ask_slowly(server, head):
    """A socket that takes a few kilobytes at a time, asked for what ``head`` says."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(20)
    raw.connect(("127.0.0.1", server.port))
    raw.sendall(head)
    return raw


def test_a_file_in_memory_reaches_a_client_that_reads_slowly(server, large):
    """The kernel sends it in as many turns as the client's window has."""
    asked = b"GET /static/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /static/a.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with ask_slowly(server, asked + asked + last) as raw:
        received = b""
        while piece := raw.recv(30_000):
            received += piece
    answers = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in answers]
    assert bodies == [large, large, b"0123456789"]
    assert all(b"chunked" not in answer[:400] for answer in answers)
    assert f"content-length: {len(large)}".encode() in answers[0][:400]


def test_parts_of_a_file_in_memory(server, large):
    connection = server.connect()
    try:
        for asked, parts in [
            ("bytes=0-0,100000-299999,-70000", [(0, 1), (100_000, 300_000), (-70_000, None)]),
            ("bytes=70000-1699999", [(70_000, 1_700_000)]),
        ]:
            connection.request("GET", "/static/large.bin", None, {"Range": asked})
            response = connection.getresponse()
            body = response.read()
            assert (response.status, int(response.getheader("content-length"))) == (206, len(body))
            for begin, end in parts:
                assert large[begin:end] in body
    finally:
        connection.close()


def logged(server, path):
    """The log's line of the one request for ``path``."""
    assert server.logs(f'"{path}"')
    [line] = [line for line in server.log().splitlines() if f'"{path}"' in line]
    return json.loads(line)


def test_a_client_that_takes_nothing_is_left_and_logged(server, large):
    asked = b"GET /kept/larger.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ask_slowly(server, asked):
        line = logged(server, "/kept/larger.bin")
    assert (line["status"], line["cut"]) == (200, True)
    assert line["bytes"] < 8 * len(large)
    assert 0.9 <= line["duration_us"] / 1e6 < 10


def test_the_log_tells_the_bytes_that_the_kernel_sent(server, large):
    assert server.request("GET", "/kept/large.bin")[2] == large
    line = logged(server, "/kept/large.bin")
    assert (line["status"], line["bytes"]) == (200, len(large))
    assert "cut" not in line


def test_files_take_no_gil(server):
    def takes():
        return json.loads(server.request("GET", "/stats")[2])["gil_takes"]

    read_often(takes)
    with not_taken(takes):
        for _ in range(5):
            for url, headers in [
                ("/static/a.txt", {}),
                ("/static/a.txt", {"If-None-Match": "*"}),
                ("/static/a.txt", {"Range": "bytes=0-1"}),
                ("/static/nowhere", {}),
                ("/static/pipe", {}),
                ("/unremembered/big.bin", {}),
                ("/static/big.bin", {}),
            ]:
                server.request("GET", url, None, headers)


def test_a_link_that_is_swapped_while_it_is_served(server, tree):
    link, stop = tree / "www" / "swapped", threading.Event()

    def swap():
        number = 0
        while not stop.is_set():
            number += 1
            new = tree / "www" / "swapping"
            new.symlink_to(["a.txt", "../secret.txt", "../outside/secret.txt"][number % 3])
            new.replace(link)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        connection = server.connect()
        statuses = set()
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline or len(statuses) < 2:
            assert time.monotonic() < deadline + 20
            connection.request("GET", "/static/swapped")
            response = connection.getresponse()
            statuses.add(response.status)
            body = response.read()
            assert b"SECRET" not in body
            assert response.status in {200, 404}
            assert response.status != 200 or body == b"0123456789"
        connection.close()
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def hanging_disk(at):
    """A file system whose every file waits for an answer that never comes; skips without the right
    to mount one."""
    libc = ctypes.CDLL(None, use_errno=True)
    at.mkdir()
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"/dev/fuse: {error}")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"hanging", os.fsencode(at), b"fuse", 0, options):
        os.close(device)
        pytest.skip(f"mounting: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        libc.umount2(os.fsencode(at), 2)  # MNT_DETACH
        os.close(device)


def test_a_disk_that_hangs_stalls_its_own_root_alone(tmp_path):
    make(tmp_path)
    (tmp_path / "bolt.yaml").write_text(FILE)
    (tmp_path / "files_stats.py").write_text(STATS)
    with Server(tmp_path) as server, hanging_disk(tmp_path / "www" / "hanging"):
        with ThreadPoolExecutor(16) as pool:
            began = time.monotonic()
            stuck = [
                pool.submit(server.request, "GET", f"/static/hanging/{number}")
                for number in range(16)
            ]
            asked = 0
            while not all(answer.done() for answer in stuck):
                # All threads of the root are taken, nobody else notices.
                start = time.monotonic()
                assert server.request("GET", "/healthz")[2] == b"ok"
                assert server.request("GET", "/unremembered/a.txt")[2] == b"0123456789"
                assert server.request("GET", "/unremembered/pipe")[0] == 404
                assert time.monotonic() - start < 2
                assert time.monotonic() - began < 20
                asked += 1
                time.sleep(0.05)
        assert asked > 10
        for answer in stuck:
            status, headers, _ = answer.result()
            assert (status, headers["retry-after"]) == (503, "1")
        # Nor does the end of the server wait for it.
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 10
