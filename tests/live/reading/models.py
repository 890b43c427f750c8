"""What is read."""

from django.db import models


class Item(models.Model):
    name = models.CharField(max_length=100)
    owner = models.CharField(max_length=20)
    count = models.IntegerField()


class Moment(models.Model):
    at = models.DateTimeField()
