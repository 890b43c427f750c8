"""Maintenance, address rules, CSRF and header fields, declared in Python."""

from pybolt import (
    CSRF,
    APIKeyAuth,
    BoltAPI,
    IPRules,
    Maintenance,
    RequestHeaders,
    ResponseHeaders,
)
from pybolt.testing import Client

# The digest of "acme-key".
PARTNER = APIKeyAuth(
    keys="acme:sha256:afacab3575137afa4e00d9cbcafcb14c9ae25f779d964eb0ea5b2c4eb5dfd163"
)
OFFICE = ("192.0.2.1", 40000)


def declared() -> BoltAPI:
    api = BoltAPI(
        auth="public",
        csrf=CSRF(trusted_origins=["https://app.example.com"]),
        response_headers=ResponseHeaders(set={"X-Env": "test"}, remove=["X-Own"]),
        request_headers=RequestHeaders(set={"X-Tenant": "acme"}, principal="X-User"),
    )

    @api.route("/seen", methods=["GET", "POST"])
    def seen(request):
        return {name: request.headers[name] for name in request.headers}

    @api.get("/partner", auth=PARTNER)
    def partner(request):
        return {"user": request.headers.get("x-user")}

    @api.get("/office", ip=IPRules(allow=["192.0.2.0/24"]))
    def office(request):
        return "in"

    @api.get("/closed", maintenance=Maintenance(retry_after="2m", allow=["192.0.2.0/24"]))
    def closed(request):
        return "in"

    @api.get("/shut", maintenance=True, csrf=False, request_headers="off")
    def shut(request):
        return "in"

    return api


def test_every_declaration_reaches_the_engine():
    with Client(declared()) as client:
        assert client.get("/office").json()["type"] == "urn:pybolt:problem:forbidden_address"
        assert client.get("/office", peer=OFFICE).text == "in"
        refused = client.get("/closed")
        assert (refused.status, refused.headers["retry-after"]) == (503, "120")
        assert client.get("/closed", peer=OFFICE).text == "in"
        assert client.get("/shut", peer=OFFICE).status == 503
        evil = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
        assert client.post("/seen", headers=evil).json()["type"] == "urn:pybolt:problem:csrf"
        trusted = evil | {"Origin": "https://app.example.com"}
        assert client.post("/seen", headers=trusted).status == 200
        assert client.get("/seen").headers["x-env"] == "test"


def test_no_client_forges_a_principal():
    with Client(declared()) as client:
        for name in ("X-User", "x_user", "X_USER"):
            assert "root" not in client.get("/seen", headers={name: "root"}).json().values()
            headers = {name: "root", "X-API-Key": "acme-key"}
            assert client.get("/partner", headers=headers).json() == {"user": "acme"}


def test_declarations_show_themselves():
    shown = repr(RequestHeaders(set={"X-A": "b"}, principal="X-User"))
    assert shown == "RequestHeaders(set={'X-A': 'b'}, principal='X-User')"
    assert IPRules(allow=("10.0.0.0/8",)).to_config() == {"allow": ["10.0.0.0/8"]}
