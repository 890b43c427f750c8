"""The rows of the table: `python -m bench.reads.rows` makes it in both databases."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

NUMBER = 1_000


def row(number: int) -> dict[str, Any]:
    """Return one row, as `values()` has it."""
    price = Decimal(number * 37 % 10_000) / 100
    return {
        "id": number,
        "name": f"Item {number} of the catalog",
        "price": price.quantize(Decimal("0.01")),
        "stock": number * 7 % 200,
    }


def main() -> None:
    """Make the table and its rows."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.reads.settings"
    import django

    django.setup()
    from django.db import connections

    from bench.reads.models import Item

    for alias in connections:
        with connections[alias].schema_editor() as editor:
            editor.create_model(Item)
        rows = [Item(**row(number)) for number in range(1, NUMBER + 1)]
        Item.objects.using(alias).bulk_create(rows)
        with connections[alias].cursor() as cursor:
            cursor.execute("ANALYZE")


if __name__ == "__main__":
    main()
