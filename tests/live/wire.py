"""Bytes to a server and back: a socket, what comes over it, the answers in that."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

from tests.live.server import Server

#: Status, header fields by lower-case name, body.
Answer = tuple[int, dict[str, str], bytes]


def connected(server: Server, source: str = "127.0.0.1", timeout: float = 20) -> socket.socket:
    """A connection from one of this machine's many addresses."""
    return socket.create_connection(
        ("127.0.0.1", server.port), timeout=timeout, source_address=(source, 0)
    )


def _chunks(raw: socket.socket) -> Iterator[bytes]:
    while chunk := raw.recv(65536):
        yield chunk


def whole(raw: socket.socket) -> bytes:
    """All that comes until the server closes; a connection that it resets is a failure."""
    return b"".join(_chunks(raw))


def rest(raw: socket.socket) -> bytes:
    """All that comes until the server closes or resets the connection."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        for chunk in _chunks(raw):
            received += chunk
    return bytes(received)


def received_for(server: Server, sent: bytes, source: str = "127.0.0.1") -> bytes:
    """The whole of what comes back for these bytes on a connection of their own."""
    with connected(server, source) as raw:
        raw.sendall(sent)
        return whole(raw)


def answers(received: bytes) -> list[Answer]:
    """Every answer in the bytes of a connection."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, head
        status, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in fields}
        length = int(headers.get("content-length", 0))
        assert len(received) >= length
        found.append((int(status.split()[1]), headers, received[:length]))
        received = received[length:]
    return found


def exchange(server: Server, *parts: bytes) -> list[Answer]:
    """The answers to bytes after which the client says nothing, until the server closes."""
    with connected(server) as raw:
        for part in parts:
            raw.sendall(part)
        return answers(rest(raw))


def one(raw: socket.socket) -> Answer:
    """One answer on a connection that stays."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += raw.recv(1)
    length = re.search(rb"content-length: (\d+)", received)
    while length and (left := int(length[1]) - len(received.partition(b"\r\n\r\n")[2])):
        received += raw.recv(left)
    return answers(received)[0]
