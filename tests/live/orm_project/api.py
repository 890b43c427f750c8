"""Handlers that use the ORM, well and badly."""

import asyncio

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from pybolt import BoltAPI, Stream
from tests.live.orm_project.models import Note

api = BoltAPI()


@api.post("/notes")
def write(request):
    return 201, {"id": Note.objects.create(text=request.json()["text"]).pk}


@api.get("/notes")
def read(request):
    return Note.objects.values("id", "text")


@api.get("/notes/{pk}")
async def read_one(request, pk: int):
    note = await Note.objects.values("id", "text").aget(pk=pk)
    return note | {"of": await Note.objects.acount()}


@api.get("/count")
def count(request):
    return {"count": Note.objects.count(), "open": connection.in_atomic_block}


@api.get("/acount")
async def acount(request):
    return {"count": await Note.objects.acount()}


@api.get("/leave-open")
def leave_open(request):
    transaction.set_autocommit(False)
    Note.objects.create(text="never committed")
    return {}


@api.get("/enter-atomic")
def enter_atomic(request):
    transaction.atomic().__enter__()
    Note.objects.create(text="never committed")
    return {}


@api.get("/begin")
def begin(request):
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    Note.objects.create(text="never committed")
    return {}


@api.get("/raise-in-atomic")
def raise_in_atomic(request):
    with transaction.atomic():
        Note.objects.create(text="never committed")
        raise ValueError("on purpose")


@api.get("/cancelled")
async def cancelled(request):
    await Note.objects.acount()
    await asyncio.sleep(60)


@api.post("/anotes")
async def awrite(request):
    return 201, {"id": (await Note.objects.acreate(text="kept")).pk}


@api.get("/aleave-open")
async def aleave_open(request):
    await sync_to_async(transaction.set_autocommit)(False)
    await Note.objects.acreate(text="never committed")
    await asyncio.sleep(0.01)
    return {}


@sync_to_async
@transaction.atomic
def take_long():
    Note.objects.create(text="slow")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.05)")


@api.get("/aslow")
async def aslow(request):
    await take_long()
    return {"count": await Note.objects.acount()}


@api.get("/ticks")
def ticks(request):
    async def chunks():
        while True:
            yield f"{await Note.objects.acount()}\n"
            await asyncio.sleep(0.2)

    return Stream(chunks())


@api.get("/texts")
def texts(request):
    return {"texts": sorted(set(Note.objects.values_list("text", flat=True)))}


@api.get("/connections")
def connections(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type='client backend'")
        return {"connections": cursor.fetchone()[0]}
