"""A fresh database for each test, of each kind by turns."""

import psycopg
import pytest

from tests.live.postgres import postgres
from tests.reads import rows


@pytest.fixture(scope="package")
def cluster():
    with postgres() as cluster:
        yield cluster


def address(cluster, name):
    at = {"USER": "bolt", "HOST": "127.0.0.1", "PORT": str(cluster.port)}
    return at | {"ENGINE": "django.db.backends.postgresql", "NAME": name}


@pytest.fixture
def postgresql(cluster):
    name = "shop"
    where = f"host=127.0.0.1 port={cluster.port} user=bolt dbname=postgres"
    with psycopg.connect(where, autocommit=True) as session:
        session.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        session.execute(f"CREATE DATABASE {name}")
    rows.connect("asked", **address(cluster, name))
    yield "asked"
    rows.disconnect("asked")


@pytest.fixture
def sqlite(tmp_path):
    path = str(tmp_path / "shop.sqlite3")
    rows.connect("asked", ENGINE="django.db.backends.sqlite3", NAME=path)
    yield "asked"
    rows.disconnect("asked")


@pytest.fixture(params=["sqlite", "postgresql"])
def alias(request):
    """A fresh database of each kind by turns, with a few rows."""
    alias = request.getfixturevalue(request.param)
    rows.fill(alias)
    return alias
