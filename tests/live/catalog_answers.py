"""What Django itself answers from the catalog's database, to be imported in its ``shell``."""

import json
from decimal import Decimal

from catalog.models import Author, Item, Order
from django.db.models import F
from django.http import JsonResponse

ITEMS = Item.objects.values("id", "name", "price", "stock")
LATEST = Item.objects.order_by("-created", "-id").values("id", "name", "price", "created")[:10]
ONE = ("id", "name", "price", "stock", "created")


def searched(name, **conditions):
    return list(ITEMS.filter(name__startswith=name, **conditions).order_by("name", "id")[:20])


def authors(limit):
    rows = list(Author.objects.order_by("id").values("id", "name")[:limit])
    below = Item.objects.order_by("id").values("id", "name", "price")
    return [row | {"items": list(below.filter(author_id=row["id"]))} for row in rows]


def orders(user):
    found = Order.objects.filter(user_id=user).order_by("-at", "-id")
    return list(found.values("id", "quantity", "at", item_name=F("item__name"))[:50])


ANSWERS = {
    "/": {
        "items": Item.objects.count(),
        "authors": Author.objects.count(),
        "latest": list(LATEST),
    },
    "/latest": list(LATEST),
    "/items/7": Item.objects.values(*ONE, author_name=F("author__name")).get(id=7),
    "/search?name=Red%20l": searched("Red l"),
    "/search?name=Red%20l&max_price=120.5": searched("Red l", price__lte=Decimal("120.5")),
    "/search?name=%25": searched("%"),
    "/items": list(ITEMS.order_by("id")[:20]),
    "/items?limit=3&offset=40": list(ITEMS.order_by("id")[40:43]),
    "/feed": list(ITEMS.order_by("-id")[:20]),
    "/authors": authors(5),
    "/authors?limit=20": authors(20),
    "/mine as 3": orders(3),
    "/mine as 4": orders(4),
    "/mine as 999999": [],
}


def as_json():
    """The body of each URL, ``as`` a user where it says so."""
    return json.dumps({url: body(answer) for url, answer in ANSWERS.items()})


def body(answer):
    return JsonResponse(answer, safe=False).content.decode()
