"""Reads: quick, slow, too many, of one's own, and ones that the database refuses."""

import os

from django.db import transaction
from django.db.models import Exists, F, Func, IntegerField, OuterRef, TextField, Value
from django.db.models.functions import Cast

import pybolt
from pybolt import BoltAPI, JWTAuth, Param
from tests.live.reading.models import Item, Moment

#: Seconds that `/sleep/…` takes; the longest have a timeout of a second.
NAPS = (0.05, 0.5, 2, 30, 60)

api = BoltAPI()
items = Item.objects.order_by("id")
api.query("/items", items.values("id", "name", "count")[:10], auth="public")
api.query("/item", items.filter(id=Param.query("id", int)).values("id", "name"), auth="public")
named = items.filter(name=Param.query("name")).values_list("id", flat=True)[:10]
api.query("/named", named, auth="public")
api.query("/few", items.values("id"), max_rows=5, auth="public")
api.query("/moments", Moment.objects.values("at"), auth="public")
api.query(
    "/mine",
    items.filter(owner=Param.principal("sub")).values_list("id", flat=True),
    auth=JWTAuth(secret="${READ_SECRET}", algorithms=["HS256"]),
)
# Of somebody, and nobody has to say who: nobody may.
whose = items.filter(owner=Param.principal("sub")).values_list("id", flat=True)
api.query("/whose", whose, auth="public")
# An error of the database that quotes a value.
api.query("/cast", items.values(number=Cast("name", IntegerField())), auth="public")
api.query("/timed", items.values("id", "name")[:10], auth="public", timeout="1s")

# Two rows that are written together.
api.query("/pairs", items.filter(id__lte=2).values_list("count", flat=True)[:2], auth="public")


@api.post("/pairs", auth="public")
def write(request):
    with transaction.atomic():
        Item.objects.filter(id=1).update(count=F("count") + 1)
        Item.objects.filter(id=2).update(count=Item.objects.get(id=1).count)
    return {}


if os.environ["READ_ENGINE"] == "sqlite3":
    # As many steps as there are rows, to the third power.
    pairs = Item.objects.filter(count__lte=OuterRef("count") + OuterRef("id"), name__contains="x")
    inner = pairs.annotate(more=Exists(Item.objects.filter(owner=OuterRef("name"))))
    heavy = items.annotate(found=Exists(inner.filter(more=True))).values("id", "found")
    api.query("/heavy", heavy, auth="public", timeout="1s", max_rows=100_000)
    wrong = Func(Value("{}"), F("name"), function="json_extract", output_field=TextField())
    api.query("/json", items.values(wrong=wrong), auth="public")
else:
    one = Item.objects.filter(id=1)
    for nap in NAPS:
        slept = Cast(Func(Value(nap), function="pg_sleep", output_field=TextField()), TextField())
        limit = {"timeout": "1s" if nap == 30 else os.environ.get("READ_LONGEST", "90s")}
        api.query(f"/sleep/{nap}", one.values("id", slept=slept), auth="public", **limit)
    drawn = Func(Value("drawn"), function="nextval", output_field=IntegerField())
    api.query("/draw", one.values(drawn=drawn), auth="public")
    noted = Func(function="noted", output_field=IntegerField())
    api.query("/note", one.values(noted=noted), auth="public")
    setting = Func(
        Value(os.environ.get("READ_SETTING", "")),
        function="current_setting",
        output_field=TextField(),
    )
    api.query("/setting", one.values_list(setting, flat=True), auth="public")
    longs = Func(F("name"), Value(100_000), function="repeat", output_field=TextField())
    api.query("/long", items.values(long=longs), max_rows=5, auth="public")


@api.get("/stats", auth="public")
def stats(request):
    return pybolt.stats()
