"""Keys at a URL over TLS: fetched only from a server whose certificate is believed."""

import base64
import http.server
import json
import shutil
import ssl
import subprocess
import threading

import pytest

from pybolt import BoltAPI, JWTAuth
from pybolt.testing import Client

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def openssl(directory, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, check=True)
    return done.stdout


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def certificates(tmp_path):
    """An authority and a server's certificate for 127.0.0.1."""
    new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    openssl(tmp_path, *new, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    leaf = ["-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1"]
    leaf += ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key"]
    openssl(tmp_path, *new, *leaf, "-keyout", "server.key", "-out", "server.pem")
    return tmp_path


@pytest.fixture
def issuer(tmp_path):
    """A key: its JWK, and a token that it signed."""
    openssl(tmp_path, "genpkey", "-algorithm", "ed25519", "-out", "id.key")
    public = openssl(tmp_path, "pkey", "-in", "id.key", "-pubout", "-outform", "DER")[-32:]
    head = b64(json.dumps({"alg": "EdDSA", "kid": "one"}).encode())
    message = f"{head}.{b64(json.dumps({'sub': 'u1', 'exp': 4102444800}).encode())}"
    (tmp_path / "message").write_text(message)
    sign = ["pkeyutl", "-sign", "-inkey", "id.key", "-rawin", "-in", "message"]
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": b64(public)}
    return jwk, f"{message}.{b64(openssl(tmp_path, *sign))}"


@pytest.mark.parametrize("believed", [True, False])
def test_keys_come_from_a_server_that_is_believed(certificates, issuer, believed, monkeypatch):
    jwk, token = issuer

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"keys": [jwk]}).encode()
            self.send_response(200)
            # Without a length, an end without TLS's own end would be a body that was cut.
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    # The handshake is made on the connection's own thread.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if believed:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    api = BoltAPI()
    url = f"https://127.0.0.1:{server.server_port}/jwks.json"

    @api.get("/", auth=JWTAuth(jwks={"url": url}, algorithms=["EdDSA"]))
    def who(request):
        return {"id": request.principal.id}

    with Client(api) as client:
        answer = client.get("/", headers={"authorization": f"Bearer {token}"})
        assert answer.status == (200 if believed else 401)
    server.shutdown()
    server.server_close()
