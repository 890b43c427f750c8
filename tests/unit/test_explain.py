"""``bolt explain``: the route, the chain, the decision, and whose it is."""

import json

import pytest

from tests.unit.command import FINE, bolt, bolts

PREFLIGHT = ["-H", "Origin: https://app.example.com", "-H", "Access-Control-Request-Method: GET"]


def test_explain_names_the_route_the_chain_and_where_it_stops(project):
    done = bolt(project, "explain", "GET", "/api/items/7", "-H", "Origin: https://app.example.com")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "route   api › GET /api/items/{id}   bolt.yaml:16   id=7"
    assert lines[1] == "handler handlers:item (sync)"
    stages = {line.split()[1]: line for line in lines[2:-1] if line[:2].strip().isdigit()}
    assert list(stages) == [
        "request_id",
        "cors",
        "rate_limit",
        "auth",
        "allow",
        "body_limit",
        "python",
    ]
    assert ":13 → define :4" in stages["cors"]
    assert stages["auth"].endswith("← stops here: 401")
    assert "answer  401 (unauthorized), from Rust" in lines
    assert "        access-control-allow-origin: https://app.example.com" in lines
    assert "        www-authenticate: Bearer" in lines


def test_explain_of_nothing(project):
    done = bolt(project, "explain", "GET", "/nowhere")
    assert done.stdout.startswith("route   none")
    assert "answer  404 (not_found), from Rust" in done.stdout


def test_explain_refuses_what_is_no_request(project):
    for done in bolts(
        project,
        ["explain", "GET", "http://bad host/"],
        ["explain", "GET", "/a b"],
        ["explain", "G T", "/"],
        ["explain", "GET", "/", "-H", "bad name: x"],
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1


def test_explain_speaks_of_whoever_asks(project):
    rules = "defaults: {ip: {allow: [10.0.0.0/8, 'fd00::/8']}}\nroutes: [{path: /, respond: {}}]\n"
    (project / "bolt.yaml").write_text(f"version: 1\n{rules}")
    peers = ("10.1.2.3", "fd00::1", "192.0.2.1", "here")
    asked = (["explain", "GET", "/", "--peer", peer, "--format", "json"] for peer in peers)
    *told, done = bolts(project, *asked)
    outcomes = [json.loads(one.stdout)["outcome"]["status"] for one in told]
    assert outcomes == [200, 200, 403]
    assert (done.returncode, done.stdout) == (2, "")
    assert "'here' is not an address" in done.stderr


def test_explain_logs_nothing(project):
    (project / "bolt.yaml").write_text(FINE.replace("request_id: on", "access_log: on"))
    done = bolt(project, "explain", "GET", "/hello", "--format", "json")
    told = json.loads(done.stdout)
    assert told["stages"][0]["slot"] == "access_log"
    assert told["outcome"]["handler"] is True


@pytest.mark.parametrize(
    ("arguments", "slot", "status"),
    [
        (["GET", "/nowhere"], "gate", 404),
        (["POST", "/hello"], "gate", 405),
        (["OPTIONS", "/hello"], "gate", 204),
        (["GET", "/hello%2f"], "gate", 400),
        (["GET", "/api/items/7"], "auth", 401),
        (["GET", "/hello"], None, 200),
        (
            ["OPTIONS", "/api/items/7", *PREFLIGHT],
            "cors",
            204,
        ),
    ],
)
def test_explain_says_where_a_request_stops(project, arguments, slot, status):
    done = bolt(project, "explain", *arguments, "--format", "json")
    outcome = json.loads(done.stdout)["outcome"]
    assert (outcome["stops"], outcome["status"]) == (slot, status)
