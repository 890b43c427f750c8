"""The counter of how often the GIL was taken, read through a handler that reads it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator


def read_often(takes: Callable[[], int]) -> None:
    """Reads until the handler that reads has found its place, and costs the same every time."""
    for _ in range(40):
        takes()


@contextlib.contextmanager
def not_taken(takes: Callable[[], int]) -> Iterator[None]:
    """That none of what is asked inside, ten times at least, takes the GIL: the counter moves by
    what reading it costs, and by what a loop that is woken in between may cost more."""
    reading = [takes() for _ in range(5)]
    cost = max(later - earlier for earlier, later in itertools.pairwise(reading))
    before = takes()
    yield
    assert takes() - before < cost + 5
