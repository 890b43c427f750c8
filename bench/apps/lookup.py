"""The same handler under 10 and under 10,000 routes: what finding a route costs as the table grows."""

from __future__ import annotations

from typing import Any

from pybolt import BoltAPI

FEW = 10
MANY = 10_000


def path(number: int) -> str:
    """Return the pattern of one route; every pattern has the same length."""
    return f"/api/section-{number:05}/items/{{item_id}}"


def build(count: int) -> BoltAPI:
    """Return an api of `count` routes that share one handler."""
    api = BoltAPI()
    for number in range(count):
        api.get(path(number))(item)
    return api


def item(req: Any) -> dict[str, str]:
    return {"message": "Hello, World!"}


few = build(FEW)
many = build(MANY)
