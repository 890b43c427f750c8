"""Reads behind a test client, in a tier of one's choice."""

import contextlib

from pybolt import BoltAPI
from pybolt.queries.bind import forced
from pybolt.testing import Client


@contextlib.contextmanager
def serving(tier, what, path="/", auth="public", **options):
    """A client of one route that ``what`` answers."""
    api = BoltAPI(auth=auth)
    api.query(path, what, **options)
    with forced(tier):
        client = Client(api)
    with client:
        yield client
