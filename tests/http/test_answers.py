"""Routes without a handler, declared in Python; the vectors have those of files."""

import json

import pytest

from pybolt import BoltAPI, ConfigError, _engine
from pybolt.config import RunOptions, load
from pybolt.config.load import from_api
from pybolt.testing import Client


def test_they_are_declared_like_any_route():
    api = BoltAPI(security_headers=True)
    api.respond("/healthz", "ok", headers={"Cache-Control": "no-store"}, name="health")
    group = api.group("/shop")
    group.redirect("/old/{id}", "/shop/{id}/", status=308, keep_query=True)
    group.health("/readyz")
    group.respond("/gone", status=410, methods=["GET", "DELETE"])
    with Client(api) as client:
        health = client.get("/healthz")
        assert (health.status, health.text) == (200, "ok")
        assert health.headers["cache-control"] == "no-store"
        assert health.headers["x-content-type-options"] == "nosniff"
        moved = client.get("/shop/old/a%2Bb?page=2")
        assert (moved.status, moved.headers["location"]) == (308, "/shop/a%2Bb/?page=2")
        assert client.delete("/shop/gone").status == 410
        assert client.post("/shop/gone").headers["allow"] == "DELETE, GET, HEAD, OPTIONS"
        ready = client.get("/shop/readyz").json()
        assert (ready["status"], ready["version"], len(ready["hash"])) == ("ok", 1, 12)
        # Nothing of this ever asks for the interpreter.
        assert not any(route["handler"] for route in json.loads(_engine.routes(client.loaded.wire)))


def test_they_are_denied_like_any_route():
    api = BoltAPI(auth="deny")
    api.respond("/closed", "secret")
    api.respond("/open", "ok", auth="public")
    with Client(api) as client:
        assert client.get("/closed").status == 403
        assert client.get("/open").text == "ok"


def test_mistakes_name_the_line_that_declares():
    api = BoltAPI()
    api.redirect("/a/{id}", "/b/{pk}")
    api.respond("/c", status=99)
    found = from_api(api).check()
    assert [item.code for item in found] == ["E123", "E120"]
    assert all(item.position.file == __file__ for item in found)
    lines = [item.position.line for item in found]
    assert lines[1] == lines[0] + 1
    with pytest.raises(ConfigError, match="captures no `pk`"):
        Client(api)


def test_a_value_that_is_no_data_is_a_mistake_with_its_place():
    api = BoltAPI()
    api.respond("/c", b"bytes")  # type: ignore[arg-type]
    found = from_api(api).check()
    assert [(item.code, item.hint) for item in found] == [("E012", "write a str")]


DJANGO = """\
routes:
  - {path: "/{*rest}", auth: public}
groups:
  - prefix: /shop
    routes:
      - {path: "/basket/", methods: [GET, POST], name: basket, timeout: 5s}
"""


def left_to_django():
    api = BoltAPI()
    api.django("/{*rest}", auth="public")
    api.group("/shop").django("/basket/", methods=["GET", "POST"], name="basket", timeout="5s")
    return api


def test_a_route_that_is_djangos_is_the_one_of_a_file(tmp_path):
    file = tmp_path / "bolt.yaml"
    file.write_text(DJANGO)
    written = json.loads(load(RunOptions(config=str(file))).wire)["documents"][0]["config"]
    declared = json.loads(from_api(left_to_django()).wire)["documents"][0]["config"]
    assert {key: declared[key] for key in ("routes", "groups")} == written


def test_a_route_that_is_djangos_needs_a_project(tmp_path):
    file = tmp_path / "bolt.yaml"
    file.write_text(DJANGO)
    in_file = load(RunOptions(config=str(file))).check()
    declared = from_api(left_to_django()).check()
    assert [item.code for item in declared] == ["E052", "E052"]
    # A line is all that is known of the place of what Python declares: the key is named with it.
    assert [(item.message, item.hint) for item in declared] == [
        (f"path: {item.message}", item.hint) for item in in_file
    ]
    assert all(item.position.file == __file__ for item in declared)
    by_path = {item.message.rpartition(" ")[2]: item.position.line for item in declared}
    assert by_path["/shop/basket/"] == by_path["/{*rest}"] + 1


def test_a_string_is_no_list_of_djangos_methods():
    api = BoltAPI()
    api.django("/a", methods="GET")  # type: ignore[arg-type]
    found = from_api(api).check()
    assert found[0].message == "methods: expected a list, found a string"
