"""A shop, and a table of every type of field."""

import sys
import uuid

from django.apps import AppConfig, apps
from django.db import models

LABEL = "reads"

config = AppConfig("tests.reads", sys.modules["tests.reads"])
config.apps, config.models = apps, apps.all_models[LABEL]
apps.app_configs[LABEL] = config


class Base(models.Model):
    class Meta:
        abstract = True
        app_label = LABEL


class Author(Base):
    name = models.CharField(max_length=50, unique=True)
    active = models.BooleanField(default=True)


class Tag(Base):
    name = models.CharField(max_length=20)


class Book(Base):
    title = models.CharField(max_length=100)
    subtitle = models.TextField(blank=True, default="")
    pages = models.IntegerField(null=True)
    stock = models.PositiveSmallIntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    weight = models.FloatField(null=True)
    sold = models.BooleanField(default=False)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    ident = models.UUIDField(default=uuid.uuid4, unique=True)
    author = models.ForeignKey(Author, models.CASCADE, null=True, related_name="books")
    editor = models.ForeignKey(Author, models.CASCADE, related_name="edited")
    tags = models.ManyToManyField(Tag)

    class Meta(Base.Meta):
        ordering = ["id"]


class Everything(Base):
    big = models.BigIntegerField(null=True)
    small = models.SmallIntegerField(null=True)
    natural = models.PositiveIntegerField(null=True)
    natural_big = models.PositiveBigIntegerField(null=True)
    flag = models.BooleanField(null=True)
    char = models.CharField(max_length=100, null=True)
    text = models.TextField(null=True)
    slug = models.SlugField(null=True)
    url = models.URLField(null=True)
    email = models.EmailField(null=True)
    file = models.FileField(null=True)
    path = models.FilePathField(null=True)
    number = models.FloatField(null=True)
    decimal = models.DecimalField(max_digits=20, decimal_places=8, null=True)
    date = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    time = models.TimeField(null=True)
    duration = models.DurationField(null=True)
    ident = models.UUIDField(null=True)
    json = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)


class Upper(models.CharField):
    """A field that says its values otherwise."""

    def from_db_value(self, value, expression, connection):
        return value and value.upper()


class Trimmed(models.CharField):
    """A field that keeps its values otherwise."""

    def get_prep_value(self, value):
        return super().get_prep_value(value).strip()


class Named(models.CharField):
    """A field that is only called otherwise."""


class Odd(Base):
    upper = Upper(max_length=20)
    trimmed = Trimmed(max_length=20)
    named = Named(max_length=20)
    raw = models.BinaryField()


MODELS = [Author, Tag, Book, Everything, Odd]
apps.clear_cache()
