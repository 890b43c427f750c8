"""What is looked for."""

import datetime
import decimal
import uuid

from django import VERSION
from django.db.models import Q

from .entry import DEPENDS, ELSE, PYTHON, Entry, books
from .models import Everything

UUID = uuid.UUID(int=3)
DAY = datetime.date(2020, 1, 3)
MOMENT = datetime.datetime(2020, 1, 31, 23, 3, 5, 3003, tzinfo=datetime.UTC)

LOOKUPS: dict[str, Entry] = {
    "equal": Entry(lambda p: books().filter(pk=p("id", 2)).values("id", "title")[:9], "?id=2"),
    "none found": Entry(lambda p: books().filter(pk=p("id", 99)).values("id")[:9], "?id=99"),
    "beyond the range": Entry(
        lambda p: books().filter(pages=p("n", 2**40)).values("id")[:9], f"?n={2**40}"
    ),
    "beyond a small range": Entry(
        lambda p: books().filter(stock__gt=p("n", -5)).values("id")[:9], "?n=-5"
    ),
    "beyond the range, NULLs": Entry(
        lambda p: books().filter(pages__lt=p("n", 2**40)).values("id")[:9],
        f"?n={2**40}",
        (1, 3),
        ("", "Django finds NULLs as well"),
    ),
    "less": Entry(lambda p: books().filter(stock__lt=p("n", 3)).values("id")[:9], "?n=3"),
    "between": Entry(
        lambda p: books().filter(stock__range=(p("a", 2), p("b", 4))).values("id")[:9], "?a=2&b=4"
    ),
    "between one and a value": Entry(
        lambda p: books().filter(stock__range=(1, p("b", 4))).values("id")[:9], "?b=4"
    ),
    "in some": Entry(
        lambda p: books().filter(stock__in=[p("a", 2), p("b", 4), 5]).values("id")[:9], "?a=2&b=4"
    ),
    "in a list": Entry(
        lambda p: books().filter(pk__in=p("id", [1, 3])).values("id")[:9],
        "?id=1&id=3",
        (3, 3),
        ("is a list",) * 2,
    ),
    "contains": Entry(
        lambda p: books().filter(title__contains=p("q", "0% \\")).values("id")[:9], "?q=0%25+%5C"
    ),
    "icontains": Entry(
        lambda p: books().filter(title__icontains=p("q", "TEA")).values("id")[:9], "?q=TEA"
    ),
    "startswith": Entry(
        lambda p: books().filter(title__startswith=p("q", "under_")).values("id")[:9], "?q=under_"
    ),
    "istartswith": Entry(
        lambda p: books().filter(title__istartswith=p("q", "T")).values("id")[:9], "?q=T"
    ),
    "endswith": Entry(
        lambda p: books().filter(title__endswith=p("q", "time")).values("id")[:9], "?q=time"
    ),
    "iendswith": Entry(
        lambda p: books().filter(title__iendswith=p("q", "TIME")).values("id")[:9], "?q=TIME"
    ),
    "iexact": Entry(
        lambda p: books().filter(title__iexact=p("q", "tEA")).values("id")[:9], "?q=tEA"
    ),
    "a number in a text": Entry(
        lambda p: books().filter(title__contains=p("n", 100)).values("id")[:9], "?n=100"
    ),
    "a number as a text": Entry(
        lambda p: books().filter(title=p("n", 100)).values("id")[:9], "?n=100"
    ),
    "regex": Entry(
        lambda p: books().filter(title__regex=p("q", "^[Tt]ea$")).values("id")[:9],
        "?q=%5E%5BTt%5Dea$",
        (2, 1),
        (PYTHON, ""),
    ),
    "a bool": Entry(
        lambda p: books().filter(sold=p("sold", True)).values("id")[:9],
        "?sold=true",
        # From Django 6 on, SQLite is asked in the same words for both.
        (1 if VERSION >= (6,) else 3, 3),
        ("" if VERSION >= (6,) else DEPENDS, DEPENDS),
    ),
    "a decimal": Entry(
        lambda p: books().filter(price__lte=p("max", decimal.Decimal("0.75"))).values("id")[:9],
        "?max=0.75",
    ),
    "a whole number for a decimal": Entry(
        lambda p: books().filter(price__lte=p("max", 1)).values("id")[:9], "?max=1"
    ),
    "a float": Entry(lambda p: books().filter(weight__gte=p("w", 0.5)).values("id")[:9], "?w=0.5"),
    "a date": Entry(
        lambda p: books().filter(day__gte=p("d", DAY)).values("id")[:9], "?d=2020-01-03"
    ),
    "a moment": Entry(
        lambda p: (
            books()
            .filter(moment__gte=p("t", datetime.datetime(2020, 1, 31, 23, 3, tzinfo=datetime.UTC)))
            .values("id")[:9]
        ),
        "?t=2020-02-01T01:03:00%2B02:00",
    ),
    "a moment of a far offset": Entry(
        lambda p: books().filter(moment__gte=p("t", MOMENT)).values("id")[:9],
        "?t=2020-02-01T15:33:05.003003%2B16:30",
    ),
    "a moment of a far offset, exactly": Entry(
        lambda p: books().filter(moment=p("t", MOMENT)).values("id")[:9],
        "?t=2020-01-30T23:04:05.0030030-2359",
    ),
    "a moment's date": Entry(
        lambda p: books().filter(moment__date=p("d", datetime.date(2020, 1, 31))).values("id")[:9],
        "?d=2020-01-31",
        (2, 1),
        (PYTHON, ""),
    ),
    "a year": Entry(
        lambda p: books().filter(day__year=p("y", 2020)).values("id")[:9],
        "?y=2020",
        (3, 3),
        (ELSE,) * 2,
    ),
    "a month": Entry(
        lambda p: books().filter(day__month=p("m", 1)).values("id")[:9],
        "?m=1",
        (2, 1),
        (PYTHON, ""),
    ),
    "a uuid": Entry(lambda p: books().filter(ident=p("u", UUID)).values("id")[:9], f"?u={UUID}"),
    "a time": Entry(
        lambda p: Everything.objects.filter(time__gt=p("t", datetime.time(1))).values("id")[:9],
        "?t=01:00:00",
    ),
    "a time that says more digits than it needs": Entry(
        lambda p: Everything.objects.filter(time=p("t", datetime.time(1, 2, 3))).values("id")[:9],
        "?t=01:02:03.0000000",
    ),
    "a duration": Entry(
        lambda p: Everything.objects.filter(duration__gt=p("d", datetime.timedelta(days=1))).values(
            "id"
        )[:9],
        "?d=P1D",
    ),
    "a part of json": Entry(
        lambda p: Everything.objects.filter(json__a=p("a", "ä")).values("id")[:9],
        "?a=%C3%A4",
        (3, 3),
        ("", ""),
    ),
    "json's part": Entry(
        lambda p: Everything.objects.order_by("id").values("id", "json__b")[:9],
        tiers=(2, 1),
        reasons=("a converter of its own", ""),
    ),
    "by a relation": Entry(
        lambda p: books().filter(author__name=p("a", "Ann")).values("id")[:9], "?a=Ann"
    ),
    "by an object's key": Entry(
        lambda p: books().filter(author=p("a", 2)).values("id")[:9], "?a=2"
    ),
    "by many": Entry(lambda p: books().filter(tags__name=p("t", "old")).values("id")[:9], "?t=old"),
    "or": Entry(
        lambda p: books().filter(Q(title=p("q", "Tea")) | Q(stock=p("n", 4))).values("id")[:9],
        "?q=Tea&n=4",
    ),
    "xor": Entry(
        lambda p: books().filter(Q(title=p("q", "Tea")) ^ Q(stock__lt=p("n", 4))).values("id")[:9],
        "?q=Tea&n=4",
    ),
    "exclude": Entry(lambda p: books().exclude(pages=p("n", 400)).values("id")[:9], "?n=400"),
    "exclude by a relation": Entry(
        lambda p: books().exclude(author__name=p("a", "Ann")).values("id")[:9], "?a=Ann"
    ),
    "exclude by many": Entry(
        lambda p: books().exclude(tags__name=p("t", "old")).values("id")[:9], "?t=old"
    ),
    "the same twice": Entry(
        lambda p: (
            books()
            .filter(Q(title__icontains=p("q", "e")) | Q(author__name__icontains=p("q", "e")))
            .values("id")[:9]
        ),
        "?q=e",
    ),
}
