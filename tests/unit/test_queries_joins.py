"""Whatever tables its conditions join, a query without an optional one is as if it had never been
there: made by chance, and the same each time."""

import itertools
import random

import pytest
from django.db.models import Count, F, Q

from pybolt import Param
from pybolt.queries.bind import bind_read
from pybolt.queries.optional import Ambiguous
from pybolt.queries.run import Compiled, Plain
from tests.reads.models import Book

CONDITIONS = [
    ("title__icontains", "e"),
    ("stock__gte", 2),
    ("author__name__icontains", "n"),
    ("author__id__gte", 2),
    ("author__books__title__icontains", "e"),
    ("author__books__stock__gte", 1),
    ("author__edited__stock__gte", 3),
    ("editor__name", "Eve"),
    ("editor__books__stock__gte", 0),
    ("tags__name", "old"),
    ("tags__id__gte", 2),
    ("tags__book__stock__gte", 3),
]
OTHERS = [
    {},
    {"author__active": True},
    {"author__isnull": False},
    {"author__isnull": True},
    {"tags__name__startswith": "n"},
    {"author__books__sold": True},
]
BEFORE = [
    lambda q: q,
    lambda q: q.annotate(tagged=Count("tags")),
    lambda q: q.annotate(who=F("author__name")),
    lambda q: q.exclude(author__name="Bob"),
    lambda q: q.exclude(tags__name="old"),
    lambda q: q.filter(Q(author__name="Ann") | Q(stock__gt=3)),
]
AFTER = [
    lambda q: q.values("id"),
    lambda q: q.values("id", "author__name"),
    lambda q: q.values("id", "tags__name"),
    lambda q: q.annotate(n=Count("tags")).values("id", "n"),
    lambda q: q.annotate(w=F("author__name")).values("id", "w"),
    lambda q: q.values("author__name").annotate(n=Count("id")),
    lambda q: q.values("sold").annotate(n=Count("author__books")),
    lambda q: q.distinct().values("id", "title"),
]
ORDERS = [(), ("title", "id"), ("author__name", "id"), ("tags__name", "id")]


class Made:
    """A query by chance, to be made with any of its conditions."""

    def __init__(self, chance, alias):
        self.alias = alias
        self.conditions = chance.sample(CONDITIONS, chance.randint(1, 3))
        self.others = chance.choice(OTHERS)
        self.before, self.after = chance.choice(BEFORE), chance.choice(AFTER)
        self.order = chance.choice(ORDERS)
        self.is_one_filter = chance.random() < 0.6

    def make(self, conditions):
        made = self.before(Book.objects.using(self.alias)).filter(**self.others)
        if self.is_one_filter:
            made = made.filter(**conditions)
        else:
            for name, value in conditions.items():
                made = made.filter(**{name: value})
        return self.after(made.order_by(*self.order))


@pytest.mark.parametrize("seed", range(8))
def test_joins(seed, sqlite):
    chance = random.Random(seed)
    compared = 0
    for _ in range(25):
        made = Made(chance, sqlite)
        params = {
            name: Param.query(name, type(value), optional=True) for name, value in made.conditions
        }
        try:
            read = bind_read(made.make(params), "joins", [])
        except Ambiguous:
            continue
        for size in range(len(params) + 1):
            for some in itertools.combinations(made.conditions, size):
                compare(made, read.plan, dict(some), params)
                compared += 1
    assert compared > 25


def compare(made, plan, conditions, params):
    expected = sorted(map(str, made.make(conditions)))
    given = frozenset(conditions)
    values = {params[name]: value for name, value in conditions.items()}
    (part,) = plan.parts
    for run in (Compiled(values, given), Plain(values, plan.absent(given))):
        if isinstance(run, Compiled) and given not in part.variants:
            continue
        found = run.written(part, run.rows(part))
        assert sorted(map(str, found)) == expected, part.variants[given].sql
