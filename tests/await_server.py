"""Waits until a server answers, and makes sure that it is ours:

python -m tests.await_server HOST PORT PID
"""

import os
import socket
import sys
import time
from pathlib import Path

from pybolt.listeners import _listening


def main(host: str, port: int, pid: int) -> int:
    """0 once process ``pid`` answers on the port; 1 if it ends before, or after a minute."""
    deadline = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < deadline:
        if listens(pid, port) and answers(host, port) and is_alive(pid):
            return 0
        time.sleep(0.05)
    return 1


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        # No such table here: the signal has to do.
        return not Path("/proc/self/stat").exists()


def listens(pid: int, port: int) -> bool:
    """Whether ``pid`` has a socket that listens on ``port``; taken for granted where the system
    does not tell."""
    if not Path("/proc/net/tcp").exists():
        return True
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    try:
        return any(os.readlink(fd) in sockets for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def answers(host: str, port: int) -> bool:
    """Whether somebody answers a request."""
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return bool(connection.recv(1))
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
