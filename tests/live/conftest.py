"""A database of declared reads, and somebody who looks at its sessions."""

import pytest

from tests.live.postgres import postgres
from tests.live.reads import Watcher, make, on_postgres


@pytest.fixture(scope="module")
def cluster():
    """With the tables of ``reading``; a module's own, which may stop and kill it."""
    with postgres() as cluster:
        make(on_postgres(cluster))
        yield cluster


@pytest.fixture
def watcher(cluster):
    watcher = Watcher(cluster)
    yield watcher
    watcher.close()
