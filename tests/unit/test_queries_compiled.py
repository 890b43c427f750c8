"""Compiled reads: awaited, gathered and run by ``sync()``, in each tier, on both databases."""

import datetime
import decimal
import uuid

import pytest

from pybolt import BoltAPI, Param, gather
from pybolt.queries.bind import forced
from pybolt.testing import Client
from tests.reads.models import Author, Everything
from tests.reads.rows import EAST

#: Fields, and the types of their values.
KINDS = {
    "big": int,
    "flag": bool,
    "text": str,
    "number": float,
    "decimal": decimal.Decimal,
    "date": datetime.date,
    "moment": datetime.datetime,
    "time": datetime.time,
    "duration": datetime.timedelta,
    "ident": uuid.UUID,
}


@pytest.fixture(params=[1, 2, 3])
def tier(request):
    with forced(request.param):
        yield request.param


def everything(alias):
    return Everything.objects.using(alias).order_by("pk")


def test_awaited_gathered_and_sync(alias, tier):
    api = BoltAPI(auth="public")
    names = Author.objects.using(alias).order_by("pk").values("pk", "name")
    find = api.compile(names.filter(pk=Param("pk", int)), one=True)
    flat = api.compile(names.values_list("name", flat=True)[:2])

    @api.get("/one")
    async def one(request):
        found = await find(pk=1)
        return {"type": type(found).__name__, "found": found}

    @api.get("/none")
    async def none(request):
        return {"found": await find(pk=999)}

    @api.get("/both")
    async def both(request):
        first, second, listed = await gather(find(pk=1), find(pk=2), flat())
        return {"pks": [first["pk"], second["pk"]], "names": listed}

    @api.get("/sync")
    def sync(request):
        return {"found": find(pk=2).sync(), "names": flat().sync()}

    expected = list(names[:2])
    with Client(api) as client:
        assert client.get("/one").json() == {"type": "dict", "found": expected[0]}
        assert client.get("/none").json() == {"found": None}
        both = {"pks": [1, 2], "names": [row["name"] for row in expected]}
        # As often as it takes for the route to be found quick, and to run on the I/O thread.
        for _ in range(100):
            assert client.get("/both").json() == both
            assert client.get("/sync").json() == {"found": expected[1], "names": both["names"]}


def test_values_are_python_s_own(alias, tier):
    api = BoltAPI(auth="public")
    names = [
        field.attname
        for field in Everything._meta.concrete_fields
        if field.get_internal_type() != "BinaryField"
    ]
    compiled = api.compile(everything(alias).values_list(*names)[:1000])
    seen = []

    @api.get("/")
    async def read(request):
        seen.append(await compiled())
        return {}

    with Client(api) as client:
        assert client.get("/").status == 200
    expected = list(everything(alias).values_list(*names))
    (found,) = seen
    assert len(found) == len(expected) > 1
    for row, wanted in zip(found, expected, strict=True):
        for name, value, want in zip(names, row, wanted, strict=True):
            assert type(value) is type(want), name
            # NaN is not itself.
            assert value == want or repr(value) == repr(want), name


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "is missing"),
        ({"pk": "1"}, "is a int"),
        ({"pk": True}, "is a int"),
        ({"pk": 1, "more": 2}, "no parameter 'more'"),
        ({"pk": None}, "is missing"),
    ],
)
def test_values_that_do_not_fit(alias, values, said):
    api = BoltAPI(auth="public")
    names = Author.objects.using(alias).values("name")
    find = api.compile(names.filter(pk=Param("pk", int)), one=True)
    with Client(api), pytest.raises(TypeError, match=said):
        find(**values)


def test_parameters_of_every_type(alias, tier):
    api = BoltAPI(auth="public")
    rows = everything(alias)
    wanted = {}
    for name, kind in KINDS.items():
        values = rows.exclude(**{name: None}).values_list(name, flat=True)
        value = next(value for value in values if value == value)
        found = api.compile(
            rows.filter(**{name: Param("v", kind)}).values_list("pk", flat=True)[:50]
        )
        wanted[name] = found, value, list(rows.filter(**{name: value}).values_list("pk", flat=True))

    @api.get("/")
    async def read(request):
        return {name: await find(v=value) for name, (find, value, _) in wanted.items()}

    with Client(api) as client:
        assert client.get("/").json() == {name: pks for name, (_, _, pks) in wanted.items()}
    assert all(pks for _, _, pks in wanted.values())


def test_a_moment_of_a_far_offset(alias, tier):
    far = datetime.timezone(datetime.timedelta(hours=-20))
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 4000, tzinfo=EAST).astimezone(far)
    api = BoltAPI(auth="public")
    what = everything(alias).filter(moment=Param("v", datetime.datetime)).values_list("slug")
    find = api.compile(what[:5])

    @api.get("/")
    async def read(request):
        return await find(v=moment)

    with Client(api) as client:
        assert client.get("/").json() == [["a-b_c"]]


def test_a_read_of_another_api_is_told_of():
    api = BoltAPI(auth="public")
    find = api.compile(Author.objects.values("name")[:1])
    with pytest.raises(RuntimeError, match="serves its api"):
        find()
