"""The command line as a user sees it: messages, positions, exit codes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

BROKEN = """\
version: 1
define:
  auth:
    jwt:
      type: jwt
      secret: ${JWT_SECRET}
      algorithms: [HS256]
      issuers: https://id.example.com/
  rate_limit:
    login: {rate: 5/15}
routes:
  - {path: /a, handler: "handlers:hello", auth: jwt, rate_limit: {login: on}}
  - {path: /b, handler: "handlers:helo", auth: public}
"""

FINE = """\
version: 1
define:
  cors:
    spa: {origins: ["https://app.example.com"]}
  auth:
    jwt: {type: jwt, secret: "${JWT_SECRET}", algorithms: [HS256]}
defaults:
  request_id: on
  rate_limit: {per_ip: {rate: 100/1m, burst: 50}}
groups:
  - name: api
    prefix: /api
    cors: spa
    auth: jwt
    routes:
      - {path: "/items/{id}", handler: "handlers:item", allow: 'scope("read")'}
routes:
  - {path: /hello, handler: "handlers:hello", auth: public}
"""

HANDLERS = """\
def hello(request):
    return {}

def item(request, id: int):
    return id
"""


def bolt(directory, *arguments, **environ):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JWT_SECRET": "s" * 40, "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pybolt", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        env=environment | environ,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.fixture
def project(tmp_path):
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "bolt.yaml").write_text(FINE)
    return tmp_path


def test_every_mistake_at_once_with_its_place(project):
    (project / "bolt.yaml").write_text(BROKEN)
    done = bolt(project, "check")
    assert done.returncode == 1
    assert (
        done.stdout
        == """\
bolt.yaml:8:7 error[E014]: unknown key `issuers` in define.auth.jwt
    8 |       issuers: https://id.example.com/
      |       ^^^^^^^ did you mean `issuer`?
bolt.yaml:10:19 error[E031]: rate `5/15` has no unit
   10 |     login: {rate: 5/15}
      |                   ^^^^ write `5/15m` or `5/15s`
bolt.yaml:13:25 error[E008]: `handlers` has no `helo`
   13 |   - {path: /b, handler: "handlers:helo", auth: public}
      |                         ^^^^^^^^^^^^^^^ did you mean `handlers:hello`?
3 errors; nothing was started
"""
    )


def test_the_same_as_json(project):
    (project / "bolt.yaml").write_text(BROKEN)
    done = bolt(project, "check", "--format", "json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert sorted(item["code"] for item in found) == ["E008", "E014", "E031"]
    assert {item["position"]["line"] for item in found} == {8, 10, 13}


def test_a_fine_configuration_lists_what_is_public(project):
    done = bolt(project, "check")
    assert (done.returncode, done.stdout) == (0, "fine: 2 routes, 1 public\n  GET /hello\n")


def test_warnings_are_errors_only_when_strict(project):
    (project / "bolt.yaml").write_text(
        FINE.replace("auth: jwt\n", "auth: public\n").replace(", allow: 'scope(\"read\")'", "")
    )
    assert bolt(project, "check").returncode == 0
    done = bolt(project, "check", "--strict")
    assert done.returncode == 1
    assert "W021" in done.stdout


def test_explain_names_the_route_the_chain_and_where_it_stops(project):
    done = bolt(project, "explain", "GET", "/api/items/7", "-H", "Origin: https://app.example.com")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "route   api › GET /api/items/{id}   bolt.yaml:16   id=7"
    assert lines[1] == "handler handlers:item"
    stages = {line.split()[1]: line for line in lines[2:-1] if line[:2].strip().isdigit()}
    assert list(stages) == ["request_id", "cors", "rate_limit", "auth", "allow", "body_limit"]
    assert "bolt.yaml:13 → bolt.yaml:4" in stages["cors"]
    assert stages["auth"].endswith("← stops here: 401")
    assert "answer  401 (unauthorized), from Rust" in lines
    assert "        access-control-allow-origin: https://app.example.com" in lines
    assert "        www-authenticate: Bearer" in lines


def test_explain_of_nothing(project):
    done = bolt(project, "explain", "GET", "/nowhere")
    assert done.stdout.startswith("route   none")
    assert "answer  404 (not_found), from Rust" in done.stdout


def test_routes(project):
    done = bolt(project, "routes")
    assert done.returncode == 0
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["METHODS", "PATH", "HANDLER"],
        ["GET", "/api/items/{id}", "handlers:item"],
        ["GET", "/hello", "handlers:hello"],
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run"], 2, "nothing to serve"),
        (["run", "--port", "70000", "x:y"], 2, "is not a port"),
        (["run", "--workers", "0", "x:y"], 2, "is not a number of workers"),
        (["frobnicate"], 2, "invalid choice"),
        (["explain", "GET", "/", "-H", "nocolon", "--app", "x"], 2, "is not a header"),
        (["run", "nowhere:api"], 1, "there is no module `nowhere`"),
        (["run", "nowhere.py"], 1, "there is no file nowhere.py"),
        (["check", "--config", "nowhere.yaml"], 1, "cannot read nowhere.yaml"),
        (["run", "json:dumps"], 1, "not a BoltAPI"),
    ],
)
def test_one_clear_message_and_the_right_exit_code(tmp_path, arguments, code, says):
    done = bolt(tmp_path, *arguments)
    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_undefined_secret_stops_the_start(project):
    (project / "bolt.yaml").write_text(FINE.replace("JWT_SECRET", "NOT_SET_ANYWHERE"))
    done = bolt(project, "run", "--port", "0")
    assert done.returncode == 1
    assert "bolt.yaml:6:" in done.stderr
    assert "NOT_SET_ANYWHERE is not set" in done.stderr


def test_a_busy_port_and_a_strange_host_are_one_line(project):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        done = bolt(project, "run", "--port", str(busy.getsockname()[1]))
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    done = bolt(project, "run", "--host", "192.0.2.1", "--port", "0")
    assert done.returncode == 1
    assert "this machine has no such address" in done.stderr


def test_a_conflict_shows_both_places(project):
    (project / "app.py").write_text(
        "from pybolt import BoltAPI\napi = BoltAPI()\n"
        "@api.get('/hello', timeout='5s')\ndef hello(request):\n    return {}\n"
    )
    (project / "bolt.yaml").write_text("version: 1\nroutes:\n  - {path: /hello, timeout: 6s}\n")
    done = bolt(project, "check", "app:api")
    assert done.returncode == 1
    assert "error[E050]: `timeout` is set in two places" in done.stdout
    assert "bolt.yaml:3" in done.stdout
    assert "app.py:3" in done.stdout


def test_a_handler_that_cannot_be_is_named_with_its_place(project):
    (project / "app.py").write_text(
        "from pybolt import BoltAPI\napi = BoltAPI()\n"
        "@api.get('/x/{a}')\ndef x(request, a: object):\n    return {}\n"
        "@api.get('/y')\nasync def y(request):\n    yield b''\n"
        "@api.get('/z')\ndef z():\n    return {}\n"
    )
    (project / "bolt.yaml").unlink()
    done = bolt(project, "check", "app.py")
    assert done.returncode == 1
    assert done.stdout.count("error[E009]") == 3
    for line in ("app.py:3:1", "app.py:6:1", "app.py:9:1"):
        assert line in done.stdout


def test_help_teaches():
    done = bolt(ROOT, "--help")
    assert done.returncode == 0
    for word in ("run", "check", "explain", "examples:", "Exit codes"):
        assert word in done.stdout


def test_what_is_no_data_is_named_with_its_place(project):
    (project / "app.py").write_text(
        "import datetime\nfrom pybolt import BoltAPI, JWTAuth, RateLimit\n"
        "api = BoltAPI(rate_limit={'a': RateLimit('1/1s', burst=float('nan'))})\n"
        "@api.get('/x', timeout=datetime.timedelta(seconds=5))\ndef x(request):\n    return {}\n"
        "@api.get('/y', auth=JWTAuth(secret=b'5ECRET77' * 5, algorithms=['HS256']))\n"
        "def y(request):\n    return {}\n"
        "@api.route('/z', methods='POST')\ndef z(request):\n    return {}\n"
    )
    (project / "bolt.yaml").unlink()
    done = bolt(project, "check", "app.py", "--format", "json")
    assert done.returncode == 1
    assert "5ECRET77" not in done.stdout.replace("b'5ECRET77' * 5", "")
    found = json.loads(done.stdout)
    assert [
        (item["position"]["line"], item["code"], item["message"], item["hint"])
        for item in found
        if item["severity"] == "error"
    ] == [
        (3, "E012", "rate_limit.a.burst: expected a number, found nan", "write a finite number"),
        (4, "E012", "timeout: expected plain data, found timedelta", "write '5s'"),
        (7, "E012", "auth.secret: expected plain data, found bytes", "write a str"),
        (10, "E012", "methods: expected a list, found a string", "write `methods=['POST']`"),
    ]
