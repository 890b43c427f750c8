"""Routes that are left to the Django project, which has no URL for them.

A handler's route whose path is misspelled in a file becomes such a route, and says nothing of the
one that it was meant for.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from ..config import LoadedConfig
from ..config.diagnostics import Diagnostic, in_full
from ..config.importing import ImportFailed, explained
from ..django.urls import ANYTHING, SEGMENT, project_urls, view_of

_CAPTURE = re.compile(r"\{(\*?)[^}]*\}")


def unanswered(loaded: LoadedConfig) -> list[Diagnostic]:
    """A warning for each path that no URL of the project is like (W057); none of a catch-all, of
    what is rewritten, and where the URLs cannot be imported."""
    left: dict[str, tuple[str | int, ...]] = {}
    for route in loaded.routes:
        ours = route["is_django"] and not route["rewrites"] and "{*" not in route["path"]
        if ours and route["locations"]:
            left.setdefault(route["path"], tuple(route["locations"][0]))
    if not left:
        return []
    try:
        with explained("importing the URLs of the project"):
            urls = project_urls()
    except ImportFailed:
        return []
    answered = [route["path"] for route in loaded.routes if not route["is_django"]]
    spelled = _spelled([*answered, *(url.route for url in urls)])
    forms = Forms(form for url in urls for form in url.forms)
    return [
        _warning(loaded, path, at, _near(path, spelled))
        for path, at in left.items()
        if not _is_known(path, forms)
    ]


class Forms:
    """The forms of all URLs, by their first segment: few are like any one path."""

    def __init__(self, forms: Iterable[str]) -> None:
        self._all = dict.fromkeys(forms)
        self._below: dict[str | None, list[str]] = {}
        for form in self._all:
            self._below.setdefault(_first_segment(form), []).append(form)

    def meet(self, form: str) -> bool:
        """Whether any path is of ``form`` and of one of these."""
        first = _first_segment(form)
        if first is None:
            return any(meet(form, other) for other in self._all)
        near = (*self._below.get(first, ()), *self._below.get(None, ()))
        return any(meet(form, other) for other in near)


def _first_segment(form: str) -> str | None:
    """``None`` where it may be any other."""
    first = form.split("/", 2)[1]
    return None if SEGMENT in first or ANYTHING in first else first


def _is_known(path: str, forms: Forms) -> bool:
    if forms.meet(_CAPTURE.sub(SEGMENT, path)):
        return True
    try:
        return view_of(_CAPTURE.sub("0", path)) is not None
    except Exception:
        # The code of a converter, which may want a database: who cannot be asked may well know.
        return True


def _warning(
    loaded: LoadedConfig, path: str, at: tuple[str | int, ...], near: str | None
) -> Diagnostic:
    place = (*at, "path")
    message = f"no URL of the Django project, which this is left to, is `{path}`"
    hint = f"did you mean `{near}`?" if near else "name a `handler`, or a path of the project"
    return Diagnostic(
        "W057",
        in_full(message, loaded.table.beyond(place)),
        loaded.locate(place),
        hint,
        severity="warning",
    )


def _spelled(known: Iterable[str]) -> dict[str, list[str]]:
    """Paths by how they read, whatever the names of what they capture."""
    spelled: dict[str, list[str]] = {}
    for path in known:
        spelled.setdefault(_CAPTURE.sub("{}", path), []).append(path)
    return spelled


def _near(path: str, spelled: dict[str, list[str]]) -> str | None:
    """The path that was probably meant, which is another."""
    found = difflib.get_close_matches(_CAPTURE.sub("{}", path), spelled, 2, 0.75)
    others = (other for form in found for other in reversed(spelled[form]) if other != path)
    return next(others, None)


def meet(one: str, other: str) -> bool:
    """Whether any path is of both forms."""
    seen: set[tuple[int, int]] = set()
    ahead = [(0, 0)]
    while ahead:
        i, j = at = ahead.pop()
        if at in seen:
            continue
        seen.add(at)
        a, b = one[i : i + 1], other[j : j + 1]
        if not a and not b:
            return True
        if a in (SEGMENT, ANYTHING):
            ahead.append((i + 1, j))
        if b in (SEGMENT, ANYTHING):
            ahead.append((i, j + 1))
        if b and _takes(a, b):
            ahead.append((i, j + 1))
        if a and _takes(b, a):
            ahead.append((i + 1, j))
        if a == b:
            ahead.append((i + 1, j + 1))
    return False


def _takes(wild: str, other: str) -> bool:
    """Whether ``wild`` stands for ``other`` and more."""
    return wild == ANYTHING or (wild == SEGMENT and other not in ("/", ANYTHING))
