"""From names to objects: ``module:attribute`` and ``path/to/file.py[:attribute]``."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..exceptions import BoltError
from .diagnostics import Position


class ImportFailed(BoltError):
    """Something cannot be imported: why, what to try, and where it was raised."""

    def __init__(
        self, message: str, hint: str | None = None, position: Position | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.position = message, hint, position


def make_cwd_importable() -> None:
    """As ``python -m`` does."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def split_app(app: str) -> tuple[str, str]:
    """Module and attribute of an app; a file becomes the module that it is."""
    name, _, attribute = app.partition(":")
    if Path(name).is_dir() and not name.isidentifier():
        hint = "name a module or a file in it, such as `app.py`, or its file with `--config`"
        raise ImportFailed(f"`{name}` is a directory, not an app", hint)
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
    if not all(part.isidentifier() for part in name.split(".")):
        hint = "write `module:attribute`, or the path of a file: `shop/app.py`"
        raise ImportFailed(f"`{name}` is not the name of a module", hint)
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
    """The module called ``name``. Raises :class:`ImportFailed`."""
    with explained(f"importing `{name}`", name):
        return importlib.import_module(name)


@contextmanager
def explained(doing: str, module: str | None = None) -> Iterator[None]:
    """Turns whatever is raised within into one :class:`ImportFailed`: what failed in ``doing``,
    and the line of the user's own code that did it. ``module`` is what was to be imported."""
    try:
        yield
    except ImportFailed:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(error, doing, module) from error


def _failure(error: BaseException, doing: str, module: str | None) -> ImportFailed:
    place = _place(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _not_found(error.name, doing, module, place)
    if isinstance(error, SystemExit):
        message = f"{doing} ended the process: sys.exit({error.code!r})"
        return ImportFailed(message, 'put it below `if __name__ == "__main__":`', place)
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    message = f"{doing} failed: {type(error).__name__}: {reason}".rstrip(": ")
    return ImportFailed(message, _hint(error), place)


def _not_found(name: str, doing: str, module: str | None, place: Position | None) -> ImportFailed:
    if place is None and module is not None and f"{module}.".startswith(f"{name}."):
        hint = f"start in the directory that holds it; this is {os.getcwd()}"
        return ImportFailed(f"there is no module `{name}`", hint)
    message = f"{doing} failed: there is no module `{name}`"
    hint = f"install what has it: `pip install {name.partition('.')[0]}`, or correct the name"
    return ImportFailed(message, hint, place)


def _hint(error: BaseException) -> str | None:
    missing = re.search(r"missing \d+ required keyword-only arguments?: (.+)", str(error))
    if isinstance(error, TypeError) and missing:
        names = re.findall(r"'(\w+)'", missing[1])
        return "give " + ", ".join(f"`{name}=…`" for name in names)
    return None


def _place(error: BaseException) -> Position | None:
    """The innermost line of the user's own code; ``None`` where none was reached."""
    if isinstance(error, SyntaxError) and error.filename:
        return Position(error.filename, error.lineno or 1, max(error.offset or 1, 1))
    foreign = _foreign()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(foreign):
            return Position(frame.filename, frame.lineno or 1, (frame.colno or 0) + 1)
    return None


def _foreign() -> tuple[str, ...]:
    """How the names of files begin that the user did not write."""
    import django

    ours = Path(__file__).parents[1]
    installed = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    places = [ours, Path(django.__file__).parent, *map(Path, installed)]
    return ("<", *(f"{place}{os.sep}" for place in places))
