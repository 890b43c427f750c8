"""``docs/reference/``: pages of options out of the schema and the modules' own manuals, of codes,
of refusals and of the command line. ``pages.yaml`` says what each page is made of."""

import argparse
import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

from docs import metrics
from docs.default_config import enumerated, has_default, own_keys, shown
from pybolt.cli.grammar import parser
from pybolt.config.explanations import explanations, fence, meanings, page
from pybolt.config.schema import Schema, block

ROOT = Path(__file__).parent.parent
PAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "pages.yaml").read_text())
REFUSALS = ROOT / "engine" / "src" / "middleware" / "rejection.rs"

#: What a pattern of the schema stands for, by how it begins.
UNITS = {
    "^([0-9]+(ms": "duration",
    "^([0-9]+(B|KiB|MiB|GiB|KB|MB|GB))": "size",
    "^([0-9]+(B": "size by duration",
    "^([0-9]+/": "rate",
    "^(client_ip": "key",
    "^([A-Z-]+)": "method",
}


def pages(whole: Schema) -> dict[str, str]:
    """Every page by its name below ``docs/reference``."""
    found = {f"{name}.md": options_page(whole, name, told) for name, told in PAGES.items()}
    found |= {f"codes/{code}.md": page(code) for code in explanations()}
    found |= {f"cli/{name}.md": command_page(name, told) for name, told in commands().items()}
    found["refusals.md"] = refusals_page()
    found["metrics.md"] = metrics.page()
    found["codes/README.md"] = codes_index()
    found["README.md"] = index()
    return found


def index() -> str:
    """The first page."""
    lines = ["# Reference", "", "Written by `make generate`. [Every option in one file]"]
    lines[-1] += "(../../config/default.yaml), [the JSON Schema](../../config/bolt.schema.json)."
    lines += ["", "## Options", ""]
    lines += [f"* [{told['title']}]({name}.md)" for name, told in PAGES.items()]
    lines += ["", "## Answers and mistakes", ""]
    lines += ["* [What Rust refuses](refusals.md)", "* [Codes of mistakes](codes/README.md)"]
    lines += ["* [Names of metrics](metrics.md)"]
    lines += ["", "## Commands", ""]
    lines += [f"* [`bolt {name}`](cli/{name}.md)" for name in commands()]
    return "\n".join(lines) + "\n"


def options_page(whole: Schema, name: str, told: dict[str, Any]) -> str:
    """A page of ``pages.yaml``."""
    lines = [f"# {told['title']}", ""]
    if "slot" in told:
        lines += [*slot_line(whole, told["slot"]), ""]
    lines += [told["text"] if "text" in told else manual(ROOT / told["manual"]), ""]
    for kind in told.get("blocks", ()):
        part = whole["$defs"][kind]
        properties = own_keys(whole, kind) if kind in ("Group", "Route") else part["properties"]
        lines += [f"## {heading(whole, kind)}", "", part["description"], ""]
        if kind in ("Group", "Route"):
            lines += ["And any slot of `defaults`.", ""]
        lines += table(whole, properties, part)
    for kind, keys in told.get("keys", {}).items():
        properties = whole["$defs"][kind]["properties"]
        lines += table(whole, {key: properties[key] for key in keys}, {})
    for example in told["examples"]:
        lines += fence("bolt.yaml", example)
    for file, content in told.get("files", {}).items():
        lines += fence(file, content)
    return "\n".join(lines).rstrip("\n") + "\n"


def slot_line(whole: Schema, key: str) -> list[str]:
    """What a slot may be, in a sentence."""
    slot = block(whole, whole["$defs"]["Document"]["properties"]["defaults"])["properties"][key]
    named = key in whole["$defs"]["Define"]["properties"]
    where = f", or in `define.{key}` by a name" if named else ""
    default = shown(slot.get("default", False))
    return [
        f"The slot `{key}` of `defaults`, groups and routes{where}. {slot['description']}",
        f"Where nothing is said: `{default}`.",
    ]


def heading(whole: Schema, kind: str) -> str:
    """How a block is told from its siblings."""
    tag = whole["$defs"][kind]["properties"].get("type", {}).get("const")
    return f"`type: {tag}`" if tag else re.sub(r"(?<=.)([A-Z])", r" \1", kind)


def table(whole: Schema, properties: dict[str, Schema], part: Schema) -> list[str]:
    """Keys with their types, defaults and docs."""
    lines = ["| key | type | default | |", "| --- | --- | --- | --- |"]
    for key, field in properties.items():
        default = (
            f"`{shown(field['default'])}`" if has_default(field) and "default" in field else ""
        )
        if key in part.get("required", ()):
            default = "required"
        docs = field["description"]
        if field.get("examples"):
            docs += f" Example: `{shown(field['examples'][0])}`."
        cells = [f"`{key}`", kind_of(whole, field), default, docs]
        lines.append(row(cells))
    return [*lines, ""]


def kind_of(whole: Schema, field: Schema) -> str:
    """The type of a value, in words."""
    words = [word for word in enumerated(field) if isinstance(word, str)]
    return (
        "one of " + ", ".join(f"`{word}`" for word in words)
        if words
        else " or ".join(dict.fromkeys(kinds(whole, field)))
    )


def kinds(whole: Schema, field: Schema) -> list[str]:
    """Everything that a value may be."""
    if "const" in field:
        return [f"`{shown(field['const'])}`"]
    if "anyOf" in field:
        return [kind for variant in field["anyOf"] for kind in kinds(whole, variant)]
    if "enum" in field:
        return ["`off`"] if True not in field["enum"] else ["switch"]
    if field.get("type") == "array":
        return [f"list of {kind}" for kind in kinds(whole, field["items"])]
    if "$ref" in field:
        return ["block"]
    if field.get("type") == "object":
        return ["mapping"]
    if field.get("type") == "integer":
        most = f" up to {field['maximum']}" if "maximum" in field else ""
        return [f"whole number{most}"]
    pattern = field.get("pattern")
    if pattern is None:
        return ["text"]
    return [word for begin, word in UNITS.items() if pattern.startswith(begin)][:1]


def manual(path: Path) -> str:
    """What a module says of itself, as Markdown for those who do not read its source."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        told = (ast.get_docstring(ast.parse(source)) or "").replace("``", "`")
    else:
        told = "\n".join(line[4:] for line in source.splitlines() if line.startswith("//!"))
    told = re.sub(r"\n```.*?^```\n?", "\n", told, flags=re.M | re.S)
    told = re.sub(r"\[(`[^`]+`)\](?!\()", r"\1", told)
    told = re.sub(r" \(`\w+\.rs`\)", "", told)
    told = re.sub(r" ?Examples?:(\s+`[^`]*`(,\s+`[^`]*`)*\.?)?\s*$", "", told.strip())
    return re.sub(r"(?<=Refusal: )`\w+`|(?<=Refusals: )`\w+`(?:,\s+`\w+`)*", linked, told)


def linked(found: re.Match[str]) -> str:
    """Codes of refusals with where they are explained."""
    return re.sub(r"`(\w+)`", r"[`\1`](refusals.md#\1)", found[0])


def refusals() -> list[tuple[str, str, str, str]]:
    """Status, code, title and when, of every row of the engine's table."""
    row = re.compile(r'^ {4}/// (.*)\n {4}\w+ = (\d+), "(\w+)", "([^"]+)";', re.M)
    return [
        (status, code, title, when)
        for when, status, code, title in row.findall(REFUSALS.read_text())
    ]


def refusals_page() -> str:
    """Everything that Rust refuses."""
    lines = [
        "# What Rust refuses",
        "",
        "As `application/problem+json` (RFC 9457), or as HTML for a client that prefers it, with",
        "`Vary: accept`. `type` is `urn:pybolt:problem:` and the code; both are stable. Nothing of",
        "the request is echoed. What RFCs ask for goes along: `WWW-Authenticate` with 401, `Allow`",
        "with 405, `Retry-After` with 429 and 503.",
        "",
        "| code | status | title | when |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f'| <a id="{code}"></a>`{code}` | {status} | {title} | {when} |'
        for status, code, title, when in refusals()
    ]
    return "\n".join(lines) + "\n"


def codes_index() -> str:
    """All codes."""
    lines = [
        "# Codes",
        "",
        "`E…` is an error: nothing starts. `W…` is a warning, and an error under `--strict`. A",
        "code keeps its meaning. `bolt check --explain CODE` prints the page.",
        "",
        "| code | meaning |",
        "| --- | --- |",
    ]
    lines += [f"| [{code}]({code}.md) | {meaning} |" for code, meaning in meanings().items()]
    return "\n".join(lines) + "\n"


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command with its parser."""
    (found,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return found.choices


def command_page(name: str, told: argparse.ArgumentParser) -> str:
    """What ``--help`` tells; its layout is each Python's own."""
    lines = [f"# bolt {name}", "", told.description or "", "", "| argument | |", "| --- | --- |"]
    for action in told._actions:
        choices = "|".join(map(str, action.choices or ()))
        value = action.metavar or choices or action.dest.upper()
        taken = [] if action.nargs == 0 else [str(value)]
        names = [", ".join(action.option_strings)] if action.option_strings else []
        lines.append(row([f"`{' '.join(names + taken)}`", action.help or ""]))
    return "\n".join([*lines, "", *epilog(told.epilog or "")]).rstrip("\n") + "\n"


def row(cells: list[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def epilog(text: str) -> list[str]:
    """What stands below the arguments: prose, then examples."""
    before, _, after = text.partition("examples:\n")
    lines = [*before.strip().splitlines(), ""] if before.strip() else []
    return [*lines, "```", *textwrap.dedent(after).rstrip().splitlines(), "```", ""]
