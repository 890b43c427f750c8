"""No line of the file is left without a test."""

import importlib
from pathlib import Path

from tests.live.example_file.site import LINES, covered


def test_every_line_is_exercised():
    # Whatever part of the tests is run: all of them say what they cover when they are imported.
    for module in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"{__package__}.{module.stem}")
    left = [line for line in LINES if not any(map(line.startswith, covered))]
    assert left == []
