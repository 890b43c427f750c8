"""What our vectors say of paths and routes is what Django's own resolver does."""

from pathlib import Path
from types import ModuleType

import pytest
import yaml
from django.core.handlers.wsgi import WSGIHandler, get_path_info
from django.urls import Resolver404, path, re_path, resolve

TABLE = yaml.load(
    (Path(__file__).parent.parent / "vectors" / "routing.yaml").read_text(), yaml.CSafeLoader
)

urls = ModuleType("urls_of_the_vectors")
urls.urlpatterns = [  # type: ignore[attr-defined]
    path("", lambda request: None, name="root"),
    path("items", lambda request: None),
    path("items/", lambda request: None),
    path("items/new", lambda request: None),
    path("items/<str:id>", lambda request: None),
    path("items/<str:id>/parts/<str:part>", lambda request: None),
    re_path(r"^files/(?P<path>.*)$", lambda request: None),
    path("admin/secret", lambda request: None),
    path("own", lambda request: None),
    re_path(r"^v(?P<version>[^/]+)/x$", lambda request: None),
]


def path_info(url: str) -> str:
    """What Django sees of a request target, by WSGI's own rules."""
    from urllib.parse import unquote_to_bytes

    raw = unquote_to_bytes(url.partition("?")[0]).decode("latin-1")
    return get_path_info({"PATH_INFO": raw})


GETS = [row for row in TABLE["rows"] if row["request"].get("method", "GET") == "GET"]


@pytest.mark.parametrize("row", GETS, ids=lambda row: row["name"])
def test_django_agrees(row):
    assert WSGIHandler is not None
    status, found = row["expect"]["status"], path_info(row["request"]["url"])
    if status == 400:
        # Refused before anybody can read it in two ways: Django is never asked.
        return
    try:
        match = resolve(found, urls)
    except Resolver404:
        assert status == 404
    else:
        assert status == 200
        assert match.kwargs == row["expect"]["params"]
