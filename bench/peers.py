"""The benchmark against peers: `python -m bench.peers`. See README.md beside this file."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from bench import load, machine, measure, render, servers
from bench.case import Case, CpuCase
from bench.cases import CASES

RESULTS = servers.HERE / "results"
QUICK = measure.Effort(rounds=3, seconds=1, samples=100, probe_seconds=3)


def main(arguments: list[str]) -> int:
    """Measure, print, write; 0 when every bar holds, 1 when one does not, 2 when something could not be measured."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    effort = QUICK if options.quick else _effort(options)
    chosen = [case for case in CASES if not options.only or case.name in options.only]
    cases = [case for case in (_keep(case, options.servers) for case in chosen) if case.targets]
    kinds = frozenset(target.server.kind for case in cases for target in case.targets)
    out = options.out or (None if options.quick or options.servers else RESULTS)
    try:
        servers.provision(kinds, options.python)
    except servers.Unavailable as problem:
        print(f"bench.peers: {problem}", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {machine.CLIENT_CORE})
    documents: list[dict[str, Any]] = []
    failures: list[str] = []
    try:
        for case in cases:
            try:
                document = _document(case, measure.run(case, effort, _say), effort)
            except (
                load.NotAnswered,
                servers.Unavailable,
                subprocess.SubprocessError,
                OSError,
            ) as problem:
                failures.append(f"{case.name}: {problem}")
                continue
            documents.append(document)
            if out is not None:
                _write(out, document)
    except KeyboardInterrupt:
        failures.append("interrupted")
    _say("")
    print(render.text_table(documents))
    for failure in failures:
        print(f"NOT MEASURED {failure}")
    if failures:
        return 2
    return 0 if all(document["passed"] for document in documents) else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    names = [case.name for case in CASES]
    kinds = sorted({target.server.kind for case in CASES for target in case.targets})
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    add = parser.add_argument
    add(
        "--rounds", type=_at_least(3), default=5, help="rounds of each pair (default 5, at least 3)"
    )
    add("--seconds", type=_at_least(1), default=3, help="wrk's seconds for one figure (default 3)")
    add(
        "--samples",
        type=_at_least(500),
        default=500,
        help="latency samples in a storm (default 500)",
    )
    add(
        "--only",
        action="append",
        choices=names,
        metavar="CASE",
        help="repeatable: " + ", ".join(names),
    )
    add(
        "--servers",
        action="append",
        choices=kinds,
        help="repeatable; measure these only, judge nothing",
    )
    add(
        "--quick",
        action="store_true",
        help="short rounds, to see that everything runs; writes nothing",
    )
    add("--python", help="the Python (3.12 or later) for django-bolt's virtualenv")
    add("--out", type=Path, help="where the results go (default bench/results)")
    return parser.parse_args(arguments)


def _effort(options: argparse.Namespace) -> measure.Effort:
    return measure.Effort(
        rounds=options.rounds, seconds=options.seconds, samples=options.samples, probe_seconds=30
    )


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return value

    return number


def _keep(case: Case, kinds: list[str] | None) -> Case:
    """Return the case with the chosen kinds of server only, and then without bars."""
    if not kinds:
        return case
    targets = tuple(target for target in case.targets if target.server.kind in kinds)
    if isinstance(case, CpuCase):
        return dataclasses.replace(case, targets=targets, ratios={}, rates={}, p99s={}, stats=None)
    return dataclasses.replace(case, targets=targets, p99_ms=None)


def _document(case: Case, outcome: measure.Outcome, effort: measure.Effort) -> dict[str, Any]:
    return {
        "case": case.name,
        "title": case.title,
        "kind": "cpu" if isinstance(case, CpuCase) else "storm",
        "passed": outcome.passed,
        "bars": [dataclasses.asdict(bar) | {"passed": bar.passed} for bar in outcome.bars],
        "medians": outcome.medians,
        "rounds": outcome.rounds,
        "effort": dataclasses.asdict(effort),
        "command": f"python -m bench.peers --rounds {effort.rounds} --seconds {effort.seconds} --only {case.name}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine.facts(),
    }


def _write(directory: Path, document: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{document['case']}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")


def _say(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
