"""What 5,000 routes cost: `python -m bench.config` prints a line of JSON for each figure.

`check`: the whole command, from the shell to its end, the median of five. `reload`: what two reloads
add to the 99th percentile of a route that is asked 800 times a second, and how many answers they lose
(`tests/live/test_reload.py` does the same with fewer routes).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.live.reloading import Load
from tests.live.server import Server

ROUTES = 5_000
RUNS = 5
RATE = 800
CHECK_SECONDS = 1.0
RELOAD_MS = 5.0


def main() -> int:
    """Measure both; 1 where a bar is missed."""
    with tempfile.TemporaryDirectory() as directory:
        passed = [_check(Path(directory)), _reload(Path(directory))]
    return 0 if all(passed) else 1


def _write(directory: Path, body: str) -> None:
    rows = [
        f'  - {{path: "/r{n}/{{id}}", {_answer(n)}, timeout: 10s, rate_limit: {{per_ip: on}}}}'
        for n in range(ROUTES)
    ]
    head = [
        "version: 1",
        "define:",
        "  rate_limit: {per_ip: {rate: 1000000/1s}}",
        "routes:",
        f"  - {{path: /which, respond: {{body: {body}}}}}",
    ]
    (directory / "handlers.py").write_text("def hello(request):\n    return {}\n")
    (directory / "bolt.yaml").write_text("\n".join([*head, *rows]) + "\n")


def _answer(number: int) -> str:
    return "respond: {body: ok}" if number % 2 else 'handler: "handlers:hello"'


def _check(directory: Path) -> bool:
    _write(directory, "one")
    took = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        _bolt(directory, "check")
        took.append(time.perf_counter() - begun)
    return _verdict(f"check of {ROUTES} routes, seconds", statistics.median(took), CHECK_SECONDS)


def _reload(directory: Path) -> bool:
    _write(directory, "one")
    with Server(directory, "--config", "bolt.yaml") as server:
        with Load(server.port, "/which", rate=RATE) as load:
            time.sleep(3)
            begun = time.monotonic()
            for body in ("two", "three"):
                _write(directory, body)
                _bolt(directory, "reload", "--pid", str(server.process.pid))
            ended = time.monotonic()
        quiet, busy = load.p99(0, begun), load.p99(begun, ended)
    added = _verdict(f"reload of {ROUTES} routes, p99 ms added", busy - quiet, RELOAD_MS)
    lost = _verdict(f"reload of {ROUTES} routes, answers lost", load.lost, 0)
    return added and lost


def _bolt(directory: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pybolt", *words]
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)


def _verdict(name: str, figure: float, limit: float) -> bool:
    passed = figure <= limit
    line = {"name": name, "pass": passed, "figure": round(figure, 3), "limit": limit}
    print(json.dumps(line), flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
