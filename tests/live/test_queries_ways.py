"""The ways to a PostgreSQL: by a Unix socket, by TLS."""

import shutil
import subprocess

import pytest

from tests.live.postgres import postgres
from tests.live.reads import (
    POOL,
    WORKERS,
    Watcher,
    ask,
    make,
    names,
    on_postgres,
    serve,
    told,
    until,
)

SSL = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"


def test_by_a_unix_socket(cluster, watcher, tmp_path):
    database = on_postgres(cluster, HOST=str(cluster.directory))
    # The directory is the server's alone: it may be looked into.
    cluster.directory.chmod(0o755)
    try:
        with serve(tmp_path / "server", database) as server:
            assert len(names(server)) == 10
            sessions = watcher.all(
                "SELECT client_addr FROM pg_stat_activity WHERE application_name = 'pybolt'"
            )
            assert sessions == [(None,)] * WORKERS * POOL
            connection = server.connect()
            connection.request("GET", "/sleep/60")
            until(watcher.sleeping)
            connection.close()
            assert until(lambda: not watcher.sleeping()) < 2
    finally:
        cluster.directory.chmod(0o700)


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A cluster that speaks TLS alone, as ``localhost``; its authority's certificate."""
    made = tmp_path_factory.mktemp("authority")
    key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(made, "req", "-x509", *key, "-subj", "/CN=an authority", "-keyout", "ca.key",
            "-out", "ca.crt")  # fmt: skip
    openssl(made, "req", *key[:3], "-subj", "/CN=localhost", "-keyout", "server.key",
            "-out", "server.csr")  # fmt: skip
    (made / "names").write_text("subjectAltName=DNS:localhost\n")
    openssl(made, "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt")  # fmt: skip
    openssl(made, "req", "-x509", *key, "-subj", "/CN=a stranger", "-keyout", "other.key",
            "-out", "other.crt")  # fmt: skip
    with postgres() as cluster:
        make(on_postgres(cluster))
        for name in ("server.key", "server.crt"):
            shutil.copy(made / name, cluster.directory / name)
            (cluster.directory / name).chmod(0o600)
            shutil.chown(cluster.directory / name, cluster.directory.owner())
        cluster.stop()
        cluster.configure("ssl=on")
        rules = [f"hostssl all all {net} trust\n" for net in ("127.0.0.1/32", "::1/128")]
        (cluster.directory / "pg_hba.conf").write_text("".join(rules) + "local all all trust\n")
        cluster.start()
        yield cluster, made


@pytest.mark.parametrize(
    ("host", "mode", "root", "reason"),
    [
        ("127.0.0.1", "prefer", None, None),
        ("127.0.0.1", "require", None, None),
        ("127.0.0.1", "verify-ca", "ca.crt", None),
        ("localhost", "verify-full", "ca.crt", None),
        ("127.0.0.1", "disable", None, "SQLSTATE 28000"),
        ("127.0.0.1", "verify-full", "ca.crt", "certificate"),
        ("localhost", "verify-full", "other.crt", "certificate"),
        ("127.0.0.1", "verify-ca", "other.crt", "certificate"),
        ("127.0.0.1", "require", "other.crt", "certificate"),
    ],
)
def test_by_tls(secured, tmp_path, host, mode, root, reason):
    cluster, made = secured
    options = {"sslmode": mode} | ({"sslrootcert": str(made / root)} if root else {})
    database = on_postgres(cluster, HOST=host, OPTIONS=options)
    with serve(tmp_path / "server", database, workers=1) as server:
        if reason is None:
            assert len(names(server)) == 10
            watcher = Watcher(cluster)
            where = "WHERE ssl AND application_name = 'pybolt'"
            # What a server before this one had may not be closed yet.
            until(lambda: watcher.all(f"{SSL} {where}") == [(POOL,)])
            # Cancellations go the same way.
            connection = server.connect()
            connection.request("GET", "/sleep/60")
            until(watcher.sleeping)
            connection.close()
            assert until(lambda: not watcher.sleeping()) < 2
            watcher.close()
        else:
            assert ask(server, "/items")[0] == 503
            until(lambda: told(server))
            [(answers, why)] = told(server)
            assert not answers
            assert reason in why.lower() + why
