"""No message shows what a value was read from a file, or a secret that is written in place."""

import json

import pytest

from pybolt.config import RunOptions, load
from pybolt.config.hidden import without_contents
from tests.unit.command import bolt

#: A value of each kind of mistake that quotes what is wrong; FILE stands for a file's contents.
PLANTED = """\
defaults: {timeout: FILE, body_limit: FILE, compress: FILE, allow: FILE}
server: {listen: [FILE], hosts: ["${file:secret}/"], trusted_proxies: [FILE]}
define:
  auth:
    jwt: {type: jwt, secret: "IN-PLACE", algorithms: [FILE], header: "${file:secret} x"}
    key: {type: api_key, keys: "IN-PLACE:md5:00"}
    basic: {type: basic, users: ["ann:IN-PLACE"]}
routes:
  - {path: FILE, respond: {body: hi, status: FILE}, rate_limit: {a: {rate: FILE, key: FILE}}}
  - {path: /b, redirect: {to: FILE}, auth: {any: [FILE]}, cors: {origins: [FILE]}}
  - {path: /c, handler: FILE, security_headers: {csp: FILE, frame: FILE}}
  - {path: "/d/{*p}", files: {root: FILE, symlinks: FILE}, access_log: {format: FILE}}
  - {path: "/e", health: FILE, auth: FILE, request_id: {accept_from: FILE}}
"""


@pytest.mark.parametrize("form", ["text", "json", "sarif"])
def test_nothing_of_a_file_and_no_secret_in_place_is_shown(tmp_path, form):
    (tmp_path / "secret").write_text("s3cret-of-a-file\n")
    (tmp_path / "bolt.yaml").write_text(PLANTED.replace("FILE", '"${file:secret}"'))
    done = bolt(tmp_path, "check", "--format", form)
    assert done.returncode == 1
    assert (done.stdout + done.stderr).count("E") > 20
    assert "s3cret-of-a-file" not in done.stdout + done.stderr
    assert "IN-PLACE" not in done.stdout + done.stderr


def test_a_secret_in_python_is_not_shown(tmp_path):
    (tmp_path / "app.py").write_text(
        "from pybolt import BoltAPI, JWTAuth\n"
        'api = BoltAPI(auth=JWTAuth(secret="IN-PLACE", algorithms=["HS256"]))\n'
        '@api.get("/")\ndef index(request): ...\n'
    )
    done = bolt(tmp_path, "check", "app.py")
    assert "E074" in done.stdout
    assert "IN-PLACE" not in done.stdout


def test_a_part_of_what_a_file_holds_is_not_shown_either(tmp_path):
    (tmp_path / "rule").write_text('rol("a-role")')
    (tmp_path / "bolt.yaml").write_text(
        "defaults: {auth: deny}\n"
        f'routes: [{{path: /, respond: {{body: x}}, allow: "${{file:{tmp_path}/rule}}"}}]'
    )
    [found] = load(RunOptions(config=str(tmp_path / "bolt.yaml"))).check()
    assert found.code == "E081"
    assert "unknown condition `***` at character 1" in found.message
    assert json.dumps(found.to_json()).count("rol(") == 0


def test_a_reference_to_a_secret_is_no_secret(tmp_path):
    (tmp_path / "bolt.yaml").write_text(
        "routes:\n  - path: /\n    respond: {body: x}\n"
        "    auth: {type: jwt, secret: ${NOT_SET_AT_ALL}, algorithms: [HS256]}\n"
    )
    assert "secret: ${NOT_SET_AT_ALL}, alg" in bolt(tmp_path, "check").stdout


def test_what_is_said_of_other_places_stays():
    hidden = {(0, "a", "b"): "drop"}
    assert without_contents("`drop` is wrong", (0, "a", "b"), hidden) == "`***` is wrong"
    assert without_contents("`drop` is wrong", (0, "a"), hidden) == "`***` is wrong"
    assert without_contents("`drop` is wrong", (0, "c"), hidden) == "`drop` is wrong"
    assert without_contents("write `on`", (0, "a", "b"), hidden) == "write `on`"
