"""Routes that are left to a Django project which has no URL for them."""

import json

import pytest

from pybolt.cli.unanswered import Forms, meet
from pybolt.django.urls import ANYTHING, SEGMENT
from tests.unit.command import bolt

URLS = """\
from django.http import HttpResponse
from django.urls import include, path, re_path


def view(request, **params):
    return HttpResponse()


reports = [path("", view), path("<int:pk>/", view), path("<int:pk>/<uuid:part>/", view)]
urlpatterns = [
    path("reports/", include((reports, "reports"))),
    path("about/", view),
    path("shop/<path:rest>", view),
    re_path(r"^archive/(?P<year>[0-9]{4})/$", view),
    re_path(r"^old(er)?/x", view),
]
"""
HEAD = """\
settings: site_settings
routes:
  - {path: "/items/{id}", handler: "handlers:item"}
"""
HANDLERS = "def item(request, id: int):\n    return id\n"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site_urls.py").write_text(URLS)
    (tmp_path / "site_settings.py").write_text(
        'SECRET_KEY = "x" * 50\nROOT_URLCONF = "site_urls"\n'
    )
    (tmp_path / "handlers.py").write_text(HANDLERS)
    return tmp_path


def warned(site, *routes):
    lines = "".join(f'  - {{path: "{path}", timeout: 5s}}\n' for path in routes)
    (site / "bolt.yaml").write_text(HEAD + lines)
    done = bolt(site, "check", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert {item["code"] for item in found} <= {"W057"}
    return [(item["position"]["line"], item["hint"], item["message"]) for item in found]


def test_a_path_that_was_meant_for_another_has_its_place_and_the_other(site):
    found = warned(site, "/item/{id}", "/reportz/{pk}/", "/about", "/nothing/like/it")
    assert [(line, hint) for line, hint, _ in found] == [
        (4, "did you mean `/items/{id}`?"),
        (5, "did you mean `/reports/{pk}/`?"),
        (6, "did you mean `/about/`?"),
        (7, "name a `handler`, or a path of the project"),
    ]
    told = "no URL of the Django project, which this is left to, is `/item/{id}`"
    assert found[0][2] == told


@pytest.mark.parametrize(
    "path",
    [
        "/about/",
        "/reports/",
        "/reports/7/",
        "/reports/{id}/",
        "/{kind}/{id}/",
        # What no sample of a route's own is like.
        "/reports/{id}/{part}/",
        "/reports/7/{part}/",
        "/shop/a/{b}/c",
        "/archive/2026/",
        "/archive/{year}/",
        "/old/x/and/more",
        "/older/x",
        # Whatever is there may be.
        "/nowhere/{*rest}",
    ],
)
def test_what_some_url_may_answer_is_fine(site, path):
    assert warned(site, path) == []


def test_what_a_project_makes_of_converters_and_patterns_of_its_own_is_not_judged(site):
    (site / "site_urls.py").write_text(
        """\
from django.urls import include, path, register_converter
from site_views import view


class Words:
    regex = "[a-z/]+"
    to_python = to_url = str


class Row:
    regex = "[a-z0-9]+"

    def to_python(self, value):
        raise RuntimeError("there is no database")

    to_url = str


register_converter(Words, "words")
register_converter(Row, "row")
urlpatterns = [
    path("docs/<words:p>/", view),
    path("rows/<row:row>/", include([path("in/", view)])),
    path("100%/", view),
]
"""
    )
    (site / "site_views.py").write_text("def view(request, **params): ...\n")
    assert warned(site, "/docs/{a}/{b}/", "/rows/{a}/out/") == []
    assert [line for line, _, _ in warned(site, "/dosc/{a}/{b}/")] == [4]


def test_what_is_rewritten_is_fine(site):
    (site / "bolt.yaml").write_text(
        HEAD + "  - {path: /app/about/, rewrite: {strip_prefix: /app}}\n"
        "  - {path: /app/abou/, timeout: 5s}\n"
    )
    found = json.loads(bolt(site, "check", "--format", "json").stdout)
    assert [item["position"]["line"] for item in found] == [5]


def test_it_is_an_error_where_strict_says_so(site):
    (site / "bolt.yaml").write_text(HEAD + "  - {path: /abuot/, timeout: 5s}\n")
    done = bolt(site, "check", "--strict")
    assert done.returncode == 1
    assert "bolt.yaml:4:12 warning[W057]" in done.stdout
    assert "did you mean `/about/`?" in done.stdout


def test_a_declaration_in_python_is_one_of_them(site):
    (site / "app.py").write_text(
        "from pybolt import BoltAPI\napi = BoltAPI()\n"
        'api.django("/abuot/")\napi.django("/about/")\n'
    )
    done = bolt(site, "check", "app.py", DJANGO_SETTINGS_MODULE="site_settings")
    assert "app.py:3:1 warning[W057]" in done.stdout
    assert "1 warning" in done.stdout


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a/", "/a", False),
        (f"/{SEGMENT}", "/abc", True),
        (f"/{SEGMENT}", "/a/c", False),
        (f"/{SEGMENT}/c", "/a/c", True),
        (f"/{ANYTHING}", "/a/c", True),
        (f"/{ANYTHING}/c", f"/a/{SEGMENT}", True),
        (f"/{ANYTHING}/c", f"/a/{SEGMENT}/d", False),
        (f"/{SEGMENT}/b", f"/a/{SEGMENT}", True),
        (f"/x{SEGMENT}", f"/{SEGMENT}y", True),
        (f"/x{SEGMENT}", f"/y{SEGMENT}", False),
        (f"/x{SEGMENT}z", f"/x{ANYTHING}a", False),
    ],
)
def test_forms_that_a_path_may_both_be_of(one, other, together):
    assert meet(one, other) is meet(other, one) is together
    assert Forms([other]).meet(one) is together
