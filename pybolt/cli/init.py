"""``init``: a first ``bolt.yaml`` from a Django project's settings."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from .. import bootstrap
from ..config.importing import ImportFailed, make_cwd_importable
from ..django.translation import Translation, translate

MANAGE = "manage.py"


def init(settings: str | None, output: str, *, force: bool) -> int:
    """Writes the file and tells what it could not say; the exit code."""
    name = settings or os.environ.get("DJANGO_SETTINGS_MODULE") or _of_manage()
    if name is None:
        _complain(f"no settings: there is no {MANAGE} here; name them with `--settings`")
        return 2
    if output != "-" and not force and os.path.lexists(output):
        _complain(f"{output} is there already; `--force` writes it anew")
        return 2
    make_cwd_importable()
    os.environ["DJANGO_SETTINGS_MODULE"] = name
    try:
        bootstrap.import_settings()
    except ImportFailed as error:
        _complain(error.message + (f"; {error.hint}" if error.hint else ""))
        return 1
    from django.conf import settings as given

    found = translate(given)
    text = render(name, found)
    if output == "-":
        print(text, end="")
        return 0
    try:
        # Whoever made it in the meantime keeps it.
        with open(output, "w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        _complain(f"{output} cannot be written: {error.strerror}")
        return 2
    print(f"{output} written from {name}; `bolt check --config {output}` reads it")
    for note in found.notes:
        print(f"  left to you: {note}")
    return 0


def _of_manage() -> str | None:
    """The settings that ``./manage.py`` names."""
    try:
        text = Path(MANAGE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    named = re.search(r"DJANGO_SETTINGS_MODULE[\"']\s*,\s*[\"']([\w.]+)[\"']", text)
    return named[1] if named else None


def render(settings: str, found: Translation) -> str:
    """The file as text."""
    lines = [
        f"# From the settings of {settings}: each line says which one it comes from.",
        "version: 1",
        f"settings: {settings}",
        "# app: mysite.api:api  # the routes that Python declares",
    ]
    for block, content in (
        ("server", found.server),
        ("define", found.define),
        ("defaults", found.defaults),
        ("routes", found.routes),
    ):
        if any(not line.startswith("#") for line in content):
            lines.append(f"{block}:")
        lines += [f"  {line}" for line in content]
    if found.notes:
        lines += ["", "# Left to you:", *(f"# * {note}" for note in found.notes)]
    if found.replaced:
        lines += [
            "",
            "# What pybolt answers no longer needs these; they stay for views that Django serves:",
            *(f"# * {name}" for name in found.replaced),
        ]
    return "\n".join(lines) + "\n"


def _complain(message: str) -> None:
    print(f"bolt init: {' '.join(message.split())}", file=sys.stderr)
