"""What is generated out of the engine's own declarations: `make generate`, or
``python -m docs.generate``; with ``--check`` it only tells what is not current."""

import sys
from collections.abc import Collection
from pathlib import Path

from docs import default_config, reference
from pybolt.config import schema

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"


def files() -> dict[Path, str]:
    """Every generated file with its text."""
    whole = schema.schema()
    return {
        ROOT / "config" / "bolt.schema.json": schema.text(),
        ROOT / "config" / "default.yaml": default_config.text(whole),
        **{REFERENCE / name: text for name, text in reference.pages(whole).items()},
    }


def stale() -> list[str]:
    """The files that are not what they would be if they were generated now, or not there."""
    made = files()
    wrong = [
        path
        for path, text in made.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    return [str(path.relative_to(ROOT)) for path in [*wrong, *leftover(made)]]


def leftover(made: Collection[Path]) -> list[Path]:
    """Pages that nothing makes any more."""
    return [path for path in REFERENCE.rglob("*.md") if path not in made]


def main(arguments: list[str]) -> int:
    """Writes the files, or checks them; the exit code."""
    if arguments == ["--check"]:
        found = stale()
        if found:
            print(f"not current: {', '.join(found)}; run `make generate`", file=sys.stderr)
        return int(bool(found))
    made = files()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in leftover(made):
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
