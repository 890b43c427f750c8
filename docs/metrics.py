"""The page of the names of metrics, out of ``metrics.yaml``.

The table stands beside the pages, not in the package: no program that runs reads it.
"""

from pathlib import Path
from typing import Any

import yaml

METRICS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "metrics.yaml").read_text(encoding="utf-8")
)
#: What a label may be. None is an address, a key, or a path that a client sent.
LABELS = {
    "route": "the pattern of a route; empty where none was found",
    "method": "an HTTP method that has a route, else `other`",
    "auth": "the kind of an auth method: `jwt`, `api_key`, `basic`",
    "status": "`1xx` to `5xx`",
    "reason": "the code of a [refusal](refusals.md)",
    "limit": "the name of a limit",
    "store": "a store's URL without its password",
    "database": "an alias of `DATABASES`",
    "worker": "the number of a worker's slot",
    "encoding": "`zstd`, `br` or `gzip`",
    "kind": "`preflight` or `actual`",
    "result": "one of the words that the metric names",
    "source": "one of the words that the metric names",
    "place": "where in the process, as `pybolt.stats()` names it",
}


def page() -> str:
    """The table."""
    lines = [
        "# Names of metrics",
        "",
        "Reserved: nothing exports them yet, and what does will use these names. Units are base",
        "units, counters end with `_total`.",
        "",
        "| metric | type | labels | what it counts |",
        "| --- | --- | --- | --- |",
    ]
    for name, told in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in told["labels"])
        counts = told["counts"]
        if "reasons" in told:
            codes = ", ".join(f"[`{code}`](refusals.md#{code})" for code in told["reasons"])
            counts += f" `reason`: {codes}."
        lines.append(f"| `{name}` | {told['type']} | {labels} | {counts} |")
    lines += ["", "| label | what it may be |", "| --- | --- |"]
    lines += [f"| `{label}` | {told} |" for label, told in LABELS.items()]
    return "\n".join(lines) + "\n"
