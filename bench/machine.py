"""What the figures were taken on, and the CPU time of a server's processes, both read from the system."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

SERVER_CORE = 0
CLIENT_CORE = 1

ROOT = Path(__file__).resolve().parent.parent
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str | int]:
    """Return what a reader needs to place the figures; nothing that names the machine."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": _servers_python(),
        "rust": first_line(["rustc", "--version"]).removeprefix("rustc ").split(" (")[0],
        "commit": first_line(["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"]),
        "load_average": f"{os.getloadavg()[0]:.1f}",
    }


def first_line(command: list[str]) -> str:
    """Return the first line that a command prints, or `unknown` when it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return next(iter(done.stdout.splitlines()), "unknown")


def process_tree(root: int) -> frozenset[int]:
    """Return `root` and all its live descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None and fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    tree = {root} & parents.keys()
    while True:
        grown = tree | {pid for pid, parent in parents.items() if parent in tree}
        if grown == tree:
            return frozenset(tree)
        tree = grown


def cpu_seconds(pids: frozenset[int]) -> float:
    """Return user and system time of all threads, past ones included, of these processes."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields is None:
            raise ProcessLookupError(f"process {pid} of the server ended during the measurement")
        ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_SECOND


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from `state` on; the name before them may contain anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _servers_python() -> str:
    """Return the version of the Python that pybolt and django-bolt run on."""
    python = ROOT / "bench" / ".venv-pybolt" / "bin" / "python"
    version = "import platform; print(platform.python_version())"
    return first_line([str(python), "-c", version]) if python.exists() else "none"
