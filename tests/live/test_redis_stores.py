"""How stores of limits are connected to: passwords, users of their own, TLS; ``check --online``."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.live.redis import Redis, redis
from tests.live.server import Server
from tests.unit.command import bolt


def configure(directory, *urls):
    """A route for each URL with a limit of one in an hour; the line of the first such limit."""
    lines = ["version: 1", "routes:"]
    for number, url in enumerate(urls):
        lines += [f"  - path: /{number}", "    respond: {body: ok}", "    rate_limit:"]
        lines += [f"      l{number}: {{rate: 5/1h, store_timeout: 1s, store: '{url}'}}"]
    (directory / "bolt.yaml").write_text("\n".join(lines) + "\n")


def told(directory, **environ):
    """What ``check --online`` finds, by the line."""
    done = bolt(directory, "check", "--online", "--format", "json", **environ)
    found = {item["position"]["line"]: item for item in json.loads(done.stdout)}
    assert {item["code"] for item in found.values()} <= {"E198"}
    assert done.returncode == (1 if found else 0)
    return {line: item["message"] for line, item in found.items()}, done


def test_check_online_asks_the_stores_and_a_password_is_shown_nowhere(tmp_path):
    with redis("hush-hush") as store:
        right = store.url.replace("//", "//:hush-hush@")
        wrong = store.url.replace("//", "//:hush-other@")
        configure(tmp_path, right, wrong, "redis://127.0.0.1:1")
        offline = bolt(tmp_path, "check")
        last = "not checked: 3 stores of limits; `bolt check --online` asks them"
        assert (offline.returncode, offline.stdout.splitlines()[-1]) == (0, last)
        found, done = told(tmp_path)
        assert found.keys() == {10, 14}
        assert found[10].startswith(f"{store.url}: ")
        assert "authentication failed" in found[10]
        assert "refused" in found[14]
        shown = [bolt(tmp_path, "check", "--online"), bolt(tmp_path, "dump", "--resolved"), done]
        assert "redis://:**********@127.0.0.1" in shown[0].stdout
        shown.append(bolt(tmp_path, "explain", "GET", "/0"))
        assert f"counted by {store.url}, asked at run time" in shown[-1].stdout
        assert '"l0";r=4' in shown[-1].stdout
        assert store.ask("KEYS", "pybolt:l0:*") == []
        with Server(tmp_path, "--config", "bolt.yaml") as server:
            assert server.request("GET", "/0")[0] == 200
            assert server.request("GET", "/1")[0] == 503
            assert server.logs('"answers":false')
            assert "hush" not in server.log()
        for command in shown:
            assert "hush" not in command.stdout + command.stderr, command.args


def test_a_user_may_be_allowed_what_the_manual_says_and_no_more(tmp_path):
    with redis() as store:
        rights = ["+evalsha", "+script|load", "+time", "+get", "+set", "+del"]
        store.ask("ACL", "SETUSER", "limits", "on", ">pass:w@rd", "~pybolt:*", *rights)
        store.ask("ACL", "SETUSER", "reader", "on", ">word", "~pybolt:*", *rights, "-set")
        store.ask("ACL", "SETUSER", "other", "on", ">word", "~other:*", *rights)
        users = ["limits:pass%3Aw%40rd", "reader:word", "other:word"]
        configure(tmp_path, *(store.url.replace("//", f"//{user}@") for user in users))
        found, _ = told(tmp_path)
        assert found.keys() == {10, 14}, found
        assert "can't run this command" in found[10]
        assert "no permissions to access one of the keys" in found[14]
        with Server(tmp_path, "--config", "bolt.yaml") as server:
            assert server.request("GET", "/0")[0] == 200
            assert server.request("GET", "/1")[0] == 503
            assert server.request("GET", "/2")[0] == 503


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture
def encrypted(tmp_path):
    """A server that speaks TLS alone, whose certificate is signed for ``localhost`` by ca.pem."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"]
    openssl(tmp_path, "req", *key, *authority)
    openssl(
        tmp_path, "req", *key, "-subj", "/CN=localhost", "-keyout", "own.key", "-out", "own.csr"
    )
    (tmp_path / "names").write_text("subjectAltName=DNS:localhost\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
    openssl(tmp_path, "x509", "-req", "-in", "own.csr", "-days", "2", *signing, "-out", "own.pem")
    files = ["--tls-cert-file", "own.pem", "--tls-key-file", "own.key", "--tls-ca-cert-file"]
    with redis(options=(*files, "ca.pem", "--tls-auth-clients", "no"), directory=tmp_path) as store:
        yield store


def test_a_store_by_tls_is_who_its_certificate_says(tmp_path, encrypted: Redis):
    port = encrypted.tls_port
    urls = [f"rediss://localhost:{port}", f"rediss://127.0.0.1:{port}", f"redis://localhost:{port}"]
    configure(tmp_path, *urls)
    found, _ = told(tmp_path, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    assert found.keys() == {10, 14}, found
    assert "certificate" in found[10]
    trusted = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    with Server(tmp_path, "--config", "bolt.yaml", environ=trusted) as server:
        assert server.request("GET", "/0")[0] == 200
        assert server.request("GET", "/1")[0] == 503
    # Whom nobody vouches for is nobody.
    found, _ = told(tmp_path)
    assert found.keys() == {6, 10, 14}
    assert "certificate" in found[6]
