"""``docs/reference``: nothing lacks a page, and what the pages show is right."""

import re
import sys
from pathlib import Path

import pytest

from docs.reference import PAGES, REFUSALS, refusals
from pybolt.config import RunOptions, load
from pybolt.config.schema import block, schema
from tests.unit.command import HANDLERS

ROOT = Path(__file__).parent.parent.parent / "docs" / "reference"
#: What a fence shows, by the file's name.
FENCE = re.compile(r"^```yaml\n# (\S+)\n(.*?)^```$", re.M | re.S)
#: What the page of queries names.
QUERYSET = """
from django.contrib.auth.models import User

people = User.objects.order_by("id").values("id", "username")[:10]
"""
WITH_EXAMPLES = sorted(path.name for path in ROOT.glob("*.md") if "```yaml" in path.read_text())


def test_every_block_has_a_page():
    told = [kind for page in PAGES.values() for kind in page.get("blocks", ())]
    # The kinds of definitions are slots.
    assert sorted([*told, "Define"]) == sorted(schema()["$defs"])


def test_every_slot_has_a_page():
    whole = schema()
    slots = block(whole, whole["$defs"]["Document"]["properties"]["defaults"])
    assert slots is not None
    assert [page["slot"] for page in PAGES.values() if "slot" in page] == list(slots["properties"])


def test_every_refusal_is_told():
    variants = re.findall(r'^    \w+ = \d+, "(\w+)", ".*";$', REFUSALS.read_text(), re.M)
    assert variants
    assert [code for _, code, _, _ in refusals()] == variants


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_what_a_page_shows_is_right(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("JWT_SECRET", "s" * 48)
    # Other tests have one of their own.
    monkeypatch.delitem(sys.modules, "hello", raising=False)
    text = (ROOT / name).read_text()
    found = FENCE.findall(text)
    assert len(found) == text.count("```yaml")
    for file, content in [("hello.py", HANDLERS + QUERYSET), *found]:
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        if file != "bolt.yaml":
            path.write_text(content)
    examples = [content for file, content in found if file == "bolt.yaml"]
    assert examples
    for example in examples:
        (tmp_path / "bolt.yaml").write_text(example)
        told = load(RunOptions(config="bolt.yaml")).check()
        assert [item.render() for item in told] == []


def test_every_page_of_an_option_has_an_example():
    assert {f"{name}.md" for name in PAGES} == set(WITH_EXAMPLES)


def test_every_link_leads_somewhere():
    for path in ROOT.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#\s]+)(?:#\w+)?\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
