"""Python, and ``bolt``, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parent.parent
Given, Done = TypeVar("Given"), TypeVar("Done")


def python(
    directory: Path, *arguments: str, environ: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """What an interpreter did in ``directory``; of a Django project it knows what it is told."""
    inherited = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=inherited | {"PYTHONPATH": str(ROOT)} | dict(environ or {}),
        text=True,
        timeout=90,
        check=False,
        **{"capture_output": True, "input": ""} | options,
    )


def bolt(
    directory: Path, *arguments: str, environ: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """What ``bolt`` did there."""
    return python(directory, "-m", "pybolt", *arguments, environ=environ, **options)


def beside(run: Callable[[Given], Done], given: Iterable[Given]) -> list[Done]:
    """What ``run`` makes of each of ``given``, in their order, as many at once as there are
    cores: for commands that need nothing of each other."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(run, given))


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The output of what must have gone well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
