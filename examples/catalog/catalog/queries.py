"""Querysets that bolt.yaml names."""

from catalog.models import Item

latest = Item.objects.order_by("-created", "-id").values("id", "name", "price", "created")[:10]
