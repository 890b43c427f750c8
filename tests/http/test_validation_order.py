"""Validation never runs before authorization: bad values of every kind, with and without the right
to send them."""

import base64
import hashlib
import hmac
import json
import time
from typing import Annotated

import msgspec
import pytest

from pybolt import BoltAPI, Cookie, Form, Header, JWTAuth, Query
from pybolt.testing import Client

SECRET = "order-tests-only-" + "x" * 40
api = BoltAPI(auth=JWTAuth(secret=SECRET, algorithms=["HS256"]), allow='scope("write")')
validated: list[str] = []


class Item(msgspec.Struct):
    n: int

    def __post_init__(self):
        validated.append("struct")


@api.get("/path/{n}")
def path(request, n: int): ...


@api.get("/query")
def query(request, n: int): ...


@api.get("/struct")
def struct(request, item: Annotated[Item, Query()]): ...


@api.get("/header")
def header(request, n: Annotated[int, Header("x-n")]): ...


@api.get("/cookie")
def cookie(request, n: Annotated[int, Cookie()]): ...


@api.post("/body")
def body(request, item: Item): ...


@api.post("/body-async")
async def body_async(request, item: Item): ...


@api.post("/form")
def form(request, item: Annotated[Item, Form()]): ...


def encoded(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(scope):
    text = f"{encoded({'alg': 'HS256'})}.{encoded({'exp': time.time() // 1 + 600, 'scope': scope})}"
    signature = hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256)
    return {"authorization": f"Bearer {text}.{encoded(signature)}"}


@pytest.fixture(scope="module")
def client():
    with Client(api) as client:
        yield client


BAD = [
    ("GET", "/path/x", {}),
    ("GET", "/query?n=x", {}),
    ("GET", "/query", {}),
    ("GET", "/struct?n=x", {}),
    ("GET", "/header", {"x-n": "x"}),
    ("GET", "/cookie", {"cookie": "n=x"}),
    ("POST", "/body", {"json": {"n": "x"}}),
    ("POST", "/body-async", {"json": {"n": "x"}}),
    ("POST", "/form", {"data": {"n": "x"}}),
]


@pytest.mark.parametrize(("method", "url", "sent"), BAD, ids=lambda value: str(value))
def test_a_bad_value_is_told_only_to_those_who_may_send_it(client, caplog, method, url, sent):
    sent = dict(sent)
    content = {key: sent.pop(key) for key in ("json", "data") if key in sent}

    def status(credentials):
        return client.request(method, url, headers={**sent, **credentials}, **content).status

    assert status({}) == 401
    assert status({"authorization": "Bearer x"}) == 401
    assert status(token("read")) == 403
    assert status(token("write")) == 422
    assert not caplog.records


@pytest.mark.parametrize("url", ["/body", "/body-async"])
def test_an_apps_own_check_does_not_run_before(client, url):
    validated.clear()
    for credentials, expected in (({}, 401), (token("read"), 403), (token("write"), 204)):
        response = client.post(url, json={"n": 1}, headers=credentials)
        assert response.status == expected
        assert validated == (["struct"] if expected == 204 else [])
