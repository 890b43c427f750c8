"""The databases of a case: a fresh PostgreSQL cluster and a SQLite file, both with the rows."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from bench import machine
from tests.live.postgres import postgres


@contextlib.contextmanager
def databases() -> Iterator[dict[str, str]]:
    """Have them until the block ends; where they are, as environment variables of the servers."""
    with postgres() as cluster, tempfile.TemporaryDirectory(prefix="bench-sqlite-") as directory:
        places = {
            "BENCH_POSTGRESQL": str(cluster.port),
            "BENCH_SQLITE": f"{directory}/reads.sqlite3",
        }
        subprocess.run(
            [sys.executable, "-m", "bench.reads.rows"],
            cwd=machine.ROOT,
            env=os.environ | places,
            check=True,
        )
        yield places
