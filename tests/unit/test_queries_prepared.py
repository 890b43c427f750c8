"""What the wire says of a statement, prepared and bound as the engine does it, finds what Django's
own SQL finds: the same rows, of the same types."""

import datetime
import sqlite3
import warnings

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.test import override_settings

from pybolt import Param
from pybolt.queries.bind import bind_read
from tests.reads import engine
from tests.reads.entry import Declared, Real
from tests.reads.models import Book
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


MOMENTS = ["2020-02-01T01:03:00%2B02:00", "2020-01-31T23:03:00", "2020-01-31T23:03:05.003003Z"]


@pytest.mark.parametrize("said", MOMENTS)
def test_moments_of_a_project_in_utc(said, alias):
    with override_settings(TIME_ZONE="UTC"), warnings.catch_warnings():
        # Django warns of a moment without a zone.
        warnings.simplefilter("ignore", RuntimeWarning)
        param = Param.query("t", datetime.datetime)
        books = Book.objects.using(alias).order_by("id")
        read = bind_read(books.filter(moment__gte=param).values("id", "moment")[:9], "t", [])
        assert (read.tier, read.reason) == (1, None)
        statement, binds = engine.statement(read, f"?t={said}")
        moment = datetime.datetime.fromisoformat(said.replace("%2B", "+"))
        real = books.filter(moment__gte=moment).values("id", "moment")[:9]
        sql, params = real.query.get_compiler(alias).as_sql()
        with connections[alias].cursor() as cursor:
            if alias == "reads_pg":
                expected = engine.by_psycopg(cursor, sql, params)
                assert engine.in_postgresql(cursor, statement, binds) == expected
                return
            bare = sqlite3.connect(connections[alias].settings_dict["NAME"])
            expected = bare.execute(cursor.convert_query(sql), params).fetchall()
            assert engine.in_sqlite(bare, statement, binds) == expected
            bare.close()


def test_moments_without_time_zones(alias):
    with override_settings(USE_TZ=False, TIME_ZONE="UTC"):
        param = Param.query("t", datetime.datetime)
        what = Book.objects.using(alias).filter(moment__gte=param).values("id")[:9]
        read = bind_read(what, "t", [])
        assert (read.tier, read.reason) == (3, "`t` may have a time zone, and USE_TZ is False")
        assert bind_read(Book.objects.using(alias).values("moment")[:9], "t", []).tier == 1
