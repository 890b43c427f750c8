"""What stands in no group: files, a redirect, the rest of the Django site."""

import gzip

import brotli

from tests.live.example_file.site import covers


@covers('path: "/static/{*path}"')
def test_static_files(site):
    for encoding, decode in (("br", brotli.decompress), ("gzip", gzip.decompress)):
        answer = site.ask("GET", "/static/site.css", Accept_Encoding=encoding)
        assert answer["content-encoding"] == encoding
        ending = {"br": "br", "gzip": "gz"}[encoding]
        sent = (site.directory / "staticfiles" / f"site.css.{ending}").read_bytes()
        assert answer.body == sent
        assert decode(answer.body).startswith(b"body { color: black }")
    answer = site.ask("GET", "/static/site.css")
    assert (answer.status, answer["content-type"]) == (200, "text/css; charset=utf-8")
    assert site.ask("GET", "/static/none.css").code == "not_found"


@covers("path: /old/")
def test_the_redirect(site):
    answer = site.ask("GET", "/old/?a=b")
    assert (answer.status, answer["location"]) == (308, "/new/")
    assert site.ask("GET", "/new/").body == b"about "


@covers('path: "/{*rest}", auth: django}')
def test_the_rest_is_the_django_site(site):
    answer = site.ask("GET", "/about/")
    assert (answer.status, answer.body) == (200, b"about ")
    answer = site.ask("GET", "/nowhere/")
    assert (answer.status, answer["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"The requested resource was not found" in answer.body
