"""``make run-bg`` is not fooled by a server that somebody else runs on the port."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests import await_server


@pytest.fixture
def port():
    """A port on which this very process answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_our_own_server_is_found(port):
    assert await_server.main("127.0.0.1", port, os.getpid()) == 0


def test_a_foreign_server_is_not_ours_and_an_ended_process_is_noticed(port):
    ours = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    begun = time.monotonic()
    # Nobody waits for the process yet: it is a zombie when it has ended.
    assert await_server.main("127.0.0.1", port, ours.pid) == 1
    assert time.monotonic() - begun < 30
    ours.wait()


def test_nobody_is_waited_for_in_vain():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert await_server.main("127.0.0.1", 1, ended.pid) == 1
