"""The tiers that run in Python answer as ``JsonResponse`` does, byte for byte."""

import pytest
from django.http import JsonResponse

from pybolt import BoltAPI
from pybolt.queries.bind import bind_read, forced
from pybolt.testing import Client
from tests.reads.entry import Declared, Real
from tests.reads.table import TABLE, entries


def vendor_of(alias):
    return int(alias == "reads_pg")


def path_of(name):
    return "/" + name.replace(" ", "-").replace(",", "").replace("'", "")


@pytest.fixture(scope="module", params=[1, 2, 3])
def client(request, alias):
    api = BoltAPI(auth="public")
    for name in entries(alias):
        api.query(path_of(name), TABLE[name].make(Declared()).using(alias))
    with forced(request.param):
        client = Client(api)
    with client:
        yield client


@pytest.mark.parametrize("name", TABLE)
def test_the_answer_is_django_s(name, client, alias):
    entry = TABLE[name]
    if name not in entries(alias):
        pytest.skip("PostgreSQL's own")
    expected = JsonResponse(list(entry.make(Real()).using(alias)), safe=False)
    answer = client.get(path_of(name) + entry.url)
    assert (answer.status, answer.body) == (200, expected.content)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", TABLE)
def test_the_tier_has_a_reason(name, alias):
    entry, vendor = TABLE[name], vendor_of(alias)
    if name not in entries(alias):
        pytest.skip("PostgreSQL's own")
    read = bind_read(entry.make(Declared()).using(alias), name, [])
    assert (read.tier, (read.reason or "")) == (
        entry.tiers[vendor],
        read.reason if read.reason and entry.reasons[vendor] in read.reason else "",
    )
