"""Declared reads, which Rust answers, and ordinary handlers beside them."""

from decimal import Decimal
from typing import Annotated

import msgspec
from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from catalog.models import Author, Item, Order
from catalog.queries import latest
from pybolt import BoltAPI, HTTPError, JWTAuth, Nested, Page, Param, count

api = BoltAPI(auth="public")
users = JWTAuth(secret="${JWT_SECRET}", algorithms=["HS256"], audience="catalog")

items = Item.objects.values("id", "name", "price", "stock")

# One statement for each value, run side by side.
api.query(
    "/",
    {
        "items": count(Item.objects.all()),
        "authors": count(Author.objects.all()),
        "latest": latest,
    },
)

api.query(
    "/items/{id}",
    Item.objects.filter(id=Param.path("id", int)).values(
        "id", "name", "price", "stock", "created", author_name=F("author__name")
    ),
    one=True,
)

# ?name=Red%20l&max_price=9.99: without `max_price` its condition is left out.
api.query(
    "/search",
    items.filter(
        name__startswith=Param.query("name"),
        price__lte=Param.query("max_price", Decimal, optional=True),
    ).order_by("name", "id")[:20],
)

# Pages by offset: any of them can be asked for, and the far ones cost more.
api.query("/items", items.order_by("id"), page=Page(default=20, max=1000))

# Pages by key: one after the other, and all cost the same.
api.query("/feed", items.order_by("-id"), page=Page(default=20, max=1000, by="id"))

below = Nested(Item.objects.order_by("id").values("id", "name", "price"))
api.query(
    "/authors",
    Author.objects.order_by("id").values("id", "name").annotate(items=below),
    page=Page(default=5, max=20, by="id"),
)

api.query(
    "/mine",
    Order.objects.filter(user_id=Param.principal("sub", int))
    .order_by("-at", "-id")
    .values("id", "quantity", "at", item_name=F("item__name"))[:50],
    auth=users,
)


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends to order."""

    item: int
    quantity: Annotated[int, msgspec.Meta(ge=1, le=100)]


@api.get("/sold-out")
def sold_out(request):
    return Item.objects.filter(stock=0).order_by("id").values("id", "name")[:100]


@api.get("/authors/{author_id}/stock")
async def stock_of(request, author_id: int):
    author = await Author.objects.filter(id=author_id).values("name").afirst()
    if author is None:
        raise HTTPError(404, "no such author")
    return author | await Item.objects.filter(author_id=author_id).aaggregate(stock=Sum("stock"))


@api.post("/orders", auth=users)
def order(request, body: NewOrder):
    wanted = Item.objects.filter(id=body.item, stock__gte=body.quantity)
    with transaction.atomic():
        if not wanted.update(stock=F("stock") - body.quantity):
            raise HTTPError(409, "there are not so many")
        made = Order.objects.create(
            user_id=int(request.principal.id),
            item_id=body.item,
            quantity=body.quantity,
            at=timezone.now(),
        )
    return 201, {"id": made.pk}
