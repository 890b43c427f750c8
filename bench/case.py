"""What a case is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.load import Exchange
from bench.servers import Server


@dataclass(frozen=True, kw_only=True)
class Target:
    """One of the servers of a case, the request it is sent, and in a storm the request of the other clients."""

    server: Server
    exchange: Exchange
    storm: Exchange | None = None
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.server.kind


@dataclass(frozen=True, kw_only=True)
class CpuCase:
    """The first target beside each of the others, which the dicts name.

    `ratios`: the most CPU time per request, as a ratio to theirs; `rates`: the fewest requests per second, `p99s`: the
    longest 99th percentile of the latency under the same load, as ratios too.
    """

    name: str
    title: str
    targets: tuple[Target, ...]
    ratios: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    p99s: dict[str, float] = field(default_factory=dict)
    stats: Exchange | None = (
        None  # the subject must not take the GIL: where it counts how often it did
    )


@dataclass(frozen=True, kw_only=True)
class StormCase:
    """Latency of a request to the first target while 32 clients keep its slow handler busy."""

    name: str
    title: str
    targets: tuple[Target, ...]
    p99_ms: float | None  # None: in the table without a bar


Case = CpuCase | StormCase
