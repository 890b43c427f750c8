"""How many connections there may be, and which names header fields may have, over raw sockets."""

import contextlib
import json
import socket
import time

import pytest

from tests.live.server import Server
from tests.live.test_listener import GET, POST, start
from tests.live.wire import answers, connected, one, rest

UNDERSCORED = (
    b"GET /fields HTTP/1.1\r\nHost: a\r\nX_User: root\r\nX-User: me\r\nX_A-B: c\r\n"
    b"Content_Length: 9\r\nTransfer_Encoding: chunked\r\nConnection: close\r\n\r\n"
)
FILE = """\
version: 1
server: {{limits: {{underscore_headers: {how}}}}}
routes:
  - {{path: /fields, handler: "handlers:fields"}}
"""
HANDLERS = """\
def fields(request):
    return sorted(request.headers)
"""


@pytest.fixture
def capped(tmp_path_factory):
    with start(tmp_path_factory, "capped") as server:
        yield server


def served(raw):
    raw.sendall(GET)
    return one(raw)[0]


def refused(raw):
    """That it is told so, in the form that it asks for, and closed."""
    raw.sendall(GET.replace(b"\r\n\r\n", b"\r\nAccept: application/json\r\n\r\n"))
    [(status, headers, body)] = answers(rest(raw))
    assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
    return json.loads(body)["type"] == "urn:pybolt:problem:too_many_connections"


def served_again(server, address):
    """Whether a place becomes free for ``address``."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with connected(server, address) as raw:
            raw.sendall(GET)
            if one(raw)[0] == 200:
                return True
    return False


def test_a_place_is_for_one_connection_and_comes_back_however_that_ends(capped):
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        held = [enter(connected(capped, "127.0.0.2")) for _ in range(3)]
        assert [served(raw) for raw in held] == [200] * 3
        assert refused(enter(connected(capped, "127.0.0.2"))), "the cap of an address"
        last = enter(connected(capped, "127.0.0.3"))
        assert served(last) == 200
        for address in ["127.0.0.3", "127.0.0.4"]:
            assert refused(enter(connected(capped, address))), "the cap of all"
        silent = enter(connected(capped, "127.0.0.4"))
        [(status, _, _)] = answers(rest(silent))
        assert status == 503, "who says nothing is told too"
        assert [served(raw) for raw in [*held, last]] == [200] * 4, "who has a place keeps it"
    assert capped.logs('"rejection":"too_many_connections"')

    def reset(raw):
        # Unread bytes and no linger: the client's kernel sends a reset.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    endings = {
        "at once": lambda raw: None,
        "reset": reset,
        "half a head": lambda raw: raw.sendall(b"GET / HT"),
        "no request": lambda raw: raw.sendall(b"\x16\x03\x01"),
        "half a body": lambda raw: raw.sendall(POST + b"Content-Length: 9\r\n\r\n123"),
        "a bad body": lambda raw: raw.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "asked and gone": lambda raw: raw.sendall(GET * 20),
        "an end": lambda raw: (raw.sendall(GET), raw.shutdown(socket.SHUT_WR)),
        "served": lambda raw: rest(raw) if raw.sendall(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n") else 0,
    }
    for ending in endings.values():
        for _ in range(8):
            raw = connected(capped, "127.0.0.2")
            with contextlib.suppress(ConnectionError):
                ending(raw)
            raw.close()
        assert served_again(capped, "127.0.0.2"), ending
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(capped, "127.0.0.2")) for _ in range(3)]
        assert [served(raw) for raw in held] == [200] * 3, "not one place was lost"


def test_a_flood_past_the_cap_is_bounded_and_costs_no_one_who_has_a_place(capped):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connected(capped, f"127.0.0.{n}")) for n in range(2, 6)]
        assert [served(raw) for raw in held] == [200] * 4
        flood = [stack.enter_context(connected(capped)) for _ in range(200)]
        begun = time.monotonic()
        told = [answers(rest(raw)) for raw in flood]
        assert time.monotonic() - begun < 8
        # So many are told at a time; the others are closed without a word.
        counts = [len(said) for said in told]
        assert set(counts) == {0, 1}
        assert 64 <= sum(counts) < 200
        assert {said[0][0] for said in told if said} == {503}
        assert [served(raw) for raw in held] == [200] * 4
    assert served_again(capped, "127.0.0.2")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("drop", ["connection", "host", "x-user"]),
        ("reject", None),
        (
            "dangerous_allow",
            [
                "connection",
                "content_length",
                "host",
                "transfer_encoding",
                "x-user",
                "x_a-b",
                "x_user",
            ],
        ),
    ],
)
def test_names_with_underscores(tmp_path, how, expected):
    (tmp_path / "bolt.yaml").write_text(FILE.format(how=how))
    (tmp_path / "handlers.py").write_text(HANDLERS)
    with Server(tmp_path) as server, connected(server) as raw:
        raw.sendall(UNDERSCORED)
        [(status, _, body)] = answers(rest(raw))
        if expected is None:
            assert (status, json.loads(body)["type"]) == (400, "urn:pybolt:problem:bad_header")
        else:
            assert (status, json.loads(body)) == (200, expected)
