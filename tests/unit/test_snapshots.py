"""What the command line prints, whole, as files in ``snapshots/``.

``UPDATE_SNAPSHOTS=1 pytest tests/unit/test_snapshots.py`` writes them anew; then read the diff.
"""

import os
import re
from pathlib import Path

import pytest

from tests.live.server import Server
from tests.unit.command import bolts

SNAPSHOTS = Path(__file__).parent / "snapshots"

APP = """\
from pybolt import BoltAPI, JWTAuth

api = BoltAPI()
TOKEN = JWTAuth(secret="${JWT_SECRET}", algorithms=["HS256"])


@api.get("/", auth="public")
def index(request):
    return {}


@api.post("/items/{id}", auth=TOKEN, allow='scope("write")')
async def write(request, id: int):
    return id


@api.get("/private")
def private(request):
    return {}
"""

POLICY = """\
version: 1
define:
  cors:
    spa: {origins: ["https://app.example.com"], allow_headers: [content-type], max_age: 10m}
  rate_limit:
    per_ip: {rate: 100/1m, burst: 50}
defaults:
  request_id: on
  access_log: {format: json}
  security_headers: {hsts: 1y}
  cors: spa
  compress: on
  rate_limit: {per_ip: on}
routes:
  - path: /items/{id}
    timeout: 1500ms
    body_limit: 64KiB
    rate_limit: {writes: {rate: 20/1h, key: "claim:sub"}}
    python: {run: queue, concurrency: 64, queue: 128}
"""

MISTAKES = """\
version: 1
server:
  listen: [8000, localhost]
  workers: 0
define:
  auth:
    jwt: {type: jwt, secret: "${NOT_SET_ANYWHERE}", algorithms: [HS256]}
    short: {type: jwt, secret: secret, algorithms: [HS256], issuers: x}
  cors:
    spa: {origins: "https://app.example.com"}
    unused: {origins: ["*"], credentials: on}
defaults:
  timeout: 15
  timeout: 15s
  body_limit: lots
groups:
  - prefix: api/
    routes:
      - {path: /a, handler: "handlers:helo", auth: jwt}
      - {path: /b, handler: "raises:one", cors: spa}
      - {path: /c, handler: "raises:two", cors: spb}
routes:
  - {path: "/i/<int:id>", handler: "handlers:hello", auth: public, allow: 'role("x")'}
  - {path: "/x/{id}", handler: "handlers:hello", auth: short, allow: 'rol("x")'}
  - {path: "/x/{pk}", methods: [post], handler: "handlers:hello", rate_limit: {a: {rate: 5/15}}}
  - {path: /nobody, timeout: 0s}
"""

WRONG_APP = """\
from pybolt import CORS, BoltAPI, JWTAuth, RateLimit

api = BoltAPI(cors=CORS(origins="https://app.example.com"), rate_limit=RateLimit("100/1m"))


@api.get("/{id}", auth=JWTAuth(secret="${NOT_SET_ANYWHERE}", algorithms=["HS256"]))
def one(request, id: object):
    return {}


@api.post("/{pk}", auth="tokn", timeout="5")
def two(request, pk: int):
    return {}
"""

FAILING = {
    "missing.py": "import pybolt\nimport nosuchlib\n",
    "raising.py": "import json\n\njson.loads('{')\n",
    "syntax.py": "def hello(:\n    pass\n",
    "declaring.py": "from pybolt import JWTAuth\n\nAUTH = JWTAuth(secret='x')\n",
    "ending.py": "import sys\n\nsys.exit(3)\n",
    "empty.py": "",
}


def compare(name, text):
    path = SNAPSHOTS / f"{name}.txt"
    if "UPDATE_SNAPSHOTS" in os.environ:
        path.write_text(text)
    assert text == path.read_text()


def transcript(directory, *commands, **environ):
    """What the commands print, as a terminal shows it; none of them may need another."""
    text = []
    for command, done in zip(commands, bolts(directory, *commands, **environ), strict=True):
        shown = " ".join(f"'{word}'" if " " in word else word for word in command)
        text.append(f"$ bolt {shown}\n{done.stdout}{done.stderr}[{done.returncode}]\n")
    found = "\n".join(text).replace(str(directory), "/project")
    found = re.sub(r'etag: "[^"]+"', 'etag: "(a tag)"', found)
    return re.sub(r"x-request-id: [0-9a-f]{32}", "x-request-id: (32 digits)", found)


SITE = {
    "shop/__init__.py": "",
    "shop/settings.py": 'SECRET_KEY = "x" * 50\nROOT_URLCONF = "shop.urls"\n',
    "shop/urls.py": """\
from django.http import HttpResponse
from django.urls import include, path, re_path


def view(request, **params):
    return HttpResponse()


reports = [path("", view, name="list"), path("<int:pk>/", view, name="detail")]
urlpatterns = [
    path("api/reports/", include((reports, "reports"))),
    path("about/", view),
    path("shop/<path:rest>", view, name="shop"),
    re_path(r"^archive/(?P<year>[0-9]{4})/$", view, name="archive"),
    path("healthz", view, name="health"),
]
""",
    "bolt.yaml": """\
version: 1
settings: shop.settings
define:
  auth:
    jwt: {type: jwt, secret: "${JWT_SECRET}", algorithms: [HS256]}
defaults: {auth: deny, timeout: 15s}
groups:
  - name: api
    prefix: /api
    auth: jwt
    routes:
      - path: "/reports/{id}/"
        methods: [GET]
        allow: 'scope("reports:read")'
        timeout: {first_byte: 5s, total: off}
      - {path: "/reports/{id}/", methods: [PUT], timeout: {total: 1m}}
routes:
  - {path: /healthz, respond: {body: ok}, auth: public}
  - {path: "/shop/{*rest}", auth: django, python: {concurrency: 4}}
""",
}


@pytest.fixture
def site(tmp_path):
    for name, text in SITE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def project(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


def test_mistakes_of_a_file(tmp_path):
    (tmp_path / "bolt.yaml").write_text(MISTAKES)
    (tmp_path / "handlers.py").write_text("def hello(request):\n    return {}\n")
    (tmp_path / "raises.py").write_text("LIMITS = {}\nLIMIT = LIMITS['default']\n")
    compare("check_file", transcript(tmp_path, ["check"]))


def test_mistakes_of_declarations(tmp_path):
    (tmp_path / "app.py").write_text(WRONG_APP)
    compare("check_app", transcript(tmp_path, ["check", "app.py"]))


def test_apps_that_cannot_be_imported(tmp_path):
    for name, text in FAILING.items():
        (tmp_path / name).write_text(text)
    commands = [["check", name] for name in FAILING]
    commands += [["check", "nowhere:api"], ["check", "nowhere.py"], ["check", "."]]
    compare("check_import", transcript(tmp_path, *commands))


def test_settings_that_cannot_be_used(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "importing.py").write_text("SECRET_KEY = 'x'\nimport nosuchlib\n")
    (tmp_path / "listing.py").write_text("SECRET_KEY = 'x'\nINSTALLED_APPS = ['nosuchapp']\n")
    (tmp_path / "models.py").write_text("SECRET_KEY = 'x'\nINSTALLED_APPS = ['shop']\n")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text("1 / 0\n")
    (tmp_path / "bolt.yaml").write_text("version: 1\nsettings: importing\napp: app:api\n")
    found = transcript(tmp_path, ["check"])
    for settings in ("no.such", "importing", "listing", "models"):
        found += f"\nDJANGO_SETTINGS_MODULE={settings}\n"
        found += transcript(tmp_path, ["check", "app.py"], DJANGO_SETTINGS_MODULE=settings)
    compare("check_settings", found)


def test_explain(project):
    both = ["app.py", "--config", "policy.yaml"]
    origin = ["-H", "Origin: https://app.example.com"]
    asks = ["-H", "Access-Control-Request-Method: POST"]
    commands = [
        ["explain", "GET", "/", *both, *origin],
        ["explain", "POST", "/items/7", *both],
        ["explain", "GET", "/private", *both],
        ["explain", "GET", "/nowhere", *both, *origin],
        ["explain", "GET", "/items/7", *both],
        ["explain", "OPTIONS", "/items/7", *both],
        ["explain", "OPTIONS", "/items/7", *both, *origin, *asks],
        ["explain", "GET", "http://bad host/", *both],
    ]
    compare("explain", transcript(project, *commands))


def test_explain_of_credentials_that_do_not_suffice(project):
    import jwt

    claims = {"sub": "ann", "exp": 4102444800, "scope": "read"}
    token = jwt.encode(claims, "s" * 40, algorithm="HS256")
    command = ["explain", "POST", "/items/7", "app.py", "-H", f"Authorization: Bearer {token}"]
    compare("explain_403", transcript(project, command).replace(token, "(a token without it)"))


ANSWERS = """\
version: 1
defaults: {auth: deny, access_log: on}
routes:
  - {path: /healthz, respond: {body: ok}, auth: public}
  - {path: "/old/{id}", redirect: {to: "/new/{id}", status: 308, keep_query: on}, auth: public}
  - {path: /closed, respond: {status: 410}}
"""


def test_answers_from_rust(tmp_path):
    (tmp_path / "bolt.yaml").write_text(ANSWERS)
    commands = [
        ["check"],
        ["routes"],
        ["explain", "GET", "/healthz"],
        ["explain", "GET", "/old/7?page=2"],
        ["explain", "GET", "/closed"],
        ["explain", "POST", "/healthz"],
    ]
    compare("answers", transcript(tmp_path, *commands))


FILES = """\
version: 1
define:
  auth:
    session:
      type: api_key
      keys: "acme:sha256:afacab3575137afa4e00d9cbcafcb14c9ae25f779d964eb0ea5b2c4eb5dfd163"
routes:
  - path: "/static/{*path}"
    files: {root: www, precompressed: [br, gzip], index: index.html, cache: 1h, types: {ours: a/b}}
    auth: public
  - {path: "/private/{*path}", files: {root: www, cache: off, immutable: off}, auth: session}
"""


def test_files(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a.css").write_text("a {}")
    os.utime(tmp_path / "www" / "a.css", (784_111_777, 784_111_777))
    (tmp_path / "bolt.yaml").write_text(FILES)
    (tmp_path / "wrong.yaml").write_text(
        FILES.replace("root: www, c", "root: ww, c").replace("[br, gzip]", "[brotli]")
    )
    commands = [
        ["check"],
        ["routes"],
        ["explain", "GET", "/static/a.css"],
        ["explain", "GET", "/private/a.css"],
        ["explain", "GET", "/static/b.css"],
        ["check", "--config", "wrong.yaml"],
    ]
    compare("files", transcript(tmp_path, *commands))


GUARDS = """\
version: 1
define:
  ip:
    office: {allow: [10.0.0.0/8, "fd00::/8"], deny: [10.6.6.6]}
defaults:
  csrf: {trusted_origins: ["https://app.example.com"]}
  response_headers: {set: {X-Env: test}, remove: [Server]}
  request_headers: {remove: [Cookie], principal: X-User}
routes:
  - {path: /admin, methods: [POST], handler: "handlers:hello", ip: office}
  - {path: /write, methods: [POST], handler: "handlers:hello"}
  - {path: /closed, handler: "handlers:hello", maintenance: {allow: [10.0.0.0/8], retry_after: 1h}}
"""


SENDING = """\
version: 1
server:
  hosts: [example.com, www.example.com]
  canonical_host: example.com
  trusted_proxies: [127.0.0.1]
  https_redirect: on
  paths: {trailing_slash: django}
routes:
  - {path: /items/, respond: {body: ok}}
"""


def test_explain_of_what_the_server_redirects(tmp_path):
    (tmp_path / "bolt.yaml").write_text(SENDING)
    tls = ["-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-For: 192.0.2.1"]
    commands = [
        ["explain", "GET", "http://www.example.com/items/?a=1"],
        ["explain", "GET", "http://example.com/items?a=1", *tls],
        ["explain", "GET", "http://example.com/items/", *tls],
    ]
    compare("explain_redirects", transcript(tmp_path, *commands))


def test_explain_of_guards(tmp_path):
    (tmp_path / "bolt.yaml").write_text(GUARDS)
    (tmp_path / "handlers.py").write_text("def hello(request):\n    return {}\n")
    evil = ["-H", "Origin: https://evil.test"]
    commands = [
        ["explain", "POST", "/admin"],
        ["explain", "POST", "/write"],
        ["explain", "POST", "/write", *evil],
        ["explain", "GET", "/closed"],
        ["explain", "GET", "/closed", "--peer", "10.6.6.6"],
    ]
    compare("explain_guards", transcript(tmp_path, *commands))


def test_routes(project):
    (project / "policy.yaml").write_text(POLICY)
    compare("routes", transcript(project, ["routes", "app.py", "--config", "policy.yaml"]))


@pytest.mark.parametrize("arguments", [[], ["--config", "policy.yaml"]], ids=["plain", "policy"])
def test_banner(project, arguments, request):
    (project / "bolt.yaml").write_text("version: 1\n")
    with Server(project, "app.py", *arguments, environ={"JWT_SECRET": "s" * 40}) as server:
        text = server.log()
        found = text.replace(str(server.port), "PORT").replace(str(project), "/project")
    # On a machine that is busy it says now and then that it still goes on.
    found = re.sub(r"^bolt: .* \(\d+ s\)\n", "", found, flags=re.M)
    found = re.sub(r"supervisor \d+", "supervisor PID", found)
    found = re.sub(r"(version +\d+) \([0-9a-f]{12}\)", r"\1 (HASH)", found)
    # What takes longer than a second says so; how long it takes is the machine's.
    found = re.sub(r"^bolt: .* \(\d+ s\)\n", "", found, flags=re.M)
    compare(f"banner_{request.node.callspec.id}", found)


def test_the_urls_of_a_django_project(site):
    commands = [
        ["check"],
        ["routes"],
        ["routes", "--django"],
        ["explain", "GET", "/api/reports/7/"],
        ["explain", "PUT", "/api/reports/x/"],
        ["explain", "POST", "/shop/a/b"],
        ["dump", "--resolved"],
    ]
    compare("django", transcript(site, *commands))


def test_routes_without_a_django_project(site):
    text = (site / "bolt.yaml").read_text().replace("settings: shop.settings\n", "")
    (site / "bolt.yaml").write_text(text)
    compare("django_not_there", transcript(site, ["check"], ["routes", "--django", "shop.py"]))
    (site / "bolt.yaml").write_text("version: 1\nroutes: [{path: /, respond: {body: ok}}]\n")
    compare("django_nobody", transcript(site, ["routes", "--django"]))


def test_a_django_project_that_cannot_be_loaded(site):
    (site / "shop" / "urls.py").write_text("import nosuchlib\n")
    found = transcript(site, ["check"])
    (site / "bolt.yaml").write_text(
        "version: 1\nsettings: shop.settings\nroutes: [{path: /, respond: {body: ok}}]\n"
    )
    compare("django_broken", found + "\n" + transcript(site, ["check"], ["routes", "--django"]))
