"""Several methods, optional auth and key sets, as Python declares them."""

import base64
import hashlib
import json

import pytest

from pybolt import AnyAuth, APIKeyAuth, BasicAuth, BoltAPI, ConfigError, JWTAuth
from pybolt.testing import Client

#: The digest of ``acme-key``.
KEYS = "acme:sha256:afacab3575137afa4e00d9cbcafcb14c9ae25f779d964eb0ea5b2c4eb5dfd163:partner"
SECRET = "a-secret-for-the-tests-only-0123456789"
TOKENS = JWTAuth(secret=SECRET, algorithms=["HS256"], issuer="https://id.example.com/")
PARTNERS = APIKeyAuth(keys=KEYS)


def who(request):
    principal = request.principal
    return {
        "id": principal and principal.id,
        "method": principal and principal.method,
        "key": request.headers.get("x-api-key"),
        "authorization": request.headers.get("authorization"),
    }


def client(**slots):
    api = BoltAPI()
    api.get("/", **slots)(who)
    return Client(api)


@pytest.mark.parametrize(
    "auth", [[TOKENS, PARTNERS], (TOKENS, PARTNERS), AnyAuth(any=[TOKENS, PARTNERS])]
)
def test_a_list_of_methods(auth):
    with client(auth=auth) as asked:
        refused = asked.get("/")
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer, ApiKey"
        known = asked.get("/", headers={"x-api-key": "acme-key"})
        assert known.json() == {
            "id": "acme",
            "method": "api_key",
            "key": None,
            "authorization": None,
        }


def test_optional_auth_gives_handlers_nobody_or_somebody():
    with client(auth=AnyAuth(any=[TOKENS, PARTNERS], optional=True)) as asked:
        assert asked.get("/").json() == {
            "id": None,
            "method": None,
            "key": None,
            "authorization": None,
        }
        assert asked.get("/", headers={"x-api-key": "acme-key"}).json()["id"] == "acme"
        assert asked.get("/", headers={"x-api-key": "acme-kez"}).status == 401
    with client(auth=APIKeyAuth(keys=KEYS, optional=True)) as asked:
        assert asked.get("/").json()["id"] is None


def test_repr_is_source_and_keeps_secrets():
    shown = repr(AnyAuth(any=["jwt", PARTNERS], optional=True))
    assert shown == "AnyAuth(any=['jwt', APIKeyAuth(keys='***')], optional=True)"


def test_a_set_of_keys_is_read_from_its_file(tmp_path):
    # RFC 8037, appendix A: the key, and the signature over a payload that is no claims.
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    other = "JTnsBKhvKKULjGOWHUfVbuJ8lDJBh5ecnlGyiUHhVbM"
    keys = [
        {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "one"},
        {"kty": "OKP", "crv": "Ed25519", "x": other, "kid": "two"},
        {"kty": "OKP", "crv": "X25519", "x": x, "kid": "three", "use": "enc"},
    ]
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": keys}))
    auth = JWTAuth(jwks={"file": str(path)}, algorithms=["EdDSA"])
    with client(auth=auth) as asked:
        assert asked.get("/").status == 401
    path.write_text(json.dumps({"keys": [keys[0], keys[0]]}))
    with pytest.raises(ConfigError, match="same `kid`"):
        client(auth=auth)


#: ``ann`` has ``open sesame`` under bcrypt.
ANN = "ann:$2y$04$IFLjLO0mwYLPXVE/Dc2kyeEwOX/Snzkr9x2tu0ZtPW5m3G56pW/Dy:staff"
CRON = "cron:{SHA256}" + hashlib.sha256(b"long-and-random").hexdigest()


def basic(name, password):
    pair = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


@pytest.mark.parametrize(
    "auth", [BasicAuth(users=[ANN, CRON]), BasicAuth(htpasswd=f"{ANN}\n{CRON}\n")]
)
def test_handlers_see_the_name_and_not_the_password(auth):
    with client(auth=auth) as asked:
        for _ in range(2):
            known = asked.get("/", headers=basic("ann", "open sesame"))
            assert known.json()["id"] == "ann"
            assert known.json()["method"] == "basic"
            assert known.json()["authorization"] is None
        assert asked.get("/", headers=basic("cron", "long-and-random")).json()["id"] == "cron"
        refused = asked.get("/", headers=basic("ann", "wrong"))
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == 'Basic realm="Restricted", charset="UTF-8"'


def test_repr_hides_users():
    assert repr(BasicAuth(users=[ANN], realm="r")) == "BasicAuth(users='***', realm='r')"
