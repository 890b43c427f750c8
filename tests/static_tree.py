"""The directory that ``tests/vectors/static.yaml`` speaks of."""

import os
from pathlib import Path
from typing import Any

import yaml

TABLE: Any = yaml.load(
    (Path(__file__).parent / "vectors" / "static.yaml").read_text(), yaml.CSafeLoader
)
#: Sun, 06 Nov 1994 08:49:37 GMT.
MODIFIED = 784_111_777


def make(root: Path) -> None:
    """Makes the tree below ``root``."""
    for entry in TABLE["tree"]:
        path = root / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in entry:
            path.symlink_to(entry["link"].replace("{tree}", str(root)))
        elif "fifo" in entry:
            os.mkfifo(path)
        else:
            size = entry.get("size")
            path.write_text("0123456789" * (size // 10) if size else entry["text"])
            os.utime(path, (MODIFIED, MODIFIED))


def write_config(root: Path, name: str) -> Path:
    """The table's configuration ``name`` as a file beside the tree."""
    path = root / f"{name}.yaml"
    config = {"version": 1, **TABLE["configs"][name]}
    path.write_text(yaml.safe_dump(config).replace("$", "$$"))
    return path
