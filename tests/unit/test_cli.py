"""The command line as a user sees it: messages, positions, exit codes."""

import json
import socket
import time

import pytest

from pybolt.config.sources import Sources
from tests.command import ROOT, beside, python
from tests.live.server import Server
from tests.unit.command import BROKEN, FINE, bolt, bolts


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
`bolt check --explain E008` tells what a code means
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


def test_routes(project):
    done = bolt(project, "routes")
    assert done.returncode == 0
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["METHODS", "PATH", "HANDLER"],
        ["GET", "/api/items/{id}", "handlers:item"],
        ["GET", "/hello", "handlers:hello"],
    ]


#: Each a command, its exit code and what it says.
REFUSED = [
    (["run"], 2, "no app and no bolt.yaml here"),
    (["run", "--port", "70000", "x:y"], 2, "is not a port"),
    (["run", "--workers", "0", "x:y"], 2, "is not a number of workers"),
    (["run", "--prot", "1", "x:y"], 2, "unknown argument `--prot`; did you mean `--port`?"),
    (["run", "--nothing"], 2, "usage: bolt run "),
    (["chek"], 2, "there is no command `chek`; did you mean `check`?"),
    (["frobnicate"], 2, "there is no command `frobnicate`: run, reload, status"),
    (["explain", "GET", "/", "x", "-H", "nocolon"], 2, "is not a header"),
    (["migrate", "--fake"], 2, "what is Django's goes behind `--`"),
    (["migrate", "nosuch"], 2, "there is no app with the label `nosuch`; there are auth"),
    (["makemigrations", "nosuch"], 2, "there is no app with the label `nosuch`"),
    (["createuser", ""], 2, "may not be empty"),
    (["createuser", "ann", "--password", ""], 2, "may not be empty"),
    (["createuser", "ann"], 2, "the password may not be empty"),
    (["createuser", "ann", "--password", "x"], 1, "`bolt migrate` makes its tables"),
    (["run", "nowhere:api"], 1, "there is no module `nowhere`"),
    (["run", "nowhere.py"], 1, "there is no file nowhere.py"),
    (["check", "--config", "nowhere.yaml"], 1, "cannot read nowhere.yaml"),
    (["run", "json:dumps"], 1, "not a BoltAPI"),
]


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """What all of them did, each in a directory of its own."""

    def run(row):
        return bolt(tmp_path_factory.mktemp("refused"), *row[0])

    return beside(run, REFUSED)


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=lambda n: " ".join(REFUSED[n][0]))
def test_one_clear_message_and_the_right_exit_code(refused, number):
    done, (_, code, says) = refused[number], REFUSED[number]
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
    done = bolt(project, "check", "app:api", "--config", "bolt.yaml")
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


def test_a_handler_in_a_file_is_a_name_and_never_a_number(project):
    routes = "  - {path: /a, handler: {index: 0, name: x, is_async: false, request_body: none}}\n"
    (project / "bolt.yaml").write_text(
        f"version: 1\nroutes:\n{routes}  - {{path: /b, handler: }}\n"
    )
    done = bolt(project, "check", "--config", "bolt.yaml")
    assert done.returncode == 1
    assert done.stdout.count("error[E009]: a handler in a file is the name of a function") == 2
    assert "bolt.yaml:3:25" in done.stdout
    assert "2 errors" in done.stdout


def test_a_file_that_was_not_named_is_read_only_where_no_app_is(project):
    (project / "app.py").write_text(
        "from pybolt import BoltAPI\napi = BoltAPI()\n"
        "@api.get('/x')\ndef x(request):\n    return 1\n"
    )
    assert bolt(project, "check", "app.py").stdout.startswith("fine: 1 route, all public")
    assert bolt(project, "check").stdout.startswith("fine: 2 routes")
    both = bolt(project, "check", "app.py", "--config", "bolt.yaml")
    assert both.stdout.startswith("fine: 3 routes")


def test_words_and_options_for_django_are_handed_on(project):
    (project / "bolt.yaml").unlink()
    done = bolt(project, "migrate", "contenttypes", "0001", "--", "--plan")
    assert done.returncode == 0
    assert "contenttypes.0001_initial" in done.stdout
    assert "contenttypes.0002" not in done.stdout
    assert bolt(project, "makemigrations", "--", "--check").returncode == 0


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        # An unset secret is not also a short one, and says nothing about limits by identity.
        (
            "version: 1\nroutes:\n  - {path: /, handler: 'handlers:hello', auth: {type: jwt, "
            "secret: '${UNSET}', algorithms: [HS256]}, rate_limit: {a: {rate: 1/1s, "
            "key: 'claim:sub'}}}\n",
            ["E006"],
        ),
        (
            "version: 1\nserver: {listen: [8000]}\nroutes:\n"
            "  - {path: /, handler: 'handlers:hello'}\n",
            ["E012"],
        ),
        ("version: 1\nroutes:\n  - {path: /, handler: 'json:dumps'}\n", ["E009"]),
        ("version: 1\nroutes: [\n", ["E001"]),
        ("version: 1\napp: nowhere:api\nroutes:\n  - {path: /x, timeout: 5s}\n", ["E008"]),
    ],
)
def test_one_cause_is_one_mistake(project, text, codes):
    (project / "bolt.yaml").write_text(text)
    done = bolt(project, "check", "--format", "json")
    assert [item["code"] for item in json.loads(done.stdout)] == codes


def test_what_a_declaration_in_python_says_wrong_is_named(project):
    (project / "app.py").write_text(
        "from pybolt import CORS, BoltAPI, RateLimit\n"
        "api = BoltAPI(cors=CORS(origins='https://a.example.com'), "
        "rate_limit=RateLimit('100/1m', burst=5))\n"
        "@api.get('/{id}')\ndef one(request, id: int):\n    return {}\n"
        "@api.post('/{pk}')\ndef two(request, pk: int):\n    return {}\n"
    )
    done = bolt(project, "check", "app.py")
    assert "error[E012]: cors.origins: expected a list, found a string" in done.stdout
    assert 'write a list: `["https://a.example.com"]`' in done.stdout
    assert "error[E012]: rate_limit: a limit needs a name" in done.stdout
    assert "write `rate_limit={\"per_ip\": RateLimit(rate='100/1m', burst=5)}`" in done.stdout
    assert "3 errors" in done.stdout
    assert "error[E054]: `/{pk}`: the same paths as `/{id}`" in done.stdout
    assert "app.py:3:1 the other pattern" in done.stdout


def test_a_worker_whose_configuration_went_wrong_says_so(project):
    # What it cannot do any more: the variable was there when the supervisor looked.
    content = Sources({"bolt.yaml": b"version: ${VERSION}\n"}).dump()
    (project / "snapshot").write_bytes(content)
    with (project / "snapshot").open("rb") as snapshot:
        job = {
            "listeners": [0],
            "control": 0,
            "report": 0,
            "snapshots": [],
            "version": 1,
            "limits": 0,
        }
        job |= {"snapshot": [snapshot.fileno(), len(content)], "switches": []}
        done = serve_once(project, json.dumps(job), snapshot.fileno())
    assert done.returncode == 1
    assert done.stderr.startswith("bolt.yaml:1:10 error[E006]")


def serve_once(project, job, descriptor):
    words = ("-m", "pybolt.worker", "serve", job, "config=bolt.yaml")
    return python(project, *words, pass_fds=[descriptor])


def test_reload_shows_what_is_served_then_and_logs_requests(tmp_path):
    app = tmp_path / "app.py"
    text = "from pybolt import BoltAPI\napi = BoltAPI()\n"
    text += "@api.get('/v')\ndef v(request):\n    return {}\n"
    app.write_text(text)
    with Server(tmp_path, "app.py", "--reload") as server:
        assert server.request("GET", "/v")[0] == 200
        app.write_text(text + "@api.get('/w')\ndef w(request):\n    return {}\n")
        deadline = time.monotonic() + 30
        while "routes    2" not in server.log() or " GET /v 200 " not in server.log():
            assert time.monotonic() < deadline, server.log()
            time.sleep(0.05)
        assert "log       every request" in server.log()


def test_reload_leaves_a_log_alone_that_is_configured(tmp_path):
    (tmp_path / "app.py").write_text(
        "from pybolt import BoltAPI\napi = BoltAPI(access_log='off')\n"
        "@api.get('/v')\ndef v(request):\n    return 1\n"
    )
    with Server(tmp_path, "app.py", "--reload") as server:
        assert "log       no requests; `access_log: on` logs them" in server.log()


def test_help_teaches():
    commands = ("run", "check", "explain", "routes", "migrate", "makemigrations")
    asked = ([command, "--help"] for command in commands)
    done, plain, version, *told = bolts(ROOT, ["--help"], [], ["--version"], *asked)
    assert done.returncode == 0
    for word in ("run", "check", "explain", "examples:", "Exit codes"):
        assert word in done.stdout
    assert plain.stdout == done.stdout
    assert version.stdout.startswith("bolt ")
    for command, found in zip(commands, told, strict=True):
        assert f"examples:\n  bolt {command}" in found.stdout


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
