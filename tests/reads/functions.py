"""Functions of the database, and constants of every type."""

import datetime
import decimal

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Case, Count, DateField, F, IntegerField, Max, Q, StdDev, Value, When
from django.db.models import CharField as Char
from django.db.models.functions import (
    Abs,
    Cast,
    Ceil,
    Chr,
    Coalesce,
    Extract,
    ExtractYear,
    Floor,
    Greatest,
    Least,
    Left,
    LPad,
    Mod,
    Now,
    NullIf,
    Ord,
    Power,
    Replace,
    Right,
    StrIndex,
    Trim,
    TruncDay,
    TruncYear,
)

from .entry import PYTHON, Entry, books
from .lookups import UUID
from .models import Author, Book, Everything

try:
    from django.db.models import StringAgg
except ImportError:
    # Before Django 6 it is PostgreSQL's own.
    from django.contrib.postgres.aggregates import StringAgg

MOMENT = datetime.datetime(2020, 1, 31, 23, 2, tzinfo=datetime.UTC)
EVERY = Everything.objects.order_by("id")

FUNCTIONS: dict[str, Entry] = {
    "of texts": Entry(
        lambda p: (
            books()
            .annotate(
                a=Left("title", 2),
                b=Right("title", 2),
                c=Replace("title", Value("e"), Value("%")),
                d=StrIndex("title", Value("a")),
                e=Trim("title"),
                f=NullIf("title", Value("Tea")),
                g=Chr(Value(65)),
            )
            .values("a", "b", "c", "d", "e", "f", "g")[:9]
        )
    ),
    "of texts in Python": Entry(
        lambda p: books().annotate(a=LPad("title", 5, Value("_")), b=Ord("title")).values("a")[:9],
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "of numbers": Entry(
        lambda p: (
            books()
            .annotate(a=Abs(F("stock") - 3), b=Greatest("stock", 3), c=Least("stock", Value(3)))
            .values("a", "b", "c")[:9]
        )
    ),
    "of numbers in Python": Entry(
        lambda p: (
            books()
            .annotate(a=Ceil("weight"), b=Floor("price"), c=Power("stock", 2), d=Mod("stock", 2))
            .values("a", "b", "c", "d")[:9]
        ),
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "a deviation": Entry(
        lambda p: Book.objects.order_by("sold").values("sold").annotate(d=StdDev("stock"))[:9],
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "of days": Entry(
        lambda p: (
            books()
            .annotate(a=ExtractYear("day"), b=Extract("moment", "hour"), c=TruncYear("day"))
            .values("a", "b", "c")[:9]
        ),
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "days of a zone": Entry(
        lambda p: books().annotate(a=TruncDay("moment", tzinfo=datetime.UTC)).values("a")[:9],
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "before now": Entry(lambda p: books().filter(moment__lt=Now()).values("id")[:9]),
    "nothing but NULL": Entry(
        lambda p: books().annotate(a=Coalesce("pages", None), b=Max("weight")).values("a", "b")[:9]
    ),
    "kinds": Entry(
        lambda p: (
            books()
            .annotate(
                a=Case(When(stock__gt=3, then=Value("much")), default=Value("little")),
                b=Case(When(Q(sold=True) | Q(pages__isnull=True), then=1), default=0),
            )
            .values("a", "b")
            .annotate(n=Count("id"))
            .order_by("a", "b")[:9]
        )
    ),
    "cast constants": Entry(
        lambda p: (
            books()
            .annotate(a=Cast(Value("2020-01-02"), DateField()), b=Cast(Value("7"), IntegerField()))
            .values("a", "b")[:2]
        )
    ),
    "constants of every type": Entry(
        lambda p: EVERY.filter(
            Q(big__lt=2**62)
            | Q(small=-1)
            | Q(number__gte=1.5)
            | Q(decimal__lte=decimal.Decimal("0.5"))
            | Q(date__gte=datetime.date(1970, 1, 1))
            | Q(moment__lt=MOMENT)
            | Q(time__gt=datetime.time(1, 2))
            | Q(duration__lt=datetime.timedelta(days=-1, microseconds=1))
            | Q(ident=UUID)
            | Q(flag=True)
            | Q(char__in=["", "a%"])
            | Q(text__iexact="X")
            | Q(slug__startswith="a_")
            | Q(url=None)
        ).values("id")[:9]
    ),
    "a part of json, a constant": Entry(
        lambda p: EVERY.filter(json__b__0=1).values("id")[:9],
        tiers=(1, 2),
        reasons=("", "is written by the driver"),
    ),
    "the longest": Entry(
        lambda p: (
            Author.objects.annotate(n=Count("books", distinct=True), t=Max("books__title"))
            .exclude(n=0)
            .order_by("-n", "name")
            .values_list("name", "n", "t")[:9]
        )
    ),
}

#: What only PostgreSQL has.
POSTGRESQL: dict[str, Entry] = {
    "texts together": Entry(
        lambda p: (
            Author.objects.order_by("id").annotate(t=StringAgg("name", Value(", "))).values("t")[:9]
        )
    ),
    "an array": Entry(
        lambda p: Author.objects.order_by("id").annotate(t=ArrayAgg("name")).values("t")[:9],
        tiers=(2, 2),
        reasons=("`t` is a ArrayField",) * 2,
    ),
    "one of each": Entry(
        lambda p: Book.objects.order_by("sold", "id").distinct("sold").values("id", "sold")[:9]
    ),
    "random": Entry(lambda p: Book.objects.order_by("?").values_list("editor", flat=True)[:9]),
    "a cast": Entry(
        lambda p: books().annotate(a=Cast("stock", Char(max_length=5))).values("a")[:9]
    ),
}
