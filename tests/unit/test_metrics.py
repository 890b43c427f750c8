"""``docs/metrics.yaml``: every stage and every refusal has a name, and every name is one."""

import re
from collections import Counter
from pathlib import Path

import pytest

from docs import metrics
from docs.metrics import LABELS, METRICS
from docs.reference import refusals

ROOT = Path(__file__).parent.parent.parent
CHAIN = ROOT / "engine" / "src" / "middleware" / "chain.rs"


def test_every_stage_of_the_chain_has_a_name():
    source = CHAIN.read_text()
    assembled = source[source.index("pub fn chain") :]
    layers = set(re.findall(r"\b([A-Z]\w+Layer)\b", assembled))
    assert layers
    assert {layer for told in METRICS.values() for layer in told.get("layers", ())} == layers


def test_what_is_no_stage_has_names_too():
    parts = {told["part"] for told in METRICS.values() if "layers" not in told}
    assert parts == {"python", "files", "query", "server"}


def test_every_refusal_is_a_reason_once():
    told = Counter(code for metric in METRICS.values() for code in metric.get("reasons", ()))
    assert told == Counter(code for _, code, _, _ in refusals())
    for metric in METRICS.values():
        assert ("reasons" in metric) == ("reason" in metric["labels"])


def test_names_are_unique():
    text = (ROOT / "docs" / "metrics.yaml").read_text()
    names = re.findall(r"^(\w+):", text, re.M)
    assert names == list(METRICS)
    # OpenMetrics knows a counter without its ending.
    families = {name.removesuffix("_total") for name in METRICS}
    assert len(families) == len(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_a_name_is_well_formed(name):
    told = METRICS[name]
    assert re.fullmatch(r"pybolt(_[a-z]+)+", name)
    assert set(told) <= {"type", "unit", "labels", "layers", "part", "reasons", "counts"}
    assert told["type"] in ("counter", "gauge", "histogram")
    assert name.endswith("_total") == (told["type"] == "counter")
    # OpenMetrics: what these end with is a sample's name.
    assert not name.endswith(("_count", "_sum", "_bucket", "_info", "_created"))
    unit = name.removesuffix("_total").rpartition("_")[2]
    assert told.get("unit") == (unit if unit in ("seconds", "bytes") else None)
    assert told["type"] != "histogram" or "unit" in told
    assert set(told["labels"]) <= set(LABELS)
    assert len(set(told["labels"])) == len(told["labels"])
    assert told["counts"].endswith(".")
    assert "\n" not in told["counts"]


def test_every_label_is_used_and_told():
    assert {label for told in METRICS.values() for label in told["labels"]} == set(LABELS)
    page = metrics.page()
    assert all(f"| `{name}` |" in page for name in [*METRICS, *LABELS])
