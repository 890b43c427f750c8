"""The databases as fixtures, for whoever imports them."""

import pytest

from tests.live.postgres import postgres

from . import rows

VENDORS = ("sqlite", "postgresql")


@pytest.fixture(scope="package")
def sqlite(tmp_path_factory):
    path = tmp_path_factory.mktemp("reads") / "reads.sqlite3"
    rows.connect("reads", ENGINE="django.db.backends.sqlite3", NAME=str(path))
    rows.fill("reads")
    yield "reads"
    rows.disconnect("reads")


@pytest.fixture(scope="package")
def postgresql():
    with postgres() as cluster:
        at = {"NAME": "postgres", "USER": "bolt", "HOST": "127.0.0.1", "PORT": str(cluster.port)}
        rows.connect("reads_pg", ENGINE="django.db.backends.postgresql", **at)
        rows.fill("reads_pg")
        yield "reads_pg"
        rows.disconnect("reads_pg")


@pytest.fixture(scope="package", params=VENDORS)
def alias(request):
    """A database of each kind, by turns."""
    return request.getfixturevalue(request.param)
