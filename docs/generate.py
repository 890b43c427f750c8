"""What is generated out of the engine's own declarations: `make generate`, or
``python -m docs.generate``; with ``--check`` it only tells what is not current."""

import sys
from pathlib import Path

from docs import default_config
from pybolt.config import schema

ROOT = Path(__file__).parent.parent


def files() -> dict[Path, str]:
    """Every generated file with its text."""
    whole = schema.schema()
    return {
        ROOT / "config" / "bolt.schema.json": schema.text(),
        ROOT / "config" / "default.yaml": default_config.text(whole),
    }


def stale() -> list[str]:
    """The files that are not what they would be if they were generated now."""
    return [
        str(path.relative_to(ROOT))
        for path, text in files().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Writes the files, or checks them; the exit code."""
    if arguments == ["--check"]:
        found = stale()
        if found:
            print(f"not current: {', '.join(found)}; run `make generate`", file=sys.stderr)
        return int(bool(found))
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
