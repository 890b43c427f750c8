"""The URLs of a Django project: which there are, and which view a path leads to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

#: What a converter or a group of a pattern is filled with; any segment would do.
_SAMPLE = "0"
#: In a form: any text without a slash, and any text. No path has either character.
SEGMENT = "\0"
ANYTHING = "\1"


@dataclasses.dataclass(frozen=True)
class ProjectURL:
    """One pattern: as Django writes it, below ``/``; its name with its namespaces, where it has
    one; its view; a path that looks like those that it matches; its path as a route would be
    written; and the forms of all that it matches, which may be of more than that."""

    pattern: str
    name: str | None
    view: str
    sample: str
    route: str
    forms: tuple[str, ...]


def project_urls() -> list[ProjectURL]:
    """Every pattern of the project that is set up, in Django's order; none where it has no URLs.
    Raises whatever importing them raises."""
    from django.conf import settings
    from django.urls import get_resolver

    if getattr(settings, "ROOT_URLCONF", None) is None:
        return []
    root = ProjectURL("/", None, "", "/", "/", ("/",))
    return list(_patterns(get_resolver().url_patterns, root, []))


def _patterns(patterns: Any, before: ProjectURL, namespaces: list[str]) -> Iterator[ProjectURL]:
    for found in patterns:
        name = ":".join([*namespaces, found.name]) if getattr(found, "name", None) else None
        url = _below(before, found.pattern, name, getattr(found, "lookup_str", ""))
        if hasattr(found, "url_patterns"):
            inner = [*namespaces, found.namespace] if found.namespace else namespaces
            yield from _patterns(found.url_patterns, url, inner)
        else:
            yield url


def _below(before: ProjectURL, pattern: Any, name: str | None, view: str) -> ProjectURL:
    from django.urls.resolvers import RoutePattern
    from django.utils.regex_helper import normalize

    try:
        ways = normalize(pattern.regex.pattern) or [("", [])]
        form, names = ways[0]
        sample = form % dict.fromkeys(names, _SAMPLE)
        route = form % {name: f"{{{name}}}" for name in names}
        forms = _forms(pattern, ways)
    except ValueError:
        # What Django cannot reverse either, such as a `%`.
        sample = route = str(pattern)
        literal = isinstance(pattern, RoutePattern) and not pattern.converters
        forms = [sample if literal else ANYTHING]
    return ProjectURL(
        before.pattern + str(pattern),
        name,
        view,
        before.sample + sample,
        before.route + route,
        tuple(one + more for one in before.forms for more in forms),
    )


def _forms(pattern: Any, ways: list[tuple[str, list[str]]]) -> list[str]:
    from django.urls.resolvers import RoutePattern

    if not isinstance(pattern, RoutePattern):
        return [_form_of_expression(pattern)]
    if not isinstance(pattern._route, str):
        # It is translated.
        return [ANYTHING]
    forms = []
    for form, names in ways:
        wild = {name: _wild(pattern.converters.get(name)) for name in names}
        forms.append(form % wild)
    return forms


#: How an expression begins that matches only what is written so far.
_LITERAL = re.compile(r"\^?((?:[\w/-](?![?*{]))*)(\$|\\Z)?")


def _form_of_expression(pattern: Any) -> str:
    """What an expression begins with; a language's prefix may be another language's."""
    text = pattern.regex.pattern
    whole = text.endswith("$") and getattr(pattern, "_is_endpoint", False)
    literal = _LITERAL.match(text)
    if literal is None or "|" in text or not (text.startswith("^") or whole):
        return ANYTHING
    return literal[1] + ("" if literal[2] else ANYTHING)


def _wild(converter: Any) -> str:
    """What stands for a value in a form: a segment, where no value has a slash; a project's own
    converters may take anything."""
    from django.urls import converters as django

    segments = (
        django.IntConverter, django.StringConverter, django.SlugConverter, django.UUIDConverter
    )  # fmt: skip
    return SEGMENT if type(converter) in segments else ANYTHING


def view_of(path: str) -> str | None:
    """The name of the view that ``path``, decoded, leads to, with its namespaces, or where it has
    none the view's own; ``None`` where Django knows no such path."""
    from django.urls import Resolver404, resolve

    try:
        name: str = resolve(path).view_name
    except Resolver404:
        return None
    return name
