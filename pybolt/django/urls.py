"""The URLs of a Django project: which there are, and which view a path leads to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

#: What a converter or a group of a pattern is filled with; any segment would do.
_SAMPLE = "0"


@dataclasses.dataclass(frozen=True)
class ProjectURL:
    """One pattern: as Django writes it, below ``/``; its name with its namespaces, where it has
    one; its view; and a path that looks like those that it matches."""

    pattern: str
    name: str | None
    view: str
    sample: str


def project_urls() -> list[ProjectURL]:
    """Every pattern of the project that is set up, in Django's order; none where it has no URLs.
    Raises whatever importing them raises."""
    from django.conf import settings
    from django.urls import get_resolver

    if getattr(settings, "ROOT_URLCONF", None) is None:
        return []
    return list(_patterns(get_resolver().url_patterns, "/", "/", []))


def _patterns(
    patterns: Any, before: str, sample: str, namespaces: list[str]
) -> Iterator[ProjectURL]:
    for found in patterns:
        pattern, path = before + str(found.pattern), sample + _sample(found.pattern)
        if hasattr(found, "url_patterns"):
            inner = [*namespaces, found.namespace] if found.namespace else namespaces
            yield from _patterns(found.url_patterns, pattern, path, inner)
        else:
            name = ":".join([*namespaces, found.name]) if found.name else None
            yield ProjectURL(pattern, name, found.lookup_str, path)


def _sample(pattern: Any) -> str:
    from django.utils.regex_helper import normalize

    forms = normalize(pattern.regex.pattern)
    form, names = forms[0] if forms else ("", [])
    text: str = form % dict.fromkeys(names, _SAMPLE)
    return text


def view_of(path: str) -> str | None:
    """The name of the view that ``path``, decoded, leads to, with its namespaces, or where it has
    none the view's own; ``None`` where Django knows no such path."""
    from django.urls import Resolver404, resolve

    try:
        name: str = resolve(path).view_name
    except Resolver404:
        return None
    return name
