"""Runs one case: its servers side by side, measured in turn, round after round."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import load, machine
from bench.case import Case, CpuCase, StormCase, Target
from bench.reads.databases import databases
from bench.servers import Running, started

CONNECTIONS = 64
STORM_CONNECTIONS = 32
STORM_LEAD_SECONDS = 0.7
WARMING_CALLS = 300
STATS_READS = 5

Figures = dict[str, float]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: int
    samples: int
    probe_seconds: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A figure, and the most or the least it may be; with neither it is a figure for the table only."""

    figure: str
    measured: float
    at_most: float | None = None
    at_least: float | None = None
    added_us: float | None = None  # of a ratio of CPU times: the difference it stands for

    @property
    def passed(self) -> bool:
        if self.at_least is not None and self.measured < self.at_least:
            return False
        return self.at_most is None or self.measured <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All rounds of a case, by target, and what they come to."""

    rounds: list[dict[str, Figures]]
    medians: dict[str, Figures]
    bars: list[Bar]

    @property
    def passed(self) -> bool:
        return all(bar.passed for bar in self.bars)


def run(case: Case, effort: Effort, say: Say) -> Outcome:
    """Measure a case. Raises `NotAnswered` or `Unavailable` when a figure would not be what it says."""
    with contextlib.ExitStack() as stack:
        reads = any(target.server.reads for target in case.targets)
        places = stack.enter_context(databases()) if reads else {}
        servers: dict[str, Running] = {}
        for target in case.targets:
            say(f"{case.name}: starting {target.name}")
            servers[target.name] = stack.enter_context(started(target.server, places))
        if isinstance(case, CpuCase):
            return _cpu(case, effort, servers, say)
        return _storm(case, effort, servers, say)


def _cpu(case: CpuCase, effort: Effort, servers: dict[str, Running], say: Say) -> Outcome:
    for target in case.targets:
        _spend(target, servers[target.name])
        load.load(servers[target.name].port, target.exchange, connections=CONNECTIONS, seconds=1)
    subject = case.targets[0]
    gil_takes: list[float] = []
    rounds = []
    for number in range(1, effort.rounds + 1):
        figures = {}
        for target in case.targets:
            say(f"{case.name}: round {number} of {effort.rounds}, {target.name}")
            running = servers[target.name]
            if case.stats is None or target is not subject:
                figures[target.name] = _cpu_round(target, running, effort.seconds)
                continue
            own = _own_takes(running.port, case.stats)
            before = _gil_takes(running.port, case.stats)
            figures[target.name] = _cpu_round(target, running, effort.seconds, verify=False)
            gil_takes.append(max(_gil_takes(running.port, case.stats) - before - own, 0))
        rounds.append(figures)
    bars = [bar for target in case.targets[1:] for bar in _beside(case, rounds, target.name)]
    if case.stats is not None:
        bars.append(Bar(figure="GIL takes", measured=max(gil_takes), at_most=0))
    return Outcome(rounds=rounds, medians=_medians(rounds), bars=bars)


def _beside(case: CpuCase, rounds: list[dict[str, Figures]], peer: str) -> Iterator[Bar]:
    """What is judged of the first target beside one of the others."""

    def pairs(figure: str) -> list[tuple[float, float]]:
        subject = case.targets[0].name
        return [(figures[subject][figure], figures[peer][figure]) for figures in rounds]

    def ratio(figure: str) -> float:
        return statistics.median(own / other for own, other in pairs(figure))

    yield Bar(
        figure=f"CPU against {peer}",
        measured=ratio("cpu_us"),
        at_most=case.ratios.get(peer),
        added_us=statistics.median(own - other for own, other in pairs("cpu_us")),
    )
    if peer in case.rates:
        rate = ratio("requests_per_second")
        yield Bar(figure=f"requests/s against {peer}", measured=rate, at_least=case.rates[peer])
    if peer in case.p99s:
        yield Bar(figure=f"p99 against {peer}", measured=ratio("p99_ms"), at_most=case.p99s[peer])


def _cpu_round(target: Target, running: Running, seconds: int, *, verify: bool = True) -> Figures:
    if verify:
        _spend(target, running)
    processes = running.processes()
    before, begin = machine.cpu_seconds(processes), time.monotonic()
    result = load.load(running.port, target.exchange, connections=CONNECTIONS, seconds=seconds)
    used, passed = machine.cpu_seconds(processes) - before, time.monotonic() - begin
    if running.processes() != processes:
        raise load.NotAnswered(f"{target.name}: its processes changed during the measurement")
    return {
        "cpu_us": used / result.requests * 1e6,
        "requests_per_second": result.rate,
        "busy": used / passed,
        "p99_ms": result.p99_ms,
    }


def _spend(target: Target, running: Running) -> None:
    """Verify the answer; a rate-limited route first has to be asked until its quota is spent."""
    if target.exchange.status == 429:
        with contextlib.suppress(load.NotAnswered):
            load.ask(running.port, target.exchange)
    load.ask(running.port, target.exchange)


def _gil_takes(port: int, stats: load.Exchange) -> float:
    return float(json.loads(load.ask(port, stats))["gil_takes"])


def _own_takes(port: int, stats: load.Exchange) -> float:
    """Return the most takes that reading the counter itself has cost, once its route is warm."""
    load.warm(port, stats, WARMING_CALLS)
    reads = [_gil_takes(port, stats) for _ in range(STATS_READS)]
    return max(later - earlier for earlier, later in zip(reads, reads[1:], strict=False))


def _storm(case: StormCase, effort: Effort, servers: dict[str, Running], say: Say) -> Outcome:
    for target in case.targets:
        load.warm(servers[target.name].port, target.exchange, WARMING_CALLS)
    rounds = []
    for number in range(1, effort.rounds + 1):
        figures = {}
        for target in case.targets:
            say(f"{case.name}: round {number} of {effort.rounds}, {target.name}")
            figures[target.name] = _storm_round(target, servers[target.name].port, effort)
        rounds.append(figures)
    subject = case.targets[0].name
    medians = _medians(rounds)
    bars = [Bar(figure="p99 ms", measured=medians[subject]["p99_ms"], at_most=case.p99_ms)]
    return Outcome(rounds=rounds, medians=medians, bars=bars)


def _storm_round(target: Target, port: int, effort: Effort) -> Figures:
    assert target.storm is not None, "every target of a storm case has a storm"
    load.ask(port, target.storm)
    bound = int(effort.probe_seconds + STORM_LEAD_SECONDS) + 5
    with load.storm(port, target.storm, connections=STORM_CONNECTIONS, seconds=bound) as storms:
        # Until the storm's connections are all established and each waits for a handler.
        time.sleep(STORM_LEAD_SECONDS)
        latencies = load.probe(
            port, target.exchange, samples=effort.samples, seconds=effort.probe_seconds
        )
    return {
        "p50_ms": latencies.quantile(0.5),
        "p99_ms": latencies.quantile(0.99),
        "max_ms": latencies.samples[-1],
        "samples": len(latencies.samples),
        "storm_requests_per_second": storms[0].rate,
    }


def _medians(rounds: list[dict[str, Figures]]) -> dict[str, Figures]:
    return {
        name: {
            figure: statistics.median(r[name][figure] for r in rounds) for figure in rounds[0][name]
        }
        for name in rounds[0]
    }
