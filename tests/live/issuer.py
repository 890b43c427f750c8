"""Who issues tokens for a test: keys, a JWKS URL over TLS, and tokens."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


class Issuer:
    """An RSA and an EC key, and a server that tells them at ``url``; ``ca`` is a file with the
    certificate to believe."""

    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self.keys: dict[str, Any] = {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
        }
        self.stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.fetched = 0
        self.fails = False
        self.ca = directory / "ca.pem"
        chain = directory / "server.pem"
        _certify(self.ca, chain)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_port}"

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        issuer = self

        class Keys(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched += 1
                body = b"" if issuer.fails else issuer.jwks()
                self.send_response(500 if issuer.fails else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Keys

    def jwks(self) -> bytes:
        """The public halves of the keys."""
        found = []
        for algorithm, key in self.keys.items():
            kind = jwt.get_algorithm_by_name(algorithm)
            jwk = json.loads(kind.to_jwk(key.public_key()))
            found.append(jwk | {"kid": algorithm, "alg": algorithm, "use": "sig"})
        return json.dumps({"keys": found}).encode()

    def token(
        self, algorithm: str = "RS256", *, key: Any = None, kid: str = "", **claims: Any
    ) -> str:
        """A token for the next minutes; a claim that is ``None`` is left out."""
        full = {"iss": self.name, "aud": "api", "exp": int(time.time()) + 300, "sub": "ann"}
        payload = {name: value for name, value in (full | claims).items() if value is not None}
        return jwt.encode(
            payload,
            self.keys[algorithm] if key is None else key,
            algorithm=algorithm,
            headers={"kid": kid or algorithm},
        )

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()


def _certify(ca: Path, chain: Path) -> None:
    """An authority, and a certificate of it for 127.0.0.1 with its key."""
    now = datetime.datetime.now(datetime.UTC)
    authority, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(name: str, key: Any, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(authority, hashes.SHA256())

    pem = serialization.Encoding.PEM
    root = certificate("authority", authority, x509.BasicConstraints(ca=True, path_length=None))
    ca.write_bytes(root.public_bytes(pem))
    own = certificate(
        "server",
        leaf,
        x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
    )
    private = leaf.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(own.public_bytes(pem) + private)
