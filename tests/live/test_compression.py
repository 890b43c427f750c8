"""Streams that are encoded, over real sockets: a chunk can be read before the next is made."""

import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from .server import Server

APP = """\
import asyncio

from pybolt import BoltAPI, Bytes, Stream

api = BoltAPI(compress=True)
READ = {}
BIG = bytes(range(256)) * 4096


@api.get("/stream/{name}")
async def stream(request, name: str):
    # The second chunk is made when the client says that it has read the first.
    read = READ[name] = asyncio.Event()

    async def chunks():
        yield "the first chunk, "
        await read.wait()
        yield "and the second"

    return Stream(chunks(), content_type="text/plain")


@api.get("/read/{name}")
async def read(request, name: str):
    READ[name].set()
    return {}


@api.get("/big")
def big(request):
    return Bytes(BIG, content_type="text/plain")
"""


def gunzip() -> Callable[[bytes], bytes]:
    return zlib.decompressobj(wbits=31).decompress


def unbrotli() -> Callable[[bytes], bytes]:
    return brotli.Decompressor().process


def unzstd() -> Callable[[bytes], bytes]:
    return zstandard.ZstdDecompressor().decompressobj().decompress


CODECS = [("gzip", gunzip), ("br", unbrotli), ("zstd", unzstd)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("compression")
    (directory / "app.py").write_text(APP)
    with Server(directory, "app.py") as server:
        yield server


@pytest.mark.parametrize(("encoding", "decoder"), CODECS)
def test_a_chunk_is_read_before_the_next_is_made(server, encoding, decoder):
    decode, text = decoder(), b""
    connection = server.connect()
    try:
        connection.request("GET", f"/stream/{encoding}", headers={"Accept-Encoding": encoding})
        response = connection.getresponse()
        assert response.getheader("content-encoding") == encoding
        while text != b"the first chunk, ":
            chunk = response.read1()
            assert chunk, f"the stream ended after {text!r}"
            text += decode(chunk)
        assert server.request("GET", f"/read/{encoding}")[0] == 200
        while chunk := response.read1():
            text += decode(chunk)
    finally:
        connection.close()
    assert text == b"the first chunk, and the second"


@pytest.mark.parametrize(("encoding", "decoder"), CODECS)
def test_a_body_says_its_length_and_that_says_little(server, encoding, decoder):
    lengths = set()
    for _ in range(12):
        status, headers, body = server.request("GET", "/big", headers={"Accept-Encoding": encoding})
        assert (status, headers["content-encoding"]) == (200, encoding)
        assert int(headers["content-length"]) == len(body)
        assert decoder()(body) == bytes(range(256)) * 4096
        lengths.add(len(body))
    # Against BREACH: what is guessed right does not show in a byte more or less.
    assert len(lengths) > 3
