"""A file whose routes Rust answers alone, over real sockets: no app, no handler."""

from .server import Server

FILE = """\
version: 1
defaults: {security_headers: on}
routes:
  - {path: /healthz, respond: {body: ok}}
  - {path: "/old/{*rest}", redirect: {to: "/new/{*rest}", status: 308, keep_query: on}}
  - {path: /upload, methods: [POST], redirect: {to: /elsewhere, status: 307}}
"""


def test_a_file_needs_no_app(tmp_path):
    (tmp_path / "bolt.yaml").write_text(FILE)
    with Server(tmp_path) as server:
        status, headers, body = server.request("GET", "/healthz")
        assert (status, body, headers["content-length"]) == (200, b"ok", "2")
        status, headers, body = server.request("HEAD", "/healthz")
        assert (status, body, headers["content-length"]) == (200, b"", "2")
        status, headers, body = server.request("GET", "/old/a/b?c=1")
        assert (status, headers["location"]) == (308, "/new/a/b?c=1")
        assert headers["content-length"] == "0"
        assert headers["x-content-type-options"] == "nosniff"


def test_what_follows_an_unread_body_is_a_request_of_its_own(tmp_path):
    (tmp_path / "bolt.yaml").write_text(FILE)
    with Server(tmp_path) as server:
        connection = server.connect()
        try:
            connection.request("POST", "/upload", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            first = connection.getresponse()
            assert (first.status, first.read()) == (307, b"")
            connection.request("GET", "/healthz")
            assert connection.getresponse().read() == b"ok"
        finally:
            connection.close()
