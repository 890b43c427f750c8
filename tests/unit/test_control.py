"""The control socket by itself: whose it is, what is left of others, who waits too long."""

import json
import os
import select
import socket

import pytest

from pybolt.config.options import RunOptions
from pybolt.config.sources import Sources
from pybolt.control import ControlSocket, NoControl, directory, name
from pybolt.snapshots import Snapshots, read, write


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def connect(control):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(control.path))
    control.ready(control.listener.fileno())
    return client


def test_a_socket_that_nobody_listens_on_is_replaced_and_one_in_use_is_not(tmp_path):
    path = tmp_path / "own.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    options = RunOptions(app="app", control=str(path))
    control = ControlSocket.of(options)
    with pytest.raises(NoControl, match="another server listens there"):
        ControlSocket.of(options)
    control.close()
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(NoControl, match="no socket, it stays"):
        ControlSocket.of(options)
    assert path.read_text() == "a file"


def test_what_a_killed_server_has_left_goes_with_the_next_start(runtime):
    options = RunOptions(config="bolt.yaml")
    left = directory() / f"{name(options)}-1.sock"
    other = directory() / f"{name(RunOptions(config='other.yaml'))}-1.sock"
    for path in (left, other):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
    control = ControlSocket.of(options)
    assert sorted(directory().iterdir()) == sorted([control.path, other])
    control.close()


def test_a_directory_that_others_can_write_to_is_refused(runtime, monkeypatch):
    (runtime / "pybolt").mkdir()
    (runtime / "pybolt").chmod(0o770)
    with pytest.raises(NoControl, match="not a directory of this user's alone"):
        directory()
    (runtime / "pybolt").rmdir()
    (runtime / "elsewhere").mkdir(mode=0o700)
    (runtime / "pybolt").symlink_to(runtime / "elsewhere")
    with pytest.raises(NoControl, match="not a directory of this user's alone"):
        directory()
    (runtime / "pybolt").unlink()
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    with pytest.raises(NoControl, match="not a directory of this user's alone"):
        directory()


def test_another_user_is_not_answered(runtime, monkeypatch):
    control = ControlSocket.of(RunOptions(app="app"))
    if os.geteuid() == 0:
        monkeypatch.setattr("pybolt.control.struct.unpack", lambda *_: (1, 4711, 4711))
    else:
        monkeypatch.setattr("os.geteuid", lambda: 4711)
    with connect(control) as client:
        assert client.recv(10) == b""
    assert not control.clients
    control.close()


def test_those_who_do_not_ask_or_do_not_read_are_dropped(runtime, monkeypatch):
    control = ControlSocket.of(RunOptions(app="app"))
    with connect(control) as silent, connect(control) as deaf:
        fd = list(control.clients)[1]
        deaf.sendall(b'{"do": "status"}\n')
        client, request = control.ready(fd)
        assert request == {"do": "status"}
        monkeypatch.setattr("time.monotonic", lambda now=client.deadline: 1e12)
        control.tick()
        assert list(control.clients) == [fd], "who has asked may wait"
        client.reply({"ok": True, "long": "x" * 1_000_000})
        assert control.descriptors()[fd]
        control.ready(fd)
        monkeypatch.setattr("time.monotonic", lambda: 2e12)
        control.tick()
        assert not control.clients
        assert silent.recv(10) == b""
    control.close()


def test_a_long_reply_is_sent_as_it_is_read(runtime):
    control = ControlSocket.of(RunOptions(app="app"))
    with connect(control) as asking:
        asking.sendall(b'{"do": "sta')
        [fd] = control.clients
        assert control.ready(fd) is None
        asking.sendall(b'tus"}\n')
        client, _ = control.ready(fd)
        client.reply({"long": "x" * 1_000_000})
        received = b""
        while fd in control.clients:
            control.ready(fd)
            received += asking.recv(1 << 20)
        while chunk := asking.recv(1 << 20):
            received += chunk
    assert json.loads(received) == {"long": "x" * 1_000_000}
    control.close()


def ready(control):
    """What ``poll`` finds, as the supervisor asks it."""
    poll = select.poll()
    for fd, events in control.descriptors().items():
        poll.register(fd, events)
    return [fd for fd, _ in poll.poll(0)]


def test_who_has_said_all_and_waits_keeps_nobody_busy(runtime):
    control = ControlSocket.of(RunOptions(app="app"))
    with connect(control) as asking:
        asking.sendall(b'{"do": "status"}\nand more')
        asking.shutdown(socket.SHUT_WR)
        [fd] = ready(control)
        client, _ = control.ready(fd)
        assert ready(control) == []
        client.reply({"ok": True})
        assert ready(control) == [fd]
        control.ready(fd)
        assert json.loads(asking.recv(100)) == {"ok": True}
    control.close()


def test_who_has_gone_before_the_reply_is_dropped_at_once(runtime):
    control = ControlSocket.of(RunOptions(app="app"))
    with connect(control) as asking:
        asking.sendall(b'{"do": "reload"}\n')
        [fd] = ready(control)
        client, _ = control.ready(fd)
    assert ready(control) == [fd]
    control.ready(fd)
    assert not control.clients
    client.reply({"ok": True})
    control.close()


@pytest.mark.parametrize("request_", [b"[" * 60_000, b"\xff", b"[]", b"{", b""], ids=len)
def test_what_is_no_request_is_told_so(runtime, request_):
    control = ControlSocket.of(RunOptions(app="app"))
    with connect(control) as asking:
        asking.sendall(request_ + b"\n")
        [fd] = ready(control)
        assert control.ready(fd) is None
        control.ready(fd)
        assert json.loads(asking.recv(1000))["ok"] is False
    control.close()


def test_snapshots_hold_what_was_read_and_workers_cannot_change_them(tmp_path):
    (tmp_path / "file").write_bytes(b"\xff first")
    sources = Sources()
    assert sources.read(tmp_path / "file", 100) == b"\xff first"
    (tmp_path / "file").write_bytes(b"second")
    assert sources.read(tmp_path / "file", 100) == b"\xff first"
    snapshots = Snapshots()
    content = sources.dump()
    write(snapshots.tried.write_fd, content + b"longer before")
    write(snapshots.tried.write_fd, content)
    snapshots.tried.length = len(content)
    snapshots.commit()
    kept = Sources.parse(read(snapshots.served.read_fd, snapshots.served.length))
    assert kept.read(tmp_path / "file", 100) == b"\xff first"
    with pytest.raises(OSError, match="cut off"):
        read(snapshots.served.read_fd, len(content) + 1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(snapshots.served.read_fd, b"x")
    snapshots.close()
