"""Bodies in pieces and bodies from files, through the engine in this process."""

import asyncio
import logging
import os
import time

import pytest

from pybolt import BoltAPI, File, Stream
from pybolt.testing import Client

api = BoltAPI()


@api.get("/stream/{kind}")
def stream(request, kind: str):
    async def chunks_async():
        for n in range(3):
            await asyncio.sleep(0)
            yield f"{n};"

    def chunks():
        for n in range(3):
            yield f"{n};".encode()

    def broken():
        yield b"first"
        raise ValueError("secret")

    return Stream({"sync": chunks, "async": chunks_async, "broken": broken}[kind])


@api.post("/upload", request_body="stream")
async def upload(request):
    return {"size": sum([len(chunk) async for chunk in request.stream()])}


@api.get("/file")
def file(request):
    return File(__file__)


@api.get("/file-at")
def file_at(request, path: str):
    return File(path)


@api.get("/sized/{kind}/{length}")
def sized(request, kind: str, length: str):
    async def chunks():
        for _ in range(5):
            await asyncio.sleep(0)
            yield b"12"

    source = iter([b"12"] * 5) if kind == "sync" else chunks
    return Stream(source, headers={"content-length": length})


@pytest.fixture(scope="module")
def client():
    with Client(api) as client:
        yield client


def test_streams(client, caplog):
    assert client.get("/stream/sync").body == b"0;1;2;"
    assert client.get("/stream/async").body == b"0;1;2;"
    assert not caplog.records


def test_a_failed_stream_is_cut_off_and_logged(client, caplog):
    with pytest.raises(ConnectionError):
        client.get("/stream/broken")
    assert "a response stream failed" in caplog.text


def test_a_streamed_request_body(client):
    assert client.post("/upload", content=b"x" * 100_000).json() == {"size": 100_000}


def test_files_are_sent(client):
    response = client.get("/file")
    assert response.headers["content-type"].startswith("text/x-python")
    assert b"test_files_are_sent" in response.body


def records(caplog, count=1):
    """The records, which another thread writes."""
    deadline = time.monotonic() + 5
    while len(caplog.records) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return caplog.records


def test_a_file_that_is_not_there_is_404_and_a_warning(client, caplog):
    assert client.get("/file-at?path=/no/where.txt").status == 404
    [record] = records(caplog)
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(
        f"handler {__name__}:file_at: cannot send '/no/where.txt'"
    )


def test_what_is_no_regular_file_is_500_and_an_error(client, caplog, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for number, path in enumerate([tmp_path, tmp_path / "fifo"], 1):
        assert client.get(f"/file-at?path={path}").status == 500
        record = records(caplog, number)[-1]
        assert record.levelno == logging.ERROR
        assert f"cannot send '{path}': it is not a regular file" in record.getMessage()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_streams_length_holds(client, caplog, kind):
    assert client.get(f"/sized/{kind}/10").body == b"1212121212"
    assert not caplog.records
    for length, wrong in (("9", "more"), ("11", "fewer"), ("0", "more")):
        with pytest.raises(ConnectionError):
            client.get(f"/sized/{kind}/{length}")
        assert f"has {wrong} bytes than its content-length says" in caplog.text
        caplog.clear()
    assert client.get(f"/sized/{kind}/ten").status == 500
