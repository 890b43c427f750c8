"""Handlers below a prefix that they do not see, and what Django makes of it."""

import asyncio
import sys

from django.test import override_settings
from django.urls import path, reverse

from pybolt import BoltAPI, Rewrite, Stream
from pybolt.testing import Client

urlpatterns = [path("items/<int:number>/", lambda request: None, name="item")]


def declared() -> BoltAPI:
    api = BoltAPI()
    shop = api.group("/shop", rewrite=Rewrite(strip_prefix="/shop"))

    def told(request):
        return {
            "path": request.path,
            "original_path": request["original_path"],
            "script_name": request.script_name,
            "url": reverse("item", args=[7]),
        }

    @shop.get("/sync/{id}")
    def sync(request, id: int):
        return told(request)

    @shop.get("/async")
    async def quick(request):
        return told(request)

    @shop.get("/later")
    async def later(request):
        await asyncio.sleep(0.01)
        return told(request)

    @shop.get("/stream")
    def stream(request):
        return Stream(reverse("item", args=[number]) for number in range(2))

    @api.get("/root")
    def root(request):
        return told(request)

    @api.get("/old/{id}", rewrite=Rewrite(to="/new/{id}"))
    def moved(request, id: str):
        return told(request)

    return api


@override_settings(ROOT_URLCONF=sys.modules[__name__])
def test_a_handler_sees_the_rest_and_reverse_the_whole():
    with Client(declared()) as client:
        for rest in ["/sync/1", "/async", "/later"] * 2:
            assert client.get(f"/shop{rest}").json() == {
                "path": rest,
                "original_path": f"/shop{rest}",
                "script_name": "/shop",
                "url": "/shop/items/7/",
            }
            # Nobody else is below the prefix.
            assert client.get("/root").json() == {
                "path": "/root",
                "original_path": "/root",
                "script_name": "",
                "url": "/items/7/",
            }
        assert client.get("/shop/stream").text == "/shop/items/0//shop/items/1/"
        assert client.get("/old/7").json()["path"] == "/new/7"
        assert client.get("/old/7").json()["url"] == "/items/7/"
