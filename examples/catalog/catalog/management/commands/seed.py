"""``manage.py seed``: rows to read."""

import datetime
import itertools
import random
from decimal import Decimal

from django.core.management.base import BaseCommand
from django.core.management.color import no_style
from django.db import connection, transaction

from catalog.models import Author, Item, Order

BATCH = 10_000
ITEMS_OF_AN_AUTHOR = 50
ORDERS_OF_A_USER = 100
BEGIN = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
COLOURS = ["Amber", "Blue", "Copper", "Golden", "Green", "Ivory", "Red", "White"]
THINGS = ["basket", "bowl", "clock", "desk", "kettle", "lamp", "mirror", "shelf"]
FIRST = ["Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo", "Ines", "Jan"]
LAST = ["Adler", "Berg", "Costa", "Duarte", "Engel", "Falk", "Greco", "Holm", "Ito"]


class Command(BaseCommand):
    help = "Makes authors, items and orders: always the same ones. What is there already stays."

    def add_arguments(self, parser):
        parser.add_argument("--items", type=int, default=100_000)

    def handle(self, *args, items, **options):
        authors = -(-items // ITEMS_OF_AN_AUTHOR)
        users = -(-items // ORDERS_OF_A_USER)
        self._make(Author, authors, lambda n, chance: Author(id=n, name=_author(chance)))
        self._make(Item, items, lambda n, chance: _item(n, chance, authors))
        self._make(Order, items, lambda n, chance: _order(n, chance, items, users))
        # The rows have said their keys themselves: new ones go on after them.
        with connection.cursor() as cursor:
            for sql in connection.ops.sequence_reset_sql(no_style(), [Author, Item, Order]):
                cursor.execute(sql)

    def _make(self, model, number, make):
        chance = random.Random(model.__name__)
        what = model._meta.verbose_name_plural
        rows = (make(n, chance) for n in range(1, number + 1))
        done = 0
        while batch := list(itertools.islice(rows, BATCH)):
            with transaction.atomic():
                model.objects.bulk_create(batch, ignore_conflicts=True)
            done += len(batch)
            self.stdout.write(f"{what}: {done:,} of {number:,}")


def _author(chance):
    return f"{chance.choice(FIRST)} {chance.choice(LAST)}"


def _item(n, chance, authors):
    return Item(
        id=n,
        name=f"{chance.choice(COLOURS)} {chance.choice(THINGS)} {n}",
        price=Decimal(chance.randrange(100, 100_000)) / 100,
        stock=chance.randrange(200),
        created=BEGIN + datetime.timedelta(minutes=5 * n, microseconds=chance.randrange(10**6)),
        author_id=chance.randint(1, authors),
    )


def _order(n, chance, items, users):
    return Order(
        id=n,
        user_id=chance.randint(1, users),
        item_id=chance.randint(1, items),
        quantity=chance.randint(1, 5),
        at=BEGIN + datetime.timedelta(minutes=5 * n),
    )
