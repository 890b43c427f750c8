"""What each code means, with a document that yields it and one that does not.

The texts are in ``pybolt/explanations/*.yaml``; the pages of ``docs/reference/codes/`` and
``bolt check --explain CODE`` are made of them.
"""

from __future__ import annotations

import dataclasses
import textwrap
from functools import cache
from importlib import resources

import yaml

from .codes import CODES

#: Where the pages are, for those who have the repository.
PAGES = "docs/reference/codes"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """A code in full. ``files`` are those beside ``wrong`` and ``right``, by their names."""

    means: str
    fix: str
    wrong: str | None = None
    right: str | None = None
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    command: str = "bolt check"


@cache
def meanings() -> dict[str, str]:
    """Every code with its meaning in one sentence."""
    from .. import _engine

    return dict(sorted((CODES | dict(_engine.codes())).items()))


@cache
def explanations() -> dict[str, Explanation]:
    """Every code that is explained."""
    found: dict[str, Explanation] = {}
    for file in resources.files("pybolt").joinpath("explanations").iterdir():
        if file.name.endswith(".yaml"):
            texts = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
            found |= {code: Explanation(**fields) for code, fields in texts.items()}
    return dict(sorted(found.items()))


def page(code: str) -> str:
    """The page of a code: Markdown that reads well as it is."""
    told = explanations()[code]
    lines = [f"# {code}", "", f"**{meanings()[code]}**", "", _wrapped(told.means), ""]
    if told.wrong is not None:
        lines += [f"`{told.command}` yields it for", "", *fence("bolt.yaml", told.wrong)]
        for name, text in told.files.items():
            lines += ["with", "", *fence(name, text)]
    elif told.command != "bolt check":
        lines += [f"`{told.command}` yields it.", ""]
    lines += ["## What to do", "", _wrapped(told.fix), ""]
    if told.right is not None:
        lines += fence("bolt.yaml", told.right)
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def fence(name: str, text: str) -> list[str]:
    """The lines of a file in Markdown."""
    kind = name.rsplit(".", 1)[1]
    # JSON has no comments.
    comment = [] if kind == "json" else [f"# {name}"]
    above = [f"`{name}`:", ""] if kind == "json" else []
    return [*above, f"```{kind}", *comment, *text.splitlines(), "```", ""]
