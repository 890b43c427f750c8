"""The rows of the test's databases."""

import datetime
import decimal
import uuid

from django.db import connections

from .models import MODELS, Author, Book, Everything, Odd, Tag

DEFAULTS = {
    "ATOMIC_REQUESTS": False,
    "AUTOCOMMIT": True,
    "CONN_MAX_AGE": 0,
    "CONN_HEALTH_CHECKS": False,
    "OPTIONS": {},
    "TIME_ZONE": None,
    "NAME": "",
    "USER": "",
    "PASSWORD": "",
    "HOST": "",
    "PORT": "",
    "TEST": {"CHARSET": None, "COLLATION": None, "MIGRATE": True, "MIRROR": None, "NAME": None},
}
UTC = datetime.UTC
EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))


def connect(alias, **settings):
    """Makes the database ``alias`` known to Django."""
    connections.settings[alias] = DEFAULTS | settings


def disconnect(alias):
    connections[alias].close()
    delattr(connections._connections, alias)
    del connections.settings[alias]


def fill(alias):
    """Makes the tables, and their rows."""
    with connections[alias].schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    ann, bob, eve = (
        Author.objects.using(alias).create(name=name, active=name != "Eve")
        for name in ("Ann", "Bob", "Eve")
    )
    tags = [Tag.objects.using(alias).create(name=name) for name in ("new", "old", "100%")]
    for number, (title, author) in enumerate(
        [
            ("Tea", ann),
            ("100% \\ sure", ann),
            ("under_score", bob),
            ("Ünïcode 🎉 <>&'\"", None),
            ("tea time", bob),
            ("", None),
            ("Zebra\n\t\u2028\x7f", ann),
        ]
    ):
        book = Book.objects.using(alias).create(
            title=title,
            pages=None if number == 3 else number * 100,
            stock=number,
            price=decimal.Decimal(number) / 4,
            weight=None if number == 2 else number / 3,
            sold=number % 2 == 0,
            day=None if number == 1 else datetime.date(2020, 1, 1 + number),
            moment=None
            if number == 5
            else datetime.datetime(2020, 1, 31, 23, number, 5, number * 1001, tzinfo=UTC),
            ident=uuid.UUID(int=number + 1),
            author=author,
            editor=eve,
        )
        book.tags.set(tags[: number % 4])
    Everything.objects.using(alias).create()
    Everything.objects.using(alias).bulk_create(map(_everything, (1, -1, 0)))
    Odd.objects.using(alias).create(upper="abc", trimmed="abc", named="abc", raw=b"\0")


def _everything(sign):
    return Everything(
        big=sign * (2**63 - 1),
        small=sign * 32767,
        natural=2147483647 if sign > 0 else 0,
        natural_big=2**63 - 1 if sign > 0 else 0,
        flag=sign > 0,
        char=["", "ä\\\"'/\x01", "😀\ud7ff"][sign],
        text=["", "line\r\n", "</script>"][sign],
        slug="a-b_c",
        url="https://example.com/?a=1&b=%20",
        email="a@example.com",
        file="a/b.txt",
        path="/a/b",
        number=[0.0, 1e300, -1.5e-9][sign],
        decimal=decimal.Decimal(["0", "123456789012.00000001", "-0.00000001"][sign]),
        date=[datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(1969, 2, 28)][
            sign
        ],
        moment=[
            datetime.datetime(1970, 1, 1, tzinfo=UTC),
            datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime.datetime(2024, 2, 29, 1, 2, 3, 4000, tzinfo=EAST),
        ][sign],
        time=[datetime.time(), datetime.time(23, 59, 59, 999999), datetime.time(1, 2, 3)][sign],
        duration=[
            datetime.timedelta(),
            datetime.timedelta(days=400, seconds=3661, microseconds=7),
            -datetime.timedelta(days=1, microseconds=1),
        ][sign],
        ident=uuid.UUID(int=sign % 2**128),
        json=[None, {"b": [1, 2.5, None, True], "a": "ä"}, "text"][sign],
        address=["127.0.0.1", "::1", "2001:db8::1"][sign],
    )
