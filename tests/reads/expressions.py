"""What is read, grouped and computed."""

import datetime

from django.db.models import (
    Avg,
    Case,
    CharField,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    IntegerChoices,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    Subquery,
    Sum,
    TextChoices,
    Value,
    When,
    Window,
)
from django.db.models.functions import (
    Cast,
    Coalesce,
    Concat,
    JSONObject,
    Length,
    Lower,
    Now,
    Rank,
    Round,
    Sqrt,
    Substr,
    TruncDate,
    TruncMonth,
    Upper,
)

from .entry import EMPTY, EXPRESSION, PYTHON, Entry, books
from .models import Author, Book, Everything, Odd

EVERY = [field.name for field in Everything._meta.fields if field.name != "address"]


class Title(TextChoices):
    TEA = "Tea"


class Stock(IntegerChoices):
    NONE = 0


COLUMNS: dict[str, Entry] = {
    "slice": Entry(lambda p: books().values("id", "title", "price", "stock")[:3]),
    "slice from": Entry(lambda p: books().values("id")[2:4]),
    "all fields": Entry(lambda p: books().values()[:9]),
    "every type": Entry(lambda p: Everything.objects.order_by("id").values(*EVERY)[:9]),
    "every type as arrays": Entry(
        lambda p: Everything.objects.order_by("id").values_list(*EVERY)[:9]
    ),
    "an address": Entry(
        lambda p: Everything.objects.order_by("id").values("address")[:9],
        tiers=(2, 2),
        reasons=("`address` is a GenericIPAddressField",) * 2,
    ),
    "arrays": Entry(lambda p: books().values_list("id", "title")[:3]),
    "flat": Entry(lambda p: books().values_list("title", flat=True)[:9]),
    "flat moments": Entry(lambda p: books().values_list("moment", flat=True)[:9]),
    "named": Entry(lambda p: books().values_list("id", "title", named=True)[:3]),
    "pk": Entry(lambda p: books().values("pk", "author", "author_id")[:9]),
    "related": Entry(lambda p: books().values("id", "author__name", "editor__name")[:9]),
    "renamed": Entry(lambda p: books().values("id", who=F("author__name"))[:9]),
    "many to many": Entry(lambda p: books().order_by("id", "tags").values("id", "tags__name")[:20]),
    "distinct": Entry(lambda p: Book.objects.order_by("sold").values("sold").distinct()[:9]),
    "reversed": Entry(lambda p: books().reverse().values("id")[:3]),
    "nulls last": Entry(
        lambda p: Book.objects.order_by(F("pages").desc(nulls_last=True)).values("id")[:9]
    ),
}

EXPRESSIONS: dict[str, Entry] = {
    "an aggregate": Entry(
        lambda p: Author.objects.annotate(n=Count("books")).order_by("id").values("name", "n")[:9]
    ),
    "sums": Entry(
        lambda p: (
            Author.objects.order_by("id")
            .annotate(s=Sum("books__pages"), a=Avg("books__pages"), p=Sum("books__price"))
            .values("name", "s", "a", "p")[:9]
        )
    ),
    "bounds": Entry(
        lambda p: (
            Author.objects.order_by("id")
            .annotate(a=Min("books__moment"), b=Max("books__day"), c=Avg("books__price"))
            .values("a", "b", "c")[:9]
        )
    ),
    "having": Entry(
        lambda p: (
            Author.objects.annotate(n=Count("books"))
            .filter(n__gte=p("n", 2))
            .order_by("id")
            .values("name", "n")[:9]
        ),
        "?n=2",
    ),
    "grouped": Entry(
        lambda p: (
            Book.objects.order_by("sold").values("sold").annotate(n=Count("id"), s=Sum("stock"))[:9]
        )
    ),
    "grouped by an expression": Entry(
        lambda p: (
            Book.objects.annotate(who=Coalesce("author__name", Value("nobody")))
            .order_by("who")
            .values("who")
            .annotate(n=Count("id"))[:9]
        )
    ),
    "a filtered aggregate": Entry(
        lambda p: (
            Author.objects.order_by("id")
            .annotate(n=Count("books", filter=Q(books__title__startswith=p("q", "T"))))
            .values("name", "n")[:9]
        ),
        "?q=T",
    ),
    "a case": Entry(
        lambda p: (
            books()
            .annotate(
                kind=Case(When(title=p("q", "Tea"), then=Value("tea")), default=Value("else"))
            )
            .values("id", "kind")[:9]
        ),
        "?q=Tea",
    ),
    "a subquery": Entry(
        lambda p: (
            Author.objects.order_by("id")
            .annotate(
                last=Subquery(
                    Book.objects.filter(author=OuterRef("pk"), title__icontains=p("q", "e"))
                    .order_by("-id")
                    .values("title")[:1]
                )
            )
            .values("name", "last")[:9]
        ),
        "?q=e",
    ),
    "exists": Entry(
        lambda p: Author.objects.filter(
            Exists(Book.objects.filter(author=OuterRef("pk"), stock=p("n", 4)))
        ).values("name")[:9],
        "?n=4",
    ),
    "in a subquery": Entry(
        lambda p: (
            books()
            .filter(author__in=Author.objects.filter(name__startswith=p("q", "A")))
            .values("id")[:9]
        ),
        "?q=A",
    ),
    "union": Entry(
        lambda p: (
            Book.objects.filter(title=p("q", "Tea"))
            .values("id", "title")
            .order_by()
            .union(Book.objects.filter(stock=p("n", 4)).values("id", "title").order_by())
            .order_by("id")[:9]
        ),
        "?q=Tea&n=4",
    ),
    "a window": Entry(
        lambda p: (
            books()
            .annotate(r=Window(Rank(), partition_by="sold", order_by="-price"))
            .values("id", "r")[:9]
        )
    ),
    "arithmetic": Entry(
        lambda p: books().annotate(t=F("stock") * p("n", 3)).values("id", "t")[:9],
        "?n=3",
        (2, 2),
        (EXPRESSION,) * 2,
    ),
    "arithmetic of its own": Entry(
        lambda p: books().annotate(t=F("stock") * 3 + 1, r=Round("weight", 2)).values("t", "r")[:9]
    ),
    "texts": Entry(
        lambda p: (
            books()
            .annotate(
                a=Upper("title"),
                b=Lower("title"),
                c=Length("title"),
                d=Substr("title", 1, 2),
                e=Concat("title", Value(" 100%"), Value("$1 ? %s")),
            )
            .values("a", "b", "c", "d", "e")[:9]
        )
    ),
    "casts": Entry(
        lambda p: (
            books()
            .annotate(
                a=Cast("stock", FloatField()),
                b=Cast("sold", IntegerField()),
            )
            .values("a", "b")[:9]
        )
    ),
    "a root": Entry(
        lambda p: books().annotate(a=Sqrt("stock")).values("a")[:9],
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "truncated": Entry(
        lambda p: books().annotate(m=TruncMonth("day"), d=TruncDate("moment")).values("m", "d")[:9],
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "truncated moments": Entry(
        lambda p: books().annotate(m=TruncMonth("moment")).values("m")[:9],
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "recast": Entry(
        lambda p: (
            books()
            .annotate(n=ExpressionWrapper(F("sold"), output_field=IntegerField()))
            .values("n")[:9]
        ),
        tiers=(2, 1),
        reasons=("as another type", ""),
    ),
    "a span": Entry(
        lambda p: (
            books()
            .annotate(d=ExpressionWrapper(Now() - F("moment"), output_field=DurationField()))
            .filter(d__gt=datetime.timedelta(1))
            .values("id")[:9]
        ),
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "best first": Entry(
        lambda p: Book.objects.order_by(
            Case(When(title__istartswith=p("q", "z"), then=Value(0)), default=Value(1)), "id"
        ).values("id")[:9],
        "?q=z",
        (3, 3),
        ("looks at it only when it compiles",) * 2,
    ),
    "a value": Entry(
        lambda p: (
            books()
            .annotate(x=Value(p("x", "a'b"), CharField()), y=Concat("title", Value(p("x", "a'b"))))
            .values("x", "y")[:9]
        ),
        "?x=a'b",
        (3, 3),
        ("looks at it only when it compiles",) * 2,
    ),
    "a choice": Entry(lambda p: books().filter(title=Title.TEA, stock=Stock.NONE).values("id")[:9]),
    "an arithmetic condition": Entry(
        lambda p: books().filter(stock__gt=F("pages") / p("n", 100) - 1).values("id")[:9],
        "?n=100",
        (2, 2),
        (EXPRESSION,) * 2,
    ),
    "an object": Entry(
        lambda p: books().annotate(o=JSONObject(id="id", t="title")).values("o")[:9],
    ),
    "days later": Entry(
        lambda p: books().annotate(d=F("day") + datetime.timedelta(days=1)).values("d")[:9],
        tiers=(2, 1),
        reasons=(PYTHON, ""),
    ),
    "nothing": Entry(
        lambda p: Book.objects.none().values("id")[:9], tiers=(3, 3), reasons=(EMPTY,) * 2
    ),
    "extra": Entry(
        lambda p: books().extra(select={"twice": "stock * 2"}).values("id", "twice")[:9],
        tiers=(2, 2),
        reasons=("`twice` is a Field",) * 2,
    ),
    "constants": Entry(
        lambda p: (
            books()
            .annotate(a=Value(1), b=Value("x"), c=Value(None, IntegerField()))
            .values("a", "b", "c")[:2]
        )
    ),
    "a field of one's own": Entry(
        lambda p: Odd.objects.values("upper")[:9],
        tiers=(2, 2),
        reasons=("`upper` is a Upper",) * 2,
    ),
    "a field of one's own that changes nothing": Entry(
        lambda p: Odd.objects.filter(named=p("q", "abc")).values("named")[:9], "?q=abc"
    ),
    "compared with a field of one's own": Entry(
        lambda p: Odd.objects.filter(trimmed=p("q", " abc ")).values("id")[:9],
        "?q=+abc+",
        (3, 3),
        ("compared with a Trimmed",) * 2,
    ),
    "without a slice": Entry(lambda p: books().values("id")),
    "a default": Entry(lambda p: books().filter(stock=p("n", 3, default=3)).values("id")[:9], ""),
}
