"""How much of a scenario is run, and the line that it prints."""

import json
import os

import pytest

#: Set by ``make soak``.
FULL = "BOLT_SOAK" in os.environ


@pytest.fixture
def scale():
    """The number for a soak, or the small one of every run."""
    return lambda small, full: full if FULL else small


@pytest.fixture
def verdict(capsys):
    """Prints what was found beside its limit, and holds it to that."""

    def verdict(name, figure, limit):
        line = {"name": name, "pass": figure <= limit, "figure": round(figure, 3), "limit": limit}
        with capsys.disabled():
            print("\n" + json.dumps(line))
        assert figure <= limit, name

    return verdict
