"""What every route inherits."""

import json
import re
import zlib

import brotli
import zstandard

from tests.live.example_file.site import ORIGIN, STRANGER, bolt_of, covers


@covers("auth: deny")
def test_what_nobody_decided_is_denied(site):
    assert site.ask("GET", "/undecided").code == "forbidden"
    assert site.ask("GET", "/undecided", **site.bearer()).code == "forbidden"


@covers("request_id:")
def test_request_ids_are_a_trusted_proxys_or_ours(site):
    assert site.ask("GET", "/healthz", X_Request_Id="from-the-proxy")["x-request-id"] == (
        "from-the-proxy"
    )
    found = site.ask("GET", "/healthz", source=STRANGER, X_Request_Id="from-a-stranger")
    assert re.fullmatch("[0-9a-f]{32}", found["x-request-id"])


@covers("access_log: {format: json")
def test_the_log_is_json_and_has_no_secrets(site):
    client = site.client()
    token = site.bearer(sub="logged")
    sent = token | {"Cookie": "sessionid=cookie-secret"}
    site.ask("GET", "/api/me/?secret=query", client=client, **sent)
    assert site.server.logs(f'"client":"{client}"')
    [line] = [line for line in site.server.log().splitlines() if f'"client":"{client}"' in line]
    told = json.loads(line)
    assert (told["method"], told["path"], told["status"]) == ("GET", "/api/me/", 200)
    assert (told["principal"], len(told["request_id"])) == ("logged", 32)
    for secret in ("cookie-secret", token["Authorization"][7:], "secret=query"):
        assert secret not in site.server.log()
    client = site.client()
    for path in ("/healthz", "/old/"):
        site.ask("GET", path, client=client)
    assert site.server.logs(f'"client":"{client}","method":"GET","path":"/old/"')
    assert f'"client":"{client}","method":"GET","path":"/healthz"' not in site.server.log()


@covers("security_headers:")
def test_every_answer_makes_browsers_careful(site):
    for path in ("/about/", "/healthz", "/old/", "/static/site.css", "/api/me/", "/undecided"):
        answer = site.ask("GET", path, X_Forwarded_Proto="https")
        assert answer["strict-transport-security"] == "max-age=31536000", path
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["x-frame-options"] == "DENY"
        assert answer["referrer-policy"] == "same-origin"
    assert site.ask("GET", "/about/")["strict-transport-security"] is None
    stranger = site.ask("GET", "/about/", source=STRANGER, X_Forwarded_Proto="https")
    assert stranger["strict-transport-security"] is None


DECODERS = {
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "br": brotli.decompress,
    "gzip": lambda data: zlib.decompress(data, wbits=31),
}


@covers("compress: {encodings:")
def test_long_answers_are_compressed(site):
    for encoding, decode in DECODERS.items():
        answer = site.ask("GET", "/about/?words=400", Accept_Encoding=encoding)
        assert answer["content-encoding"] == encoding
        assert decode(answer.body) == b"about " * 400
    answer = site.ask("GET", "/about/?words=400", Accept_Encoding="gzip, br, zstd")
    assert answer["content-encoding"] == "zstd"
    answer = site.ask("GET", "/about/?words=150", Accept_Encoding="gzip, br, zstd")
    assert (answer["content-encoding"], answer.body) == (None, b"about " * 150)


@covers("body_limit: 2MiB")
def test_bodies_have_two_mebibytes(site):
    assert site.ask("POST", "/upload/", b"x" * (2 << 20)).body == b"2097152"
    assert site.ask("POST", "/upload/", b"x" * ((2 << 20) + 1)).code == "body_too_large"


REPORT = "http://example.com/api/reports/7/"


@covers("defaults:", "define:", "server:")
def test_what_explain_tells(prepared):
    told = bolt_of(prepared, "explain", "GET", REPORT, "-H", f"Origin: {ORIGIN}")
    route, *lines = told.splitlines()
    assert route.startswith("route   api › GET /api/reports/{id}/")
    assert route.endswith("id=7   django: reports:detail")
    stages = [line.split()[1] for line in lines if re.match(r" ?\d", line)]
    assert [stage for stage in stages if stage not in ("compress", "timeout", "body_limit")] == [
        "request_id",
        "access_log",
        "security_headers",
        "cors",
        "rate_limit",
        "auth",
        "allow",
        "rate_limit",
        "python",
    ]
    assert "← stops here: 401" in told
    assert f"access-control-allow-origin: {ORIGIN}" in told
    assert "fine: 11 routes, 4 public" in bolt_of(prepared, "check")
