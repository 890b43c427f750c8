"""Views that tell what Django hears."""

import asyncio
import hashlib
import os
import tempfile
import threading
import time

from django.contrib.auth import authenticate, login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core import signals
from django.db import connection, transaction
from django.http import (
    FileResponse,
    HttpResponse,
    HttpResponseForbidden,
    JsonResponse,
    StreamingHttpResponse,
)
from django.views.decorators.csrf import csrf_exempt

seen = {"started": 0, "finished": 0}


def count(name):
    def receive(**kwargs):
        seen[name] += 1

    getattr(signals, f"request_{name}").connect(receive, weak=False)


count("started")
count("finished")


def told(request):
    return {
        "method": request.method,
        "path": request.path,
        "path_info": request.path_info,
        "script_name": request.META["SCRIPT_NAME"],
        "query": request.META["QUERY_STRING"],
        "address": request.META["REMOTE_ADDR"],
        "secure": request.is_secure(),
        "host": request.get_host(),
        "url": request.build_absolute_uri(),
        "meta": {k: v for k, v in request.META.items() if k.startswith(("HTTP_", "CONTENT_"))},
        "cookies": request.COOKIES,
        "thread": threading.current_thread().name,
        "principal": request.bolt.principal.id if request.bolt.principal else None,
        "params": request.bolt.params,
    }


@csrf_exempt
def echo(request, rest=None, pk=None, year=None):
    return JsonResponse(told(request) | {"rest": rest, "body": request.body.decode()})


@csrf_exempt
async def asynchronous(request):
    await asyncio.sleep(0.01)
    found = await User.objects.acount()
    return JsonResponse(told(request) | {"users": found})


def stream(request, kind):
    def produce():
        for number in range(5):
            yield f"{number}\n"
        if kind == "broken":
            # What fails as it begins may be cut off before its head is out.
            time.sleep(0.2)
            raise ValueError("on purpose")

    async def produce_async():
        for number in range(5):
            await asyncio.sleep(0.001)
            yield f"{number}\n"

    return StreamingHttpResponse(produce_async() if kind == "async" else produce())


def file(request):
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(b"0123456789" * 100_000)
    file.seek(0)
    return FileResponse(file, filename="numbers.bin", as_attachment=True)


@csrf_exempt
def upload(request):
    """Reads the body piece by piece, and tells how much memory that took."""
    digest, length = hashlib.sha256(), 0
    while chunk := request.read(65536):
        digest.update(chunk)
        length += len(chunk)
    with open("/proc/self/status") as status:
        resident = next(line for line in status if line.startswith("VmHWM"))
    return JsonResponse(
        {"length": length, "sha256": digest.hexdigest(), "kib": int(resident.split()[1])}
    )


@csrf_exempt
def form(request):
    files = {name: (file.name, file.read().decode()) for name, file in request.FILES.items()}
    return JsonResponse({"post": request.POST.dict(), "files": files})


def cookies(request):
    response = HttpResponse("set")
    response.set_cookie("a", "1", httponly=True)
    response.set_cookie("b", "2", secure=True)
    # Framing is the server's business, whatever a view says of it.
    response["Connection"] = "close"
    response["Keep-Alive"] = "timeout=1"
    response["Transfer-Encoding"] = "chunked"
    response["Content-Length"] = "2"
    return response


def fails(request):
    raise RuntimeError("on purpose")


@csrf_exempt
def log_in(request):
    user = authenticate(username=request.POST["username"], password=request.POST["password"])
    if user is None:
        return HttpResponseForbidden("wrong")
    login(request, user)
    return JsonResponse({"user": user.username})


@login_required
def me(request):
    return JsonResponse({"user": request.user.username})


@csrf_exempt
def write(request):
    """Leaves a transaction open."""
    transaction.set_autocommit(False)
    User.objects.create(username=f"left-{os.urandom(4).hex()}")
    return JsonResponse({"in_atomic_block": connection.in_atomic_block})


def signals_seen(request):
    return JsonResponse(seen)


def alive(request):
    return HttpResponse("alive")
