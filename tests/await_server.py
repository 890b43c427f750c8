"""Waits until a server answers: python -m tests.await_server HOST PORT PID."""

import os
import socket
import sys
import time


def main(host: str, port: int, pid: int) -> int:
    """0 once the port accepts; 1 if the process ends before, or after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            with socket.create_connection((host, port), timeout=1) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if connection.recv(1):
                    return 0
        except ProcessLookupError:
            return 1
        except OSError:
            time.sleep(0.05)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
