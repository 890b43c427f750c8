"""What is sold, who made it, and who ordered it. Every index serves a route of api.py."""

from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self):
        return self.name


class Item(models.Model):
    # With the index that a search for its beginning needs.
    name = models.CharField(max_length=100, db_index=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    created = models.DateTimeField()
    author = models.ForeignKey(Author, models.CASCADE, related_name="items")

    class Meta:
        indexes = [models.Index(fields=["-created", "-id"], name="item_latest")]

    def __str__(self):
        return self.name


class Order(models.Model):
    """``user_id``: the `sub` of the token that ordered; who that is another service knows."""

    user_id = models.BigIntegerField()
    item = models.ForeignKey(Item, models.CASCADE, related_name="orders")
    quantity = models.PositiveSmallIntegerField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["user_id", "-at", "-id"], name="order_of_user")]

    def __str__(self):
        return f"{self.quantity} of {self.item_id} for {self.user_id}"
