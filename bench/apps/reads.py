"""Declared reads, and the ORM in ordinary handlers, on PostgreSQL and on SQLite."""

from __future__ import annotations

from typing import Any

import pybolt
from bench.apps import plain
from bench.reads.models import Item
from pybolt import BoltAPI, Param, Read, gather

FIELDS = ("id", "name", "price", "stock")

api = BoltAPI()
items = Item.objects.values(*FIELDS)

api.query("/query/ten", items.order_by("id")[:10])
api.query("/query/one/{id}", items.filter(id=Param.path("id", int)), one=True)
api.query("/query/twenty", {f"item{n}": Read(items.filter(id=n), one=True) for n in range(1, 21)})
api.query("/query/ten-sqlite", items.using("sqlite").order_by("id")[:10])

find = api.compile(items.filter(id=Param("id", int)), one=True)
latest = api.compile(items.order_by("id")[:10])


@api.get("/query/awaited/ten")
async def query_awaited_ten(req: Any) -> list[dict[str, Any]]:
    return await latest()


@api.get("/query/awaited")
async def query_awaited(req: Any) -> dict[str, Any]:
    numbers = range(1, 21)
    found = await gather(*(find(id=number) for number in numbers))
    return {f"item{number}": item for number, item in zip(numbers, found, strict=True)}


def _orm(alias: str) -> None:
    """Have ordinary handlers read of one database: a route of its own for each."""

    @api.get(f"/orm/sync/{alias}")
    def orm_sync(req: Any) -> list[dict[str, Any]]:
        return list(Item.objects.using(alias).order_by("id").values(*FIELDS)[:10])

    @api.get(f"/orm/async/{alias}")
    async def orm_async(req: Any) -> list[dict[str, Any]]:
        found = Item.objects.using(alias).order_by("id").values(*FIELDS)[:10]
        return [item async for item in found]

    @api.get(f"/orm/returned/sync/{alias}")
    def orm_returned_sync(req: Any) -> Any:
        return Item.objects.using(alias).order_by("id").values(*FIELDS)[:10]

    @api.get(f"/orm/returned/async/{alias}")
    async def orm_returned_async(req: Any) -> Any:
        return Item.objects.using(alias).order_by("id").values(*FIELDS)[:10]


for alias in ("default", "sqlite"):
    _orm(alias)


api.get("/spin")(plain.spin)


@api.get("/stats")
def stats(req: Any) -> dict[str, Any]:
    return pybolt.stats()
