"""ARCHITECTURE.md's absences, as far as the sources themselves can show them."""

import re
import subprocess
import sys
from pathlib import Path

from docs.generate import stale

ROOT = Path(__file__).parent.parent.parent
ENGINE = sorted((ROOT / "engine" / "src").rglob("*.rs"))
BINDINGS = sorted((ROOT / "engine" / "bindings" / "src").rglob("*.rs"))
PYTHON = sorted((ROOT / "pybolt").rglob("*.py"))


def code_lines(path: Path) -> int:
    lines = path.read_text().splitlines()
    return sum(1 for line in lines if line.strip() and not re.match(r"\s*(//|#)", line))


def test_pyo3_is_named_only_in_the_bindings():
    manifest = (ROOT / "engine" / "Cargo.toml").read_text()
    assert "pyo3" not in manifest
    assert not [path for path in ENGINE if "pyo3" in path.read_text()]


def test_the_interpreter_is_attached_in_two_files():
    attaching = {path.name for path in BINDINGS if "Python::attach" in path.read_text()}
    assert attaching == {"inline.rs", "lanes.rs"}


def test_the_engine_has_no_unsafe_code():
    assert "#![forbid(unsafe_code)]" in (ROOT / "engine" / "src" / "lib.rs").read_text()


def test_shared_memory_is_one_block_of_unsafe_code():
    source = re.sub(r"//.*", "", (ROOT / "engine" / "shm" / "src" / "lib.rs").read_text())
    assert len(re.findall(r"\bunsafe\b", source)) == 1


def test_only_authorize_makes_a_permit():
    making = [path for path in ENGINE if re.search(r"\bPermitted\(", path.read_text())]
    assert [path.parent.name for path in making] == ["authorize"]


def test_there_is_no_global_state_but_what_is_named():
    found = set()
    for path in ENGINE + BINDINGS:
        # A static inside `thread_local!` is a thread's own.
        source = re.sub(r"thread_local! \{.*?\n\}", "", path.read_text(), flags=re.S)
        found |= set(re.findall(r"^\s*(?:pub )?static (\w+)", source, re.M))
    assert found == {"SINK", "STDOUT", "SERVING", "ALLOCATOR"}


def test_no_profile_aborts_on_panic():
    assert not re.search(r'panic\s*=\s*"abort"', (ROOT / "Cargo.toml").read_text())


def test_files_stay_small():
    big = {path.name: code_lines(path) for path in ENGINE + BINDINGS + PYTHON}
    assert not {name: lines for name, lines in big.items() if lines > 400}


def test_every_engine_file_has_a_manual():
    assert not [p for p in ENGINE + BINDINGS if not p.read_text().startswith("//!")]


def test_nothing_on_the_request_path_unwraps_or_prints():
    found = []
    for path in ENGINE + BINDINGS:
        source = path.read_text().split("#[cfg(test)]")[0]
        source = re.sub(r"//.*", "", source)
        if re.search(r"\.unwrap\(\)|\bpanic!|\bprintln!|\beprintln!|\btodo!|\bdbg!", source):
            found.append(path.name)
    assert not found


def codes(paths: list[Path]) -> set[str]:
    return {code for path in paths for code in re.findall(r'"([EW]\d{3})"', path.read_text())}


def test_every_diagnostic_code_is_listed_and_every_listed_one_is_used():
    listed = ROOT / "engine" / "src" / "config" / "codes.rs"
    assert codes([path for path in ENGINE if path != listed]) == codes([listed])
    ours = ROOT / "pybolt" / "config" / "codes.py"
    used = codes([path for path in PYTHON if path != ours])
    # Python reports some of the engine's mistakes where it alone knows the place.
    assert codes([ours]) <= used <= codes([ours, listed])


def test_what_is_generated_is_current():
    assert not stale(), "run `make generate` (`python -m docs.generate`)"


def test_declarations_do_not_import_the_extension():
    probe = "import sys, pybolt; sys.exit('pybolt._engine' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False, cwd=ROOT).returncode == 0
