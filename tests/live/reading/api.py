"""Reads: quick, slow, too many, of one's own, and ones that the database refuses."""

import os

from django.db.models import F, Func, IntegerField, TextField, Value
from django.db.models.functions import Cast

import pybolt
from pybolt import BoltAPI, JWTAuth, Param
from tests.live.reading.models import Item, Moment

SECRET = "s" * 32
#: Seconds that `/sleep/…` takes; the longest have a timeout of a second.
NAPS = (0.05, 0.5, 2, 30, 60)

api = BoltAPI()
items = Item.objects.order_by("id")
api.query("/items", items.values("id", "name", "count")[:10], auth="public")
api.query("/item", items.filter(id=Param.query("id", int)).values("id", "name"), auth="public")
api.query("/few", items.values("id"), max_rows=5, auth="public")
api.query("/moments", Moment.objects.values("at"), auth="public")
api.query(
    "/mine",
    items.filter(owner=Param.principal("sub")).values_list("id", flat=True),
    auth=JWTAuth(secret=SECRET, algorithms=["HS256"]),
)
# An error of the database that quotes a value.
api.query("/cast", items.values(number=Cast("name", IntegerField())), auth="public")
api.query("/timed", items.values("id", "name")[:10], auth="public", timeout="1s")

if os.environ.get("READ_SLOW") == "postgres":
    one = Item.objects.filter(id=1)
    for nap in NAPS:
        slept = Cast(Func(Value(nap), function="pg_sleep", output_field=TextField()), TextField())
        limit = {"timeout": "1s" if nap == 30 else "90s"}
        api.query(f"/sleep/{nap}", one.values("id", slept=slept), auth="public", **limit)
    # As many rows as there are, squared thrice: for a minute and more.
    drawn = Func(Value("drawn"), function="nextval", output_field=IntegerField())
    api.query("/draw", one.values(drawn=drawn), auth="public")
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
