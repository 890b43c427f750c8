"""A PgBouncer of a test's own, in transaction mode."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.live.postgres import Postgres
from tests.live.server import free_port

_CONFIG = """
[databases]
postgres = host=127.0.0.1 port={server} dbname=postgres user=bolt
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = bolt
server_login_retry = 1
pool_mode = transaction
default_pool_size = {size}
"""


@contextlib.contextmanager
def pgbouncer(cluster: Postgres, size: int) -> Iterator[int]:
    """Its port; ``size`` connections to ``cluster`` are all that it has."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise FileNotFoundError("pgbouncer is missing: tests/install_tools.sh")
    directory = Path(tempfile.mkdtemp(prefix="bolt-pgbouncer-"))
    port, users = free_port(), directory / "users"
    users.write_text('"bolt" ""\n')
    config = directory / "pgbouncer.ini"
    config.write_text(_CONFIG.format(server=cluster.port, port=port, users=users, size=size))
    root = os.geteuid() == 0
    if root:
        # It refuses to run as root.
        for path in (directory, users, config):
            shutil.chown(path, "postgres")
    process = subprocess.Popen(
        [program, "-q", str(config)],
        user="postgres" if root else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(f"host=127.0.0.1 port={port} user=bolt dbname=postgres")
        yield port
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(directory)


def _await(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(address, prepare_threshold=None).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return
