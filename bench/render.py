"""The tables of the results: `python -m bench.render` writes README.md's from bench/results, `--check` compares.

The table stands between `<!-- bench:begin -->` and `<!-- bench:end -->`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.cases import CASES
from bench.machine import ROOT

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
HEADER = ("case", "pybolt", "raw actix", "django-bolt", "judged", "bar", "")

Document = dict[str, Any]


class NotRendered(Exception):
    """There is nothing to render, or nowhere to render it to."""


def main(arguments: list[str]) -> int:
    """Write or check the table; 1 when it is stale or cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m bench.render", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 when the table is stale"
    )
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args(arguments)
    try:
        old = options.readme.read_text()
        new = replaced(old, markdown(read(options.results)))
    except (OSError, ValueError, NotRendered) as problem:
        print(f"bench.render: {problem}", file=sys.stderr)
        return 1
    if new == old:
        return 0
    if options.check:
        print(
            f"bench.render: {options.readme.name} is stale: run `python -m bench.render`",
            file=sys.stderr,
        )
        return 1
    options.readme.write_text(new)
    return 0


def read(directory: Path) -> list[Document]:
    """Return the results in the order of the cases."""
    order = [case.name for case in CASES]
    documents = [json.loads(path.read_text()) for path in directory.glob("*.json")]
    if not documents:
        raise NotRendered(f"no results in {directory.name}: run `make bench-peers`")
    return sorted(documents, key=lambda document: order.index(document["case"]))


def replaced(readme: str, table: str) -> str:
    """Return the README with the table between its markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NotRendered(f"README.md has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def markdown(documents: Sequence[Document]) -> str:
    """Return the table with the machine and the command under it."""
    lines = [_markdown_row(HEADER), _markdown_row(["---"] * len(HEADER))]
    lines += [_markdown_row(row) for row in _rows(documents)]
    return "\n".join([*lines, "", *_provenance(documents)])


def text_table(documents: Sequence[Document]) -> str:
    """Return the same table for a terminal."""
    rows = [HEADER, *_rows(documents)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *(f"  {line}" for line in _provenance(documents))])


def _rows(documents: Iterable[Document]) -> list[tuple[str, ...]]:
    """Return a row for each figure that is judged; the servers' own figures are on the first of a case."""
    rows = []
    for document in documents:
        kinds = ("pybolt", "raw actix", "django-bolt")
        if "nginx" in document["medians"]:
            kinds = ("pybolt", "nginx", "")
        elif not document["medians"].keys() & set(kinds):
            kinds = (*document["medians"], "", "")[:3]
        own: tuple[str, ...] = (document["title"], *(_own(document, kind) for kind in kinds))
        for bar in document["bars"] or [None]:
            rows.append((*own, *_judged(bar)))
            own = ("", "", "", "")
    return rows


def _own(document: Document, target: str) -> str:
    figures = document["medians"].get(target)
    if figures is None:
        return ""
    if document["kind"] == "storm":
        return f"p50 {figures['p50_ms']:.2f} p99 {figures['p99_ms']:.2f} ms"
    name = "nginx: " if target == "nginx" else ""
    return f"{name}{figures['cpu_us']:.2f} µs ({figures['requests_per_second']:,.0f}/s)"


def _judged(bar: Document | None) -> tuple[str, str, str]:
    if bar is None:
        return "", "", ""
    unit = "x" if " against " in bar["figure"] else ""
    measured = f"{bar['figure']}: {bar['measured']:.2f}{unit}"
    if bar["added_us"] is not None:
        measured += f" ({bar['added_us']:+.2f} µs)"
    for key, sign in (("at_most", "<="), ("at_least", ">=")):
        if bar.get(key) is not None:
            verdict = "pass" if bar["passed"] else "MISSED"
            return measured, f"{sign} {bar[key]:g}{unit}", verdict
    return measured, "", ""


def _provenance(documents: Sequence[Document]) -> list[str]:
    seen: dict[str, None] = {}
    for document in documents:
        machine = document["machine"]
        line = (
            f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}, "
            f"Rust {machine['rust']}; server on one core, `wrk -t1 -c64` on another; "
            f"`{document['command'].partition(' --only')[0]}`, {document['date'][:10]}."
        )
        seen[line] = None
    return list(seen)


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
