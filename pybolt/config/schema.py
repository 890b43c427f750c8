"""The JSON Schema of a configuration, as the engine declares it."""

from __future__ import annotations

import json
from typing import Any

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema (2020-12) of a whole document."""
    from .. import _engine

    found: Schema = json.loads(_engine.schema())
    return found


def text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def block(whole: Schema, part: Schema) -> Schema | None:
    """The mapping with fixed keys that ``part`` is or refers to, if it is one."""
    if "$ref" in part:
        found: Schema = whole["$defs"][part["$ref"].rsplit("/", 1)[1]]
        return found
    return part if "properties" in part else None


def blocks(whole: Schema, part: Schema) -> list[Schema]:
    """Every mapping with fixed keys that a value may be."""
    found = block(whole, part)
    if found is not None:
        return [found]
    return [inner for variant in part.get("anyOf", ()) for inner in blocks(whole, variant)]
