"""The listener over raw sockets: what it refuses, how long it waits, where messages end."""

import contextlib
import json
import random
import re
import resource
import socket
import time
from pathlib import Path

import pytest
import yaml

from tests.live.server import ROOT, copied
from tests.live.wire import answers, connected, exchange, one, rest

TABLE = (ROOT / "engine" / "src" / "middleware" / "rejection.rs").read_text()
CODES = {code: int(status) for status, code in re.findall(r'= (\d{3}), "(\w+)", "', TABLE)}
VECTORS = yaml.safe_load((ROOT / "tests" / "vectors" / "http1.yaml").read_text())["rows"]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /size HTTP/1.1\r\nHost: a\r\n"
LOCKED = b"POST /locked HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"POST /size HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


def start(tmp_path_factory, name):
    return copied("listening", tmp_path_factory.mktemp(name), f"{name}.yaml")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start(tmp_path_factory, "bolt") as server:
        yield server


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    with start(tmp_path_factory, "slow") as server:
        yield server


def closing(raw):
    return raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
def test_every_row_of_the_table_holds(server, row):
    raw = row["raw"].encode("latin-1")
    refused = row["expect"] != "ok"
    with connected(server) as client:
        client.sendall(raw)
        if refused:
            *good, (status, headers, body) = answers(rest(client))
            assert status == CODES[row["expect"]]
            assert headers["content-type"] == "application/problem+json"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["connection"] == "close"
            assert json.loads(body)["type"] == f"urn:pybolt:problem:{row['expect']}"
        else:
            good = [one(client) for _ in range(row["answers"])]
    assert len(good) == row["answers"]
    # Some rows ask for what has no route; none is refused by the listener.
    assert all(status in {200, 404} for status, _, _ in good)


def test_a_refusal_of_the_listener_has_its_line_in_the_log(server):
    for raw, method, path, code in [
        (b"GET /logged HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "GET", "/logged", "bad_header"),
        (b"\x16\x03\x01\x02", "-", "*", "bad_request"),
    ]:
        assert exchange(server, raw)[0][0] == 400
        assert server.logs(
            f'"method":"{method}","path":"{path}","status":400', f'"rejection":"{code}"'
        )


def test_limits_hold_to_the_byte_and_no_handler_is_called(server):
    def target(length):
        return b"GET /" + b"a" * (length - 1) + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

    def fields(count):
        return closing(GET[:-2] + b"a: b\r\n" * (count - 2) + b"\r\n")

    def size(length):
        return closing(GET[:-2] + b"a: " + b"b" * (length - 33) + b"\r\n\r\n")

    def body(length):
        head = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % length
        return POST + head + b"a" * length

    def chunks(length):
        head = POST + b"Connection: close\r\n" + CHUNKED
        return (
            head
            + b"100\r\n"
            + b"a" * 256
            + b"\r\n%x\r\n" % (length - 256)
            + b"a" * (length - 256)
            + b"\r\n0\r\n\r\n"
        )

    def extension(length):
        return (
            POST
            + b"Connection: close\r\n"
            + CHUNKED
            + b"1;"
            + b"e" * length
            + b"\r\na\r\n0\r\n\r\n"
        )

    def trailers(count):
        return POST + b"Connection: close\r\n" + CHUNKED + b"0\r\n" + b"a: b\r\n" * count + b"\r\n"

    before = json.loads(server.request("GET", "/started")[2])["started"]
    good = 0
    for make, limit, status in [
        (target, 64, 414),
        (fields, 8, 431),
        (size, 512, 431),
        (body, 1024, 413),
        (chunks, 1024, 413),
        (extension, 4096, 400),
        (trailers, 8, 431),
    ]:
        [(found, _, _)] = exchange(server, make(limit))
        assert found == 200, make
        good += make in (body, chunks, extension, trailers)
        [(found, _, _)] = exchange(server, make(limit + 1))
        assert found == status, make
    after = json.loads(server.request("GET", "/started")[2])["started"]
    assert len(after) - len(before) == good


def test_an_endless_chunked_body_is_cut_while_it_comes(server):
    with connected(server) as raw:
        raw.sendall(POST + CHUNKED)
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                raw.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")
                sent += 4096
        assert sent < 64 << 20


def test_pipelined_answers_keep_their_order_and_their_framing(server):
    asked = [
        b"GET /drip HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /framed HTTP/1.1\r\nHost: a\r\n\r\n",
        POST + b"Content-Length: 3\r\n\r\nabc",
        b"GET /nowhere HTTP/1.0\r\nHost: a\r\n\r\n",
    ]
    with connected(server) as raw:
        raw.sendall(b"".join(asked))
        received = rest(raw)
    statuses = re.findall(rb"HTTP/1\.\d (\d+)", received)
    assert statuses == [b"200"] * 5
    assert received.count(b"content-length: 5") == 1
    assert b"upgrade" not in received
    assert b"transfer-encoding" not in received
    assert received.index(b"/drip") < received.index(b"12345") < received.index(b'"size":3')


def test_a_thousand_pipelined_requests_are_all_answered(server):
    with connected(server) as raw:
        raw.sendall(GET * 999 + closing(GET))
        assert rest(raw).count(b"HTTP/1.1 200") == 1000


@pytest.mark.parametrize(
    ("sent", "length"),
    [
        pytest.param(GET, 2, id="from Rust"),
        pytest.param(b"GET /started HTTP/1.1\r\nHost: a\r\n\r\n", None, id="from a handler"),
        pytest.param(POST + b"Content-Length: 3\r\n\r\nabc", 10, id="with a body"),
        pytest.param(GET + POST + CHUNKED + b"1\r\na\r\n0\r\n\r\n", 10, id="pipelined"),
        pytest.param(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", 8_000_000, id="slow to take"),
    ],
)
def test_a_client_that_sends_no_more_gets_its_answer(server, sent, length):
    good = 0
    for _ in range(10):
        with connected(server) as raw:
            raw.sendall(sent)
            raw.shutdown(socket.SHUT_WR)
            head = b""
            if length == 8_000_000:
                # The kernel has taken all that it will, and waits for longer than an answer may.
                head = raw.recv(1)
                time.sleep(0.2)
            if not (found := answers(head + rest(raw))):
                continue
        *_, (status, _, body) = found
        assert status == 200
        assert length is None or len(body) == length
        good += 1
    # A machine that is busy may be late with some; without patience a handler is with most.
    assert good >= 6


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(LOCKED + b"Content-Length: 70\r\n\r\n", id="refused by the route"),
        pytest.param(
            b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 70\r\n\r\n", id="no route"
        ),
        pytest.param(
            b"PUT /size HTTP/1.1\r\nHost: a\r\nContent-Length: 70\r\n\r\n", id="no method"
        ),
        pytest.param(
            b"POST /a/../b HTTP/1.1\r\nHost: a\r\nContent-Length: 70\r\n\r\n", id="bad path"
        ),
        pytest.param(POST + b"Content-Length: 99999\r\n\r\n", id="too large"),
        pytest.param(LOCKED + CHUNKED + b"ffff\r\n", id="chunks"),
        pytest.param(
            LOCKED + b"Expect: 100-continue\r\nContent-Length: 70\r\n\r\n", id="expecting"
        ),
        pytest.param(POST + b"X : y\r\nContent-Length: 70\r\n\r\n", id="refused by the listener"),
        pytest.param(POST + CHUNKED + b"zz\r\n", id="no chunks"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_nothing_behind_an_unread_body_is_taken_for_a_request(server, head, together):
    def started():
        return json.loads(server.request("GET", "/started")[2])["started"]

    before = started()
    [answer] = exchange(server, *([head + SMUGGLED] if together else [head, SMUGGLED]))
    assert 400 <= answer[0] < 500
    assert started() == before


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        pytest.param(LOCKED + b"Content-Length: 3\r\n\r\nabc", 401, id="refused by the route"),
        pytest.param(LOCKED + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", 401, id="chunks"),
        pytest.param(POST + b"Content-Length: 1025\r\n\r\n" + b"a" * 1025, 413, id="too large"),
        pytest.param(
            b"PUT /size HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405, id="no method"
        ),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_refusal_whose_body_came_whole_keeps_its_connection(server, refused, status, together):
    with connected(server) as raw:
        raw.sendall(refused * 2 + closing(GET) if together else refused)
        found = []
        if not together:
            found = [one(raw)]
            raw.sendall(refused)
            found.append(one(raw))
            raw.sendall(closing(GET))
        found += answers(rest(raw))
    assert [answer[0] for answer in found] == [status, status, 200]
    assert [answer[1].get("connection") for answer in found] == [None, None, "close"]


def test_who_sends_far_too_much_is_told_so_before_the_connection_ends(server):
    # As most clients do: all is sent before the answer is looked for.
    for _ in range(5):
        with connected(server) as raw:
            raw.sendall(POST + b"Content-Length: 8000000\r\n\r\n" + b"a" * 8_000_000)
            [(status, headers, _)] = answers(rest(raw))
        assert (status, headers["connection"]) == (413, "close")


def test_an_answer_before_a_large_body_is_read_whole_and_the_body_is_not(server):
    with connected(server) as raw:
        raw.sendall(LOCKED + b"Content-Length: 100000000\r\n\r\n")
        status, headers, _ = one(raw)
        assert (status, headers["connection"]) == (401, "close")
        sent = 0
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while sent < 100_000_000:
                sent += raw.send(b"a" * 65536)
        assert sent < 50_000_000
        assert time.monotonic() - begun < 10


def test_100_continue_is_sent_where_the_body_is_wanted_and_nowhere_else(server):
    expecting = b"Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    with connected(server) as raw:
        raw.sendall(POST + expecting)
        assert raw.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"abc")
        [(status, _, body)] = answers(rest(raw))
        assert (status, json.loads(body)) == (200, {"size": 3})
    [(status, headers, _)] = exchange(server, LOCKED + expecting)
    assert (status, headers["connection"]) == (401, "close")
    # A body that came unasked needs no word.
    [(status, _, _)] = exchange(server, POST + expecting + b"abc")
    assert status == 200


def test_hostile_bytes_end_no_worker_and_hang_nothing(server):
    chance = random.Random(7)
    rows = [row["raw"].encode("latin-1") for row in VECTORS]
    workers = server.workers()
    for _ in range(400):
        raw = bytearray(chance.choice(rows) + chance.choice(rows))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(raw))
            match chance.randrange(3):
                case 0:
                    raw[at] = chance.randrange(256)
                case 1:
                    del raw[at : at + chance.randrange(8)]
                case _:
                    raw[at:at] = chance.choice([b"\r\n", b"\0", b":", b" ", b"\n", b"9" * 40])
            if not raw:
                break
        with connected(server) as client, contextlib.suppress(ConnectionError):
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", rest(client))}
            assert 500 not in statuses
    assert server.workers() == workers
    assert server.request("GET", "/")[0] == 200


def timed(raw):
    begun = time.monotonic()
    received = rest(raw)
    return received, time.monotonic() - begun


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        pytest.param(b"", b"", id="silent"),
        pytest.param(b"", b"GET / HT", id="half a head"),
        pytest.param(GET, b"GET / HTTP/1.1\r\nHost: a\r\n", id="half a second head"),
        pytest.param(b"", POST + b"Content-Length: 9\r\n\r\n123", id="half a body"),
        pytest.param(GET, POST + CHUNKED + b"3\r\nabc\r\n", id="half a chunked body"),
    ],
)
def test_who_is_slow_is_told_so_and_closed(slow, before, sent):
    with connected(slow) as raw:
        if before:
            raw.sendall(before)
            assert one(raw)[0] == 200
        raw.sendall(sent)
        received, took = timed(raw)
    [(status, headers, body)] = answers(received)
    assert (status, headers["connection"]) == (408, "close")
    assert json.loads(body)["type"] == "urn:pybolt:problem:request_timeout"
    assert 0.2 < took < 3


def test_an_idle_connection_is_closed_without_a_word(slow):
    with connected(slow) as raw:
        raw.sendall(GET)
        assert one(raw)[0] == 200
        received, took = timed(raw)
    assert (received, 0.2 < took < 3) == (b"", True)


def test_dripping_a_head_does_not_extend_its_time(slow):
    with connected(slow) as raw:
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in GET[:-2] * 4:
                raw.sendall(bytes([byte]))
                if time.monotonic() - begun > 0.6:
                    break
                time.sleep(0.01)
        received, _ = timed(raw)
        assert time.monotonic() - begun < 4
    assert received.startswith(b"HTTP/1.1 408 ")


def test_a_body_at_a_fair_pace_is_not_cut(slow):
    with connected(slow) as raw:
        raw.sendall(POST + b"Content-Length: 100000\r\nConnection: close\r\n\r\n")
        for _ in range(10):
            raw.sendall(b"a" * 10_000)
            time.sleep(0.05)
        [(status, _, body)] = answers(rest(raw))
    assert (status, json.loads(body)) == (200, {"size": 100_000})


def test_who_takes_nothing_of_an_answer_is_closed(slow):
    with connected(slow) as raw:
        raw.sendall(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        assert raw.recv(12) == b"HTTP/1.1 200"
        count = socket_count(slow)
        deadline = time.monotonic() + 6
        while socket_count(slow) >= count and time.monotonic() < deadline:
            time.sleep(0.05)
        assert socket_count(slow) < count


def socket_count(server):
    [worker] = server.workers()
    return sum(1 for fd in Path(f"/proc/{worker}/fd").iterdir() if is_socket(fd))


def is_socket(descriptor):
    with contextlib.suppress(OSError):
        return str(descriptor.readlink()).startswith("socket:")
    return False


def test_descriptors_run_out_and_come_back(tmp_path_factory):
    with start(tmp_path_factory, "bolt") as server:
        [worker] = server.workers()
        assert server.request("GET", "/")[0] == 200
        used = len(list(Path(f"/proc/{worker}/fd").iterdir()))
        _, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 10, hard))
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        assert server.logs('{"accepting":false')
        spent = cpu(worker)
        time.sleep(2)
        assert cpu(worker) - spent < 0.2
        for client in clients:
            client.close()
        begun = time.monotonic()
        assert server.request("GET", "/")[0] == 200
        assert time.monotonic() - begun < 1
        # Said once accepting has been well for half a second.
        deadline = time.monotonic() + 10
        while '{"accepting":true}' not in server.log() and time.monotonic() < deadline:
            assert server.request("GET", "/")[0] == 200
        assert server.log().count('{"accepting":true}') == 1
        assert server.log().count('{"accepting":false') == 1
        assert server.workers() == [worker]


def cpu(process):
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
