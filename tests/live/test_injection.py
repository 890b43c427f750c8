"""What a handler says in header fields and bodies, over raw sockets: an answer stays one answer,
and the next request on its connection gets its own."""

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.live.injecting import handlers as told
from tests.live.server import copied
from tests.live.wire import connected, received_for, rest

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+: [\t\x20-\x7e\x80-\xff]*")
FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with copied("injecting", tmp_path_factory.mktemp("injecting")) as server:
        yield server


class Cut(Exception):
    """The connection ended inside an answer."""


def taken(received, length):
    if len(received) < length:
        raise Cut
    return received[:length], received[length:]


def dechunked(received):
    body = b""
    while True:
        size, end, received = received.partition(b"\r\n")
        if not end:
            raise Cut
        chunk, received = taken(received, int(size, 16) + 2)
        assert chunk.endswith(b"\r\n")
        body += chunk[:-2]
        if len(chunk) == 2:
            return body, received


def one(received, method):
    """The first answer, read as strictly as can be: status, fields, body; and what is behind it."""
    head, end, received = received.partition(b"\r\n\r\n")
    if not end:
        raise Cut
    line, *lines = head.split(b"\r\n")
    status = int(re.fullmatch(rb"HTTP/1\.1 (\d{3}) [ -~]*", line)[1])
    assert all(FIELD.fullmatch(field) for field in lines), lines
    fields = [tuple(field.split(b": ", 1)) for field in lines]
    names = [name for name, _ in fields]
    assert b"x-injected" not in names
    for name in FRAMING:
        assert names.count(name) <= 1, fields
    headers = dict(fields)
    assert not {b"keep-alive", b"upgrade"} & headers.keys()
    assert headers.get(b"connection", b"close") == b"close"
    length, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
    assert length is None or (coding is None and length.isdigit())
    assert coding in {None, b"chunked"}
    if method == "HEAD" or status in {204, 304}:
        assert coding is None
        assert status != 204 or length is None
        return (status, headers, b""), received
    if coding:
        body, received = dechunked(received)
    elif length:
        body, received = taken(received, int(length))
    else:
        assert headers[b"connection"] == b"close"
        body, received = received, b""
    return (status, headers, body), received


def ask(server, target, method="GET", *, cut=False):
    """The answer to one request, with another right behind it that gets the right answer too;
    ``cut``: an answer that may end too early takes its connection along."""
    with connected(server) as raw:
        raw.sendall(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode() + NEXT)
        received = rest(raw)
    try:
        answer, received = one(received, method)
    except Cut:
        assert cut, received
        return None
    if cut and not received:
        return answer
    (status, _, body), received = one(received, "GET")
    assert (status, body, received) == (200, b"next", b"")
    return answer


def what(path, *said):
    return f"{path}?what=" + quote(json.dumps(said), safe="")


@pytest.mark.parametrize("path", ["/say", "/say-async"])
@pytest.mark.parametrize("way", told.WAYS)
def test_no_field_has_more_than_its_line(server, way, path):
    for value in told.BROKEN:
        status, headers, _ = ask(server, what(path, way, {"x-said": value}))
        assert status == 500, value
        assert b"x-said" not in headers
    for name in told.NAMES:
        status, _, _ = ask(server, what(path, way, {name: "yes"}))
        assert status == 500, name


@pytest.mark.parametrize("way", ["type", "file", "redirect"])
def test_what_is_made_into_a_field_stays_in_it(server, way):
    for text in told.BROKEN:
        status, headers, _ = ask(server, what("/typed", way, text))
        if status != 500:
            # Percent-encoded, every byte of it.
            made = {"file": b"content-disposition", "redirect": b"location"}[way]
            assert re.fullmatch(rb"[!-~]+( filename\*=[!-~]+)?", headers[made]), text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("way", ["bytes", "json", "error", "django", "redirect"])
def test_a_whole_body_is_framed_by_the_server_alone(server, way, method):
    plain, _, expected = ask(server, what("/say", way, {}), method)
    for headers in told.FRAMES:
        status, _, body = ask(server, what("/say", way, headers), method)
        assert (status, body) == (plain, expected), headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("way", ["stream", "async stream"])
def test_a_stream_keeps_to_its_length_or_takes_its_connection_along(server, way, method):
    for headers in told.FRAMES:
        answer = ask(server, what("/say", way, headers), method, cut=True)
        if answer is None or answer[0] == 500:
            assert any(name.lower() == "content-length" for name in headers), headers
        elif method == "GET":
            length = int(answer[1].get(b"content-length", b"5"))
            assert answer[2] == b"12345"[:length], headers


@pytest.mark.parametrize("way", ["stream", "async stream"])
def test_a_stream_to_http_1_0_has_no_chunks_and_ends_with_its_connection(server, way):
    def received(method, said=way):
        head = f"{method} {what('/say', said, {})} HTTP/1.0\r\nHost: a\r\n"
        return received_for(server, head.encode() + b"Connection: keep-alive\r\n\r\n" + NEXT)

    head, _, body = received("GET").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert b"transfer-encoding" not in head
    assert b"keep-alive" not in head
    assert body == b"12345", "nothing behind it, no chunks around it"
    # Without a body, or with a length, the connection stays.
    assert received("HEAD").endswith(b"\r\n\r\nnext")
    assert received("GET", "bytes").endswith(b"\r\n\r\nnext")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("way", ["bytes", "stream", "tuple", "error"])
@pytest.mark.parametrize("status", [204, 205, 304])
def test_a_status_without_a_body_has_none(server, status, way, method):
    for headers in [{}, *told.FRAMES]:
        found, _, body = ask(server, what(f"/bodied/{status}", way, headers), method)
        if found != 500:
            assert (found, body) == (status, b""), headers


@pytest.mark.parametrize("way", ["bytes", "stream", "tuple", "error"])
def test_an_interim_status_is_no_answer(server, way):
    for status in [0, 99, 100, 101, 102, 103, 199, 600, 1000]:
        assert ask(server, what(f"/bodied/{status}", way, {}))[0] == 500


def test_a_file_is_framed_as_it_is(server):
    size = len((Path(__file__).parent / "injecting" / "handlers.py").read_bytes())
    assert len(ask(server, "/file")[2]) == size
    assert ask(server, "/file", "HEAD")[1][b"content-length"] == str(size).encode()
