"""Nonces of the content security policy, as handlers and Django's templates meet them."""

import re

from django.template import engines
from django.template.response import TemplateResponse
from django.test import override_settings

from pybolt import BoltAPI, SecurityHeaders, Stream
from pybolt.testing import Client

POLICY = SecurityHeaders(
    csp="script-src 'nonce'; base-uri 'self'",
    permissions_policy={"camera": "off", "geolocation": ["self"]},
    cross_origin_opener_policy="same-origin",
)
PAGE = "<script nonce='{{ request.csp_nonce }}'></script><style nonce='{{ csp_nonce }}'></style>"


TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]


def nonces(text: str) -> set[str]:
    return set(re.findall(r"nonce[-=]'?([\w-]{22})'", text))


def declared() -> BoltAPI:
    api = BoltAPI(security_headers=POLICY)

    @api.get("/sync")
    def sync(request):
        return {"nonce": request.csp_nonce, "again": request["csp_nonce"]}

    @api.get("/async")
    async def later(request):
        return {"nonce": request.csp_nonce, "again": request.csp_nonce}

    @api.get("/silent")
    def silent(request):
        return {}

    @api.get("/failed")
    def failed(request):
        raise RuntimeError(request.csp_nonce)

    @api.get("/stream")
    def stream(request):
        def chunks():
            yield "<p>"
            yield f"<script nonce='{request.csp_nonce}'></script>"

        return Stream(chunks(), content_type="text/html")

    @api.get("/page")
    def page(request):
        template = engines["django"].from_string(PAGE)
        # What Django 6's `csp` context processor does.
        return TemplateResponse(request, template, {"csp_nonce": request._csp_nonce})

    return api


def test_the_field_names_the_nonce_that_the_handler_got_and_no_other_request_has_it():
    seen = set()
    with Client(declared()) as client:
        for path in ["/sync", "/async"] * 5:
            response = client.get(path)
            told = response.json()
            assert told["nonce"] == told["again"]
            field = response.headers["content-security-policy"]
            assert field == f"script-src 'nonce-{told['nonce']}'; base-uri 'self'"
            seen.add(told["nonce"])
    assert len(seen) == 10


def test_who_does_not_ask_gets_a_policy_without_one():
    with Client(declared()) as client:
        for path, status in [("/silent", 200), ("/nowhere", 404)]:
            response = client.get(path)
            assert response.status == status
            field = response.headers["content-security-policy"]
            assert field == "script-src 'none'; base-uri 'self'"
            assert response.headers["permissions-policy"] == "camera=(), geolocation=(self)"
            assert response.headers["cross-origin-opener-policy"] == "same-origin"


def test_a_stream_may_ask_after_its_fields_were_sent():
    with Client(declared()) as client:
        response = client.get("/stream")
    inside = nonces(response.text)
    assert len(inside) == 1
    assert nonces(response.headers["content-security-policy"]) == inside


@override_settings(TEMPLATES=TEMPLATES)
def test_templates_have_the_nonce_too():
    with Client(declared()) as client:
        response = client.get("/page")
    inside = nonces(response.text)
    assert len(inside) == 1, response.text
    assert nonces(response.headers["content-security-policy"]) == inside


def test_a_failure_tells_nobody_the_nonce():
    with Client(declared()) as client:
        response = client.get("/failed")
    assert response.status == 500
    assert not nonces(response.text)
