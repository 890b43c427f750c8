"""The control socket: how ``bolt reload``, ``status`` and ``maintenance`` speak to a supervisor.

A Unix socket of mode 0600 in a directory of mode 0700, answering root and the user that the server
runs as (the kernel says who asks). One request and one reply a connection, a JSON object a line.

It is ``$XDG_RUNTIME_DIR/pybolt/NAME-PID.sock``, without that variable in ``/tmp/pybolt-UID/``; the
name stands for the app, the configuration and, with an app, the directory, so that the same words
find it again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import select
import socket
import stat
import struct
import time
from pathlib import Path
from typing import Any

from .config.options import RunOptions

#: A longer request is none of ours.
MAX_REQUEST = 64 * 1024
#: Seconds that a client may take to ask, or to read its reply.
PATIENCE = 10.0
#: So many may ask at once.
MAX_CLIENTS = 32


class NoControl(Exception):
    """There is no control socket to be had; the message is one line for the user."""


def directory() -> Path:
    """Where the sockets of this user's servers are; made where it is not there.

    Raises :class:`NoControl` where somebody else could put sockets into it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    usable = runtime and os.path.isdir(runtime) and os.access(runtime, os.W_OK)
    path = Path(runtime, "pybolt") if runtime and usable else Path(f"/tmp/pybolt-{os.geteuid()}")
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise NoControl(f"{path}: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise NoControl(f"{path} is not a directory of this user's alone")
    return path


def name(options: RunOptions) -> str:
    """What the sockets of servers of ``options`` are called."""
    config = os.path.realpath(options.config) if options.config is not None else None
    here = os.getcwd() if options.app is not None else None
    what = json.dumps([options.app, here, config])
    return hashlib.sha256(what.encode()).hexdigest()[:16]


class Client:
    """Somebody who asks."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.deadline = time.monotonic() + PATIENCE
        self.asked = False
        self._request = b""
        self._reply: bytes | None = None

    def fileno(self) -> int:
        """The descriptor."""
        return self.connection.fileno()

    def receive(self) -> dict[str, Any] | None:
        """Reads on; the request, once it is there. Raises ``OSError`` and ``ValueError`` where
        there will be none."""
        if self.asked:
            # Nothing more is read: what there is to hear is that the client has gone.
            raise ConnectionResetError
        chunk = self.connection.recv(MAX_REQUEST)
        if not chunk:
            raise ConnectionResetError
        self._request += chunk
        line, newline, _ = self._request.partition(b"\n")
        if not newline:
            if len(self._request) > MAX_REQUEST:
                raise ValueError("the request is too long")
            return None
        self.asked = True
        # What it asks for may take its time.
        self.deadline = float("inf")
        try:
            request = json.loads(line)
        except RecursionError:
            raise ValueError("the request is nested too deep") from None
        if not isinstance(request, dict):
            raise ValueError("the request is no object")
        return request

    def reply(self, reply: dict[str, Any]) -> None:
        """Has ``reply`` sent."""
        self._reply = json.dumps(reply).encode() + b"\n"
        self.deadline = time.monotonic() + PATIENCE

    def awaits(self) -> int:
        """The events of ``poll`` that are waited for. Whoever has asked is not read from: one that
        has said all and closed its side would be ready again and again."""
        if self.has_reply:
            return select.POLLOUT
        return 0 if self.asked else select.POLLIN

    @property
    def has_reply(self) -> bool:
        """Whether there is something to send."""
        return self._reply is not None

    def send(self) -> bool:
        """Sends on; whether all is sent. Raises ``OSError``."""
        if self._reply:
            self._reply = self._reply[self.connection.send(self._reply) :]
        return not self._reply


class ControlSocket:
    """The listening socket and who is connected to it."""

    def __init__(self, path: Path) -> None:
        """Listens at ``path``. Raises :class:`NoControl`."""
        self.path = path
        self.clients: dict[int, Client] = {}
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.setblocking(False)
        before = os.umask(0o177)
        try:
            _remove_stale(path)
            self.listener.bind(os.fspath(path))
            self.listener.listen(MAX_CLIENTS)
        except OSError as error:
            self.listener.close()
            raise NoControl(f"{path}: {error.strerror or error}") from None
        finally:
            os.umask(before)
        found = path.stat()
        self._identity = (found.st_dev, found.st_ino)

    @classmethod
    def of(cls, options: RunOptions) -> ControlSocket:
        """The socket of a server of ``options``. Raises :class:`NoControl`."""
        if options.control is not None:
            return cls(Path(options.control))
        place = directory()
        for left in place.glob(f"{name(options)}-*.sock"):
            with contextlib.suppress(OSError):
                _remove_stale(left)
        return cls(place / f"{name(options)}-{os.getpid()}.sock")

    def descriptors(self) -> dict[int, int]:
        """What to wait for: each descriptor with the events of ``poll``."""
        waiting = {fd: client.awaits() for fd, client in self.clients.items()}
        return waiting | {self.listener.fileno(): select.POLLIN}

    def ready(self, fd: int) -> tuple[Client, dict[str, Any]] | None:
        """Goes on with a descriptor that is ready; a request, where that completes one."""
        if fd == self.listener.fileno():
            self._accept()
            return None
        client = self.clients.get(fd)
        if client is None:
            return None
        try:
            if client.has_reply:
                if client.send():
                    self._drop(client)
                return None
            request = client.receive()
        except BlockingIOError:
            return None
        except ValueError as error:
            client.reply({"ok": False, "error": str(error)})
            return None
        except OSError:
            self._drop(client)
            return None
        return None if request is None else (client, request)

    def tick(self) -> None:
        """Drops those that take too long."""
        now = time.monotonic()
        for client in [client for client in self.clients.values() if client.deadline < now]:
            self._drop(client)

    def close(self) -> None:
        """Ends it; the file goes, if it is still this one."""
        self.listener.close()
        for client in list(self.clients.values()):
            self._drop(client)
        with contextlib.suppress(OSError):
            found = self.path.stat()
            if (found.st_dev, found.st_ino) == self._identity:
                self.path.unlink()

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            # Whoever it was has gone, or there is no room for them now.
            return
        if len(self.clients) >= MAX_CLIENTS or not _may_ask(connection):
            connection.close()
            return
        connection.setblocking(False)
        self.clients[connection.fileno()] = Client(connection)

    def _drop(self, client: Client) -> None:
        self.clients.pop(client.fileno(), None)
        client.connection.close()


def _may_ask(connection: socket.socket) -> bool:
    """Whether the peer is root or the user that we are."""
    size = struct.calcsize("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, user, _ = struct.unpack("3i", raw)
    return user in (0, os.geteuid())


def _remove_stale(path: Path) -> None:
    """Removes a socket that nobody listens on. Raises ``OSError`` where somebody does, or where
    it is no socket."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "this is no socket, it stays")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another server listens there")
