"""``limiter_clock.yaml`` against the script that Redis runs; cargo reads it against the table."""

from pathlib import Path

import pytest
import yaml

from tests.live.redis import redis
from tests.live.server import ROOT

VECTORS = Path(__file__).parent.parent / "vectors" / "limiter_clock.yaml"
ROWS = yaml.safe_load(VECTORS.read_text())["rows"]
SCRIPT = ROOT / "engine" / "src" / "middleware" / "rate_limit" / "store" / "script.lua"
MILLISECOND = 1_000_000
#: Any moment but the very first, on no full second.
BEGIN = 1_764_000_000_250 * MILLISECOND


@pytest.fixture(scope="module")
def connection():
    with redis() as store, store.connect() as connection:
        yield connection


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_the_script_over_a_clock_that_is_set(row, connection):
    connection.ask("FLUSHALL")
    quota = row["quota"]
    interval = quota["period"] * MILLISECOND // quota["count"]
    tolerance = interval * quota["burst"]
    for step in row["steps"]:
        at, key, cost, *expected = step
        clock = "{} {}".format(*divmod(BEGIN + at * MILLISECOND, 1000 * MILLISECOND))
        words = ["EVAL", SCRIPT.read_text(), 1, key, clock, interval, tolerance, cost, 0]
        admitted, owed = connection.ask(*words)
        if admitted:
            left, after = tolerance - owed - cost * interval, owed + cost * interval
        else:
            left, after = tolerance - owed, owed + cost * interval - tolerance
        found = [bool(admitted), left // interval, after // MILLISECOND]
        assert found == expected, step
