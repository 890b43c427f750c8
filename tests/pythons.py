"""The tests of what a Python may do otherwise, under every other Python that this machine has:
``python -m tests.pythons``.

Each gets a virtualenv of its own (``.venv-3.12``) with the extension as it is while one develops,
so with Rust's own checks. What is Rust's alone is not asked again. The exit code is 0 where all
that were found pass, 1 where one fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
#: Tests of listeners, limits, files, codecs and the supervisor's sockets: no other Python changes
#: what they see.
RUST_ALONE = (
    "test_caps",
    "test_check_online",
    "test_compression",
    "test_limiter_clock",
    "test_limits",
    "test_listener",
    "test_queries_changes",
    "test_queries_outages",
    "test_queries_slow",
    "test_queries_sqlite",
    "test_queries_ways",
    "test_redis_limits",
    "test_redis_stores",
    "test_static",
)


def find(version: str) -> str | None:
    """An interpreter of this version (``3.12``), on the path or among pyenv's."""
    pyenv = Path.home() / ".pyenv" / "versions"
    installed = sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    for candidate in [f"python{version}", *map(str, installed)]:
        # A pyenv shim is on the path even where it cannot run: only an answer counts.
        probe = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            found = subprocess.run(probe, capture_output=True, text=True, check=False)
        except OSError:
            continue
        if found.returncode == 0 and found.stdout.strip() == version:
            return candidate
    return None


def prepare(version: str, interpreter: str) -> Path:
    """The interpreter of a virtualenv with the extension, made where it is not there yet."""
    venv = ROOT / f".venv-{version}"
    environment = os.environ | {"VIRTUAL_ENV": str(venv)}
    if not (venv / "bin" / "maturin").exists():
        subprocess.run([interpreter, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "maturin"], check=True)
    build = [venv / "bin" / "maturin", "develop", "--quiet", "--extras", "dev"]
    subprocess.run(build, check=True, cwd=ROOT, env=environment)
    return venv / "bin" / "python"


def passes(python: Path) -> bool:
    """Whether all passes that is not Rust's alone."""
    left_out = [f"--ignore=tests/live/{name}.py" for name in RUST_ALONE]
    suite = [python, "-m", "pytest", "tests", *left_out]
    return subprocess.run(suite, cwd=ROOT, check=False).returncode == 0


def main() -> int:
    """Prepares every version but the one that runs this, and tests it but for ``--prepare``."""
    failed = []
    for version in VERSIONS:
        if version == "{}.{}".format(*sys.version_info[:2]):
            continue
        interpreter = find(version)
        if interpreter is None:
            print(f"Python {version}: not on this machine, not tested", flush=True)
            continue
        print(f"Python {version}: {interpreter}", flush=True)
        python = prepare(version, interpreter)
        if "--prepare" not in sys.argv and not passes(python):
            failed.append(version)
    if failed:
        print(f"failed under Python {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
