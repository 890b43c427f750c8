"""From names to objects: ``module:attribute`` and ``path/to/file.py[:attribute]``."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any


class ImportFailed(Exception):
    """Something cannot be imported; ``hint`` says what to try."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def make_cwd_importable() -> None:
    """As ``python -m`` does."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def split_app(app: str) -> tuple[str, str]:
    """Module and attribute of an app; a file becomes the module that it is."""
    name, _, attribute = app.partition(":")
    if name.endswith(".py") or os.sep in name:
        path = Path(name).resolve()
        if not path.is_file():
            raise ImportFailed(f"there is no file {name}", "give a path, or `module:attribute`")
        package: list[str] = []
        parent = path.parent
        while (parent / "__init__.py").is_file():
            package.insert(0, parent.name)
            parent = parent.parent
        if str(parent) not in sys.path:
            sys.path.insert(0, str(parent))
        name = ".".join([*package, path.stem])
    return name, attribute or "api"


def import_object(name: str) -> Any:
    """The object that ``module:attribute`` names. Raises :class:`ImportFailed`."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ImportFailed(
            f"`{name}` is not `module:attribute`", "write for example `shop.api:hello`"
        )
    module = import_module(module_name)
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 1)
            hint = f"did you mean `{module_name}:{near[0]}`?" if near else None
            raise ImportFailed(f"`{module_name}` has no `{attribute}`", hint)
        found = getattr(found, part)
    return found


def import_module(name: str) -> Any:
    """The module called ``name``. What it raises while it is imported is passed on as text."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            hint = f"start in the directory that holds it; this is {os.getcwd()}"
            raise ImportFailed(f"there is no module `{error.name}`", hint) from None
        raise ImportFailed(
            f"importing `{name}` failed: {error}", "install what it needs"
        ) from error
    except Exception as error:
        message = f"importing `{name}` failed: {type(error).__name__}: {error}"
        raise ImportFailed(message) from error
