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
    with contextlib.ExitStack() as stack:
        with _both_cores():
            cluster = stack.enter_context(postgres())
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-sqlite-"))
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


@contextlib.contextmanager
def _both_cores() -> Iterator[None]:
    """What is started in the block runs where there is room: PostgreSQL is neither server nor client."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {machine.SERVER_CORE, machine.CLIENT_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)
