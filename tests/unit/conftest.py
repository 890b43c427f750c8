"""What the tests of commands begin with."""

import pytest

from tests.reads.fixtures import alias, postgresql, sqlite
from tests.unit.command import FINE, HANDLERS

__all__ = ["alias", "postgresql", "project", "sqlite"]


@pytest.fixture
def project(tmp_path):
    """A directory with a configuration in which nothing is wrong, and its handlers."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "bolt.yaml").write_text(FINE)
    return tmp_path
