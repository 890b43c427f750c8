"""One file, no settings: a model, sync and async handlers, the whole ORM.

bolt run examples/embedded_app.py
"""

from typing import Annotated

import msgspec
from django.db import models
from django.db.models import F

from pybolt import JSON, BoltAPI, HTTPError, Query

api = BoltAPI()


class Note(models.Model):
    """A line of text and how often it was read."""

    text = models.CharField(max_length=200)
    reads = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)


class NewNote(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends to make a note."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


@api.get("/hello")
def hello(request):
    return {"message": "Hello, World!"}


@api.get("/hello-async")
async def hello_async(request):
    return {"message": "Hello, World!"}


@api.get("/notes")
def list_notes(request, limit: Annotated[int, Query()] = 20):
    return Note.objects.order_by("-id").values("id", "text", "reads", "created")[: min(limit, 100)]


@api.post("/notes")
def create_note(request, body: NewNote):
    note = Note.objects.create(text=body.text)
    return JSON({"id": note.pk, "text": note.text}, status=201)


@api.get("/notes/{note_id}")
async def read_note(request, note_id: int):
    await Note.objects.filter(pk=note_id).aupdate(reads=F("reads") + 1)
    note = await Note.objects.filter(pk=note_id).values("id", "text", "reads", "created").afirst()
    if note is None:
        raise HTTPError(404, "no such note")
    return note
