"""``check --format sarif``: findings as SARIF 2.1.0 (OASIS), what code scanning reads.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..config import Position
from ..config.diagnostics import Diagnostic
from ..config.explanations import PAGES, explanations, meanings, page

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"

#: Where relative URIs begin; the reader knows where that is on its machine.
_ROOT = "%SRCROOT%"


def text(found: Sequence[Diagnostic], *, strict: bool) -> str:
    """A log of one run; ``strict``: warnings are errors."""
    rules = _rules(strict=strict)
    places = {rule["id"]: index for index, rule in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "bolt", **_version(), "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, places, strict=strict) for item in found],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _version() -> dict[str, str]:
    try:
        return {"version": metadata.version("pybolt")}
    except metadata.PackageNotFoundError:
        return {}


def _rules(*, strict: bool) -> list[dict[str, Any]]:
    return [
        {
            "id": code,
            "shortDescription": {"text": meaning},
            "fullDescription": {"text": explanations()[code].means},
            "help": {
                "text": f"{explanations()[code].fix} More: {PAGES}/{code}.md",
                "markdown": page(code),
            },
            "defaultConfiguration": {"level": _level(is_error=code[0] == "E" or strict)},
        }
        for code, meaning in meanings().items()
    ]


def _level(*, is_error: bool) -> str:
    return "error" if is_error else "warning"


def _result(item: Diagnostic, places: dict[str, int], *, strict: bool) -> dict[str, Any]:
    message = f"{item.message}: {item.hint}" if item.hint else item.message
    result = {
        "ruleId": item.code,
        "ruleIndex": places[item.code],
        "level": _level(is_error=item.is_error or strict),
        "message": {"text": message},
    }
    if item.position is not None:
        result["locations"] = [{"physicalLocation": _physical(item.position)}]
    related = [
        {"id": number, "physicalLocation": _physical(position), "message": {"text": said}}
        for number, (position, said) in enumerate(item.related)
        if position is not None
    ]
    if related:
        result["relatedLocations"] = related
    return result


def _physical(position: Position) -> dict[str, Any]:
    return {
        "artifactLocation": _artifact(position.file),
        "region": {
            "startLine": position.line,
            "startColumn": position.column,
            # The column behind the last character.
            "endColumn": position.column + max(1, position.width),
        },
    }


def _artifact(file: str) -> dict[str, str]:
    """A file below the working directory is relative, so that a repository knows its own."""
    path = Path(os.path.abspath(file))
    try:
        below = path.relative_to(Path.cwd())
    except ValueError:
        return {"uri": path.as_uri()}
    return {"uri": quote(below.as_posix()), "uriBaseId": _ROOT}
