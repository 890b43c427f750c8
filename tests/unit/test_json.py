"""Encoding, beside Django's own encoder."""

import datetime
import decimal
import enum
import json
import uuid
from collections import UserDict
from typing import NamedTuple

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext_lazy

from pybolt.encoding import UnencodableResult, encode

UTC = datetime.UTC
PLUS = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


class Point(NamedTuple):
    x: int
    y: int


class Text(str):
    pass


VALUES = [
    None,
    True,
    0,
    -1,
    2**63,
    -(2**70),
    1.5,
    'a\u2028"\\é',
    "",
    [],
    {},
    [[1], {"a": []}],
    datetime.datetime(2026, 1, 31, 12, 0),
    datetime.datetime(2026, 1, 31, 12, 0, 0, 1),
    datetime.datetime(2026, 1, 31, 12, 0, 0, 999999),
    datetime.datetime(2026, 1, 31, tzinfo=UTC),
    datetime.datetime(2026, 1, 31, 1, 2, 3, 123456, tzinfo=UTC),
    datetime.datetime(2026, 1, 31, 1, 2, 3, 123456, tzinfo=PLUS),
    datetime.datetime(1, 1, 1, tzinfo=PLUS),
    datetime.date(2026, 1, 31),
    datetime.time(12, 30),
    datetime.time(12, 30, 1, 123456),
    datetime.timedelta(days=1, seconds=2, microseconds=3),
    datetime.timedelta(seconds=-5),
    decimal.Decimal("1.50"),
    decimal.Decimal("1E+3"),
    decimal.Decimal("-0"),
    uuid.UUID(int=2**127),
    gettext_lazy("yes"),
    Point(1, 2),
    Text("t"),
    {"nested": {"moment": datetime.datetime(2026, 1, 31, tzinfo=UTC), "d": [decimal.Decimal(1)]}},
    {2: "a", True: "b", None: "c"},
    [2**70, datetime.date(2026, 1, 31)],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_as_django_encodes_it(value):
    expected = json.dumps(value, cls=DjangoJSONEncoder, separators=(",", ":"), ensure_ascii=False)
    assert encode(value).decode() == expected


def test_an_aware_time_has_no_json_form_for_either():
    with pytest.raises((TypeError, ValueError)):
        encode([datetime.time(1, tzinfo=UTC)])


def test_enums_and_sets():
    class Colour(enum.Enum):
        RED = "red"

    assert encode([Colour.RED, {1}]) == b'["red",[1]]'


def test_what_has_no_json_form_is_named():
    with pytest.raises(UnencodableResult, match="complex"):
        encode({"a": [1j]})


def test_what_a_hook_raises_is_raised_once_and_as_it_is():
    asked = []

    class Hostile(UserDict):
        def __iter__(self):
            asked.append(1)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        encode([Hostile(a=1)])
    assert asked == [1]
