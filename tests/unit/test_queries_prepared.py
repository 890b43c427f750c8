"""What the wire says of a statement, prepared and bound as the engine does it, finds what Django's
own SQL finds: the same rows, of the same types."""

import sqlite3

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import connections

from pybolt.queries.bind import bind_read
from tests.reads import engine
from tests.reads.entry import Declared, Real
from tests.reads.table import TABLE, entries


def bound(name, alias):
    """The entry as a read of the first tier, and Django's SQL for it."""
    entry = TABLE[name]
    read = bind_read(entry.make(Declared()).using(alias), name, [])
    real = entry.make(Real()).using(alias)
    if not real.query.is_sliced:
        real = real[: read.plan.parts[0].max_rows + 1]
    try:
        return read, entry.url, real.query.get_compiler(alias).as_sql()
    except EmptyResultSet:
        # Django does not ask at all.
        return (
            read,
            entry.url,
            real.model.objects.filter(pk=-1).values("id").query.sql_with_params(),
        )


def of_the_first_tier(vendor):
    names = entries(("reads", "reads_pg")[vendor])
    return [name for name in names if TABLE[name].tiers[vendor] == 1]


@pytest.mark.parametrize("name", of_the_first_tier(1))
def test_postgresql(name, postgresql):
    read, url, (sql, params) = bound(name, postgresql)
    statement, binds = engine.statement(read, url)
    with connections[postgresql].cursor() as cursor:
        expected = engine.by_psycopg(cursor, sql, params)
        assert engine.in_postgresql(cursor, statement, binds) == expected


@pytest.mark.parametrize("name", of_the_first_tier(0))
def test_sqlite(name, sqlite):
    read, url, (sql, params) = bound(name, sqlite)
    path = connections[sqlite].settings_dict["NAME"]
    bare = sqlite3.connect(path)
    try:
        statement, binds = engine.statement(read, url)
        with connections[sqlite].cursor() as cursor:
            expected = bare.execute(cursor.convert_query(sql), params).fetchall()
        assert engine.in_sqlite(bare, statement, binds) == expected
    finally:
        bare.close()
