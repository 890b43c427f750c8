"""What bench/apps/reads.py answers, by django-bolt's handlers and Django's ORM."""

from __future__ import annotations

from django_bolt import BoltAPI

from bench.reads.models import Item
from django_bolt_app.api import SPIN_SECONDS, burn

FIELDS = ("id", "name", "price", "stock")

api = BoltAPI(enable_logging=False, compression=False, openapi_config=False)


@api.get("/query/ten")
def query_ten():
    return list(Item.objects.order_by("id").values(*FIELDS)[:10])


@api.get("/query/one/{id}")
def query_one(id: int):
    return Item.objects.values(*FIELDS).get(id=id)


@api.get("/query/twenty")
def query_twenty():
    return {f"item{n}": Item.objects.values(*FIELDS).get(id=n) for n in range(1, 21)}


@api.get("/query/ten-sqlite")
def query_ten_sqlite():
    return list(Item.objects.using("sqlite").order_by("id").values(*FIELDS)[:10])


def _orm(alias):
    """Have handlers read of one database. Each names its query: django-bolt looks at its source for it."""

    @api.get(f"/orm/sync/{alias}")
    def orm_sync():
        return list(Item.objects.using(alias).order_by("id").values(*FIELDS)[:10])

    @api.get(f"/orm/async/{alias}")
    async def orm_async():
        found = Item.objects.using(alias).order_by("id").values(*FIELDS)[:10]
        return [item async for item in found]

    @api.get(f"/orm/returned/sync/{alias}")
    def orm_returned_sync():
        return Item.objects.using(alias).order_by("id").values(*FIELDS)[:10]

    @api.get(f"/orm/returned/async/{alias}")
    async def orm_returned_async():
        return Item.objects.using(alias).order_by("id").values(*FIELDS)[:10]


for alias in ("default", "sqlite"):
    _orm(alias)


@api.get("/spin")
def spin():
    burn(SPIN_SECONDS)
    return {"message": "spun"}
