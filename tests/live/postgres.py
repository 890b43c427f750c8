"""A PostgreSQL server of a test's own: a fresh cluster in a temporary directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.live.server import free_port

#: Where Debian keeps the programs of each version.
DEBIAN = Path("/usr/lib/postgresql")


class Postgres:
    """A cluster on 127.0.0.1; superuser ``bolt`` without a password."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._run("initdb", "--username=bolt", "--auth=trust", "--no-sync", "--encoding=UTF8")
        settings = f"port={self.port}\nlisten_addresses='127.0.0.1'\nfsync=off\n"
        settings += f"unix_socket_directories='{directory}'\nmax_connections=50\n"
        with (directory / "postgresql.conf").open("a") as file:
            file.write(settings)

    def start(self) -> None:
        """Returns when it accepts connections."""
        self._run("pg_ctl", "start", "--wait", "--silent", f"--log={self.directory / 'log'}")

    def stop(self) -> None:
        """Ends every session and the server."""
        self._run("pg_ctl", "stop", "--wait", "--silent", "--mode=fast")

    def kill(self) -> None:
        """Ends it at once, and what it was about."""
        self._run("pg_ctl", "stop", "--wait", "--silent", "--mode=immediate")

    def signal(self, number: int) -> None:
        """Sends the server's processes, all of them, a signal."""
        server = int((self.directory / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        for pid in [server, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def configure(self, *settings: str) -> None:
        """Adds settings for the next start."""
        with (self.directory / "postgresql.conf").open("a") as file:
            file.writelines(f"{setting}\n" for setting in settings)

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(
            [_program(program), f"--pgdata={self.directory}", *arguments],
            check=True,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )


def _program(name: str) -> str:
    found = [*sorted(DEBIAN.glob(f"*/bin/{name}"), reverse=True), shutil.which(name)]
    if not found[0]:
        raise FileNotFoundError(f"{name} is missing: apt-get install postgresql")
    return str(found[0])


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A running cluster until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="bolt-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
        cluster = Postgres(directory)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(directory)
