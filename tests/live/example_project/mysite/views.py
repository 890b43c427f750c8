"""Views that tell who asks."""

import time

from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt


def report(request, pk):
    time.sleep(float(request.GET.get("seconds", 0)))
    return JsonResponse({"report": pk, "user": request.bolt.principal.id})


def partner(request, rest):
    return JsonResponse({"partner": request.bolt.principal.id, "rest": rest})


def me(request):
    return JsonResponse({"user": request.bolt.principal.id, "client": request.META["REMOTE_ADDR"]})


def about(request):
    return HttpResponse("about " * int(request.GET.get("words", 1)))


def slow(request):
    time.sleep(float(request.GET.get("seconds", 0)))
    return HttpResponse("done")


@csrf_exempt
def upload(request):
    return HttpResponse(str(len(request.body)))
