"""Plain functions; every route and policy is in bolt.yaml beside this file."""

STOCK = {"1": "lamp", "2": "chair"}


def list_items(request):
    return STOCK


async def read_item(request, item_id: int):
    name = STOCK.get(str(item_id))
    return {"id": item_id, "name": name} if name else (404, {"error": "no such item"})


def whoami(request):
    return {"id": request.principal.id, "roles": request.principal.roles}
