"""Without an optional parameter a query is what it would be without its condition."""

import itertools

import pytest
from django.db.models import Count, F, Q

from pybolt import DeclarationError, Nested, Param
from pybolt.queries.bind import bind_read, code_of, forced
from tests.reads.models import Author, Book
from tests.reads.serving import serving

ANY = object()


def given(**conditions):
    """Those conditions that have a value."""
    return {key: one for key, one in conditions.items() if one is not ANY}


def books(**conditions):
    """Books by those conditions that have a value."""
    return Book.objects.filter(**given(**conditions))


#: Made of what stands for two parameters: a :class:`Param`, a value, or ``ANY``.
QUERIES = {
    "two conditions": lambda a, b: books(title__icontains=a, stock__gte=b).values("id"),
    "one of two": lambda a, b: books(title__icontains=a, sold=True, stock__gte=b).values("id"),
    "by a relation": lambda a, b: books(author__name__icontains=a, stock__gte=b).values("id"),
    "by one that is always there": lambda a, b: books(
        editor__name__icontains=a, stock__gte=b
    ).values("id", "editor__name"),
    "a relation that is read as well": lambda a, b: books(
        author__name__icontains=a, stock__gte=b
    ).values("id", "author__active"),
    "by many": lambda a, b: books(tags__name=a, stock__gte=b).order_by("id").values("id"),
    "by many from below": lambda a, b: (
        Author.objects.filter(
            **{
                k: v
                for k, v in (("books__title__icontains", a), ("edited__stock", b))
                if v is not ANY
            }
        )
        .order_by("id")
        .values("id")
    ),
    "by a count": lambda a, b: (
        Author.objects.annotate(n=Count("books"))
        .filter(**given(name__icontains=a, n__gte=b))
        .order_by("id")
        .values("id", "n")
    ),
    "by an annotation": lambda a, b: (
        Book.objects.annotate(who=F("author__name"))
        .filter(**given(who__icontains=a, stock__gte=b))
        .values("id", "who")
    ),
    "two filters": lambda a, b: (
        books(stock__gte=b).filter(**({} if a is ANY else {"title__icontains": a})).values("id")
    ),
    "an or of one": lambda a, b: (
        books(stock__gte=b)
        .filter(*([] if a is ANY else [Q(title__icontains=a) | Q(author__name__icontains=a)]))
        .values("id")
    ),
    "a relation that something else needs": lambda a, b: books(
        author__name__icontains=a, stock__gte=b, author__active=True
    ).values("id", "author__name"),
}


@pytest.mark.parametrize("tier", [2, 3])
@pytest.mark.parametrize("name", QUERIES)
def test_what_is_not_given_is_not_asked(name, tier, alias):
    make = QUERIES[name]
    declared = make(Param.query("a", optional=True), Param.query("b", int, optional=True))
    with serving(tier, declared.using(alias)[:50]) as client:
        for a, b in itertools.product((ANY, "e"), (ANY, 1)):
            asked = [f"{key}={one}" for key, one in (("a", a), ("b", b)) if one is not ANY]
            found = client.get("/?" + "&".join(asked))
            assert found.json() == list(make(a, b).using(alias)[:50]), asked


def variants(what):
    read = bind_read(what, "q", [])
    return {tuple(sorted(given)): made.sql for given, made in read.plan.parts[0].variants.items()}


def test_tables_that_are_not_asked_are_not_joined(sqlite):
    what = QUERIES["by a relation"](Param.query("a", optional=True), ANY).using(sqlite)
    made = variants(what[:5])
    assert "JOIN" in made["a",]
    assert made[()] == str(Book.objects.using(sqlite).values("id")[:5].query)


def test_every_set_of_parameters_has_a_statement(sqlite):
    asked = {f"{name}": Param.query(name, optional=True) for name in ("title", "subtitle")}
    made = variants(Book.objects.using(sqlite).filter(**asked).values("id")[:5])
    assert list(made) == [("subtitle", "title"), ("subtitle",), ("title",), ()]


A = Param.query("a", optional=True)
B = Param.query("b", optional=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Book.objects.exclude(title=A),
        lambda: Book.objects.filter(~Q(title=A)),
        lambda: Book.objects.filter(Q(title=A) | Q(stock=1)),
        lambda: Book.objects.filter(Q(title=A) | Q(subtitle=B)),
        lambda: Book.objects.filter(author__in=Author.objects.filter(name=A)),
        lambda: Book.objects.annotate(n=Count("tags", filter=Q(tags__name=A))),
        lambda: Book.objects.filter(tags__name=A).annotate(n=Count("tags")),
        lambda: Book.objects.filter(Q(tags__name=A) | Q(title=A)).annotate(n=Count("tags")),
        lambda: Book.objects.filter(title__range=(A, B)),
        lambda: Book.objects.filter(title__in=["x", A, Param.query("c")]),
        lambda: Book.objects.filter(title=A).order_by().union(Book.objects.order_by()),
    ],
)
def test_what_could_mean_several_things_is_refused(make, sqlite):
    with pytest.raises(DeclarationError) as caught:
        bind_read(make().using(sqlite).values("id"), "q", [])
    assert "`a`" in caught.value.message or "`b`" in caught.value.message
    assert caught.value.hint
    assert code_of(caught.value) == "E171"


MANY = 9
SETS = [
    frozenset(f"p{number}" for number in some)
    for size in range(MANY + 1)
    for some in itertools.combinations(range(MANY), size)
]


def many():
    """Books by as many letters as are given."""
    params = [Param.query(f"p{number}", optional=True) for number in range(MANY)]
    asked = [Q(title__icontains=param) for param in params]
    return Book.objects.filter(*asked).order_by("id").values("id", "title")


def test_with_more_than_six_it_is_the_queryset_itself(alias):
    what = many().using(alias)
    bound = bind_read(what, "q", [])
    assert bound.tier == 3
    assert bound.plan.tier.reason.startswith("9 parameters are optional")
    everything = list(Book.objects.using(alias).order_by("id").values("id", "title"))
    with serving(3, what) as client:
        for given in SETS:
            letters = dict(zip(sorted(given), "eratoinse", strict=False))
            wanted = [
                one
                for one in everything
                if all(v in one["title"].lower() for v in letters.values())
            ]
            url = "/?" + "&".join(f"{name}={value}" for name, value in letters.items())
            assert client.get(url).json() == wanted


def test_one_of_many_that_cannot_be_left_out_is_refused(sqlite):
    what = many().using(sqlite).filter(~Q(title=A))
    with pytest.raises(DeclarationError) as caught:
        bind_read(what, "q", [])
    assert code_of(caught.value) == "E171"


def test_what_is_nested_is_asked_by_the_rows_above(sqlite):
    above = Author.objects.using(sqlite).filter(name=A).order_by("id")
    below = Book.objects.filter(title__icontains=B).order_by("id").values_list("id", flat=True)
    with forced(2):
        what = above.values("id", written=Nested(below, by="author"))
        with serving(2, what) as client:
            assert client.get("/?a=Ann&b=e").json() == [{"id": 1, "written": [1, 2, 7]}]
            assert client.get("/?b=zebra").json()[0] == {"id": 1, "written": [7]}
