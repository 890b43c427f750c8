"""``config/default.yaml``: every option with its default, out of the schema.

A line that begins with ``#`` and a word, or with ``#`` and two spaces, is an option that is
commented out; ``#`` and one space is prose.
"""

import json
import re
import textwrap
from typing import Any

from pybolt.config.schema import Schema, block, blocks

HEAD = """\
# Every option of a configuration with its default. Written by `make generate`.
#
# As it stands this file says what an empty one does. What has no default, or would change
# something, is commented out, with an example; take the `#` off the lines that you want.
# yaml-language-server: $schema=./bolt.schema.json
"""
WIDTH = 100


def text(schema: Schema) -> str:
    """The whole file."""
    document = schema["$defs"]["Document"]["properties"]
    lines = HEAD.splitlines()
    for key, part in document.items():
        lines.append("")
        match key:
            case "define":
                below = commented([f"{key}:", *definitions(schema, part)])
            case "defaults":
                below = [f"{key}:", *slots(schema, part)]
            case "groups":
                below = commented([f"{key}:", *group(schema)])
            case "routes":
                below = commented([f"{key}:", *routes(schema)])
            case _:
                lines += option(schema, key, part, "", active=False)
                continue
        lines += [*prose(part["description"], ""), *below]
    return "\n".join(lines) + "\n"


def definitions(schema: Schema, part: Schema) -> list[str]:
    """An example of each kind that can have a name."""
    lines = []
    kinds = block(schema, part)["properties"]
    for kind, named in kinds.items():
        lines += [*prose(named["description"], "  "), f"  {kind}:"]
        for found in blocks(schema, named["additionalProperties"]):
            tag = found["properties"].get("type", {}).get("const")
            lines += [f"    {tag or 'example'}:", *options(schema, found, "      ")]
    return lines


def slots(schema: Schema, part: Schema) -> list[str]:
    """Every slot with what holds where nothing is said: `off`, mostly."""
    kinds = schema["$defs"]["Define"]["properties"]
    lines = []
    for key, slot in block(schema, part)["properties"].items():
        named = f" A block, or a name in `define.{key}`." if key in kinds else ""
        lines += prose(slot["description"] + named, "  ")
        lines.append(f"  {key}: {shown(slot.get('default', False))}")
    return lines


def own_keys(schema: Schema, name: str) -> dict[str, Schema]:
    """The keys of a group or a route that are no slots."""
    every = schema["$defs"][name]["properties"]
    slots = block(schema, schema["$defs"]["Document"]["properties"]["defaults"])["properties"]
    return {key: part for key, part in every.items() if key not in slots}


def group(schema: Schema) -> list[str]:
    """A group: what of it is no slot."""
    lines = []
    for key, part in own_keys(schema, "Group").items():
        lines += option(schema, key, part, "    ", active=True)
    lines[-1:] = [lines[-1], "    # And any slot of `defaults`."]
    return listed(lines)


def routes(schema: Schema) -> list[str]:
    """A route for each way to answer it."""
    own = own_keys(schema, "Route")
    answers = {key: part for key, part in own.items() if block(schema, part)}
    lines = []
    for key, part in own.items():
        if key not in answers:
            lines += option(schema, key, part, "    ", active=True)
    lines.append("    # And any slot of `defaults`.")
    lines = listed(lines)
    for key, part in answers.items():
        path = "/files/{*path}" if key == "files" else f"/{key}"
        more = [f"    path: {shown(path)}", *option(schema, key, part, "    ", active=True)]
        lines += listed(more)
    return lines


def listed(lines: list[str]) -> list[str]:
    """The lines as one item of a list."""
    first = next(number for number, line in enumerate(lines) if not line.strip().startswith("#"))
    dash = "  - " + lines[first][4:]
    return [*(line[2:] for line in lines[:first]), dash, *lines[first + 1 :]]


def options(schema: Schema, part: Schema, indent: str) -> list[str]:
    """Every option of a block."""
    properties = part["properties"]
    alternatives = [one["required"][0] for one in part.get("oneOf", ())]
    wanted = {*part.get("required", ()), *alternatives[:1]}
    if not wanted and not any(map(has_default, properties.values())):
        wanted = {next(iter(properties))}
    lines = []
    for key, field in properties.items():
        lines += option(schema, key, field, indent, active=key in wanted)
    return lines


def option(schema: Schema, key: str, field: Schema, indent: str, *, active: bool) -> list[str]:
    """One option: its docs, and its default or an example."""
    words = [shown(word) for word in enumerated(field)]
    told = field["description"]
    missing = [word for word in words if word not in told]
    if missing:
        told = f"{told} One of {', '.join(words)}."
    inner = block(schema, field)
    default, examples = field.get("default"), field.get("examples")
    if "const" in field:
        return [*prose(told, indent), f"{indent}{key}: {shown(field['const'])}"]
    if inner is not None:
        lines = [f"{indent}{key}:", *options(schema, inner, indent + "  ")]
        every = any(map(has_default, inner["properties"].values()))
        if not active and ("oneOf" in inner or not every):
            lines = commented(lines, indent)
        return [*prose(told, indent), *lines]
    if has_default(field):
        return [*prose(told, indent), f"{indent}{key}: {shown(default)}"]
    if not examples:
        raise ValueError(f"`{key}` has neither a default nor an example: write `like …`")
    if "default" in field:
        told = f"{told} Default: {shown(default)}."
    mark = "" if active else "#"
    return [*prose(told, indent), f"{indent}{mark}{key}: {shown(examples[0])}"]


def has_default(field: Schema) -> bool:
    """Whether a default says more than an example would."""
    if "default" not in field:
        return "const" in field
    return field["default"] not in ([], {}) or "examples" not in field


def enumerated(field: Schema) -> list[Any]:
    """The words that a value, or an item of it, may be."""
    if "items" in field:
        return enumerated(field["items"])
    found = field.get("enum", [])
    for variant in field.get("anyOf", ()):
        found = found or enumerated(variant)
    return [] if any(isinstance(word, bool) for word in found) else found


def commented(lines: list[str], indent: str = "") -> list[str]:
    """The lines with ``#`` behind ``indent``."""
    return [f"{indent}#{line[len(indent) :]}" for line in lines]


def prose(told: str, indent: str) -> list[str]:
    """A comment."""
    return [f"{indent}# {line}" for line in textwrap.wrap(told, WIDTH - 2 - len(indent))]


def shown(value: Any) -> str:
    """A value as YAML."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{shown(key)}: {shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*|[0-9]+[A-Za-z/][A-Za-z0-9/]*", value)
        reserved = value.lower() in ("on", "off", "true", "false", "yes", "no", "null", "y", "n")
        return value if plain and not reserved else json.dumps(value)
    return json.dumps(value)
