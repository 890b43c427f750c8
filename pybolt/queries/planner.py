"""What a database says of statements: whether it prepares them, and how it would run them.

Nothing is written, and nothing is left behind: PostgreSQL is asked within a transaction that reads
only and is rolled back, on a connection of its own.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import DataError, connections
from django.db.utils import Error, InterfaceError, OperationalError

from .asked import Asked

#: A table of more rows should not be read from one end to the other.
MANY_ROWS = 10_000
#: Seconds that a database has to answer.
PATIENCE = 10
_NAME = "bolt_asked"


class Planner:
    """A database that is asked. Made by :func:`planner`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def prepare(self, asked: Asked) -> Any:
        """Its plan of ``asked``; ``None`` where the values make none. Raises ``django.db.Error``
        where it does not take the statement."""
        return None

    def scanned(self, asked: Asked, plan: Any) -> Iterator[tuple[str, int | None]]:
        """The large tables that ``plan`` reads from one end to the other, and how many rows each
        has, where that is known."""
        yield from ()

    def sorts(self, asked: Asked, plan: Any) -> bool:
        """Whether no index serves the order of ``asked``."""
        return False

    def is_refusal(self, error: Error) -> bool:
        """Whether ``error`` is of a statement, and not of the database as a whole."""
        return not isinstance(error, InterfaceError | OperationalError)

    def analyze(self, asked: Asked) -> list[str]:
        """The plan as the database's own tools show it, where it can with what running it took."""
        return []

    def most_connections(self) -> int | None:
        """As many as the server takes of everybody, where it has a bound."""
        return None

    def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())


@contextlib.contextmanager
def planner(alias: str, *, is_patient: bool = False) -> Iterator[Planner]:
    """The database ``alias``, by a connection of its own of Django's settings; ``is_patient``:
    statements may take longer than ``PATIENCE``.

    Raises ``django.db.Error`` where it does not answer, also where the file of a SQLite database
    is not there.
    """
    connection = connections[alias].copy()
    told = connection.settings_dict
    if connection.vendor == "postgresql":
        told["OPTIONS"].pop("pool", None)
        told["OPTIONS"].setdefault("connect_timeout", PATIENCE)
    elif connection.vendor == "sqlite" and _is_path(connection):
        told["NAME"] = f"{Path(told['NAME']).absolute().as_uri()}?mode=rw"
    try:
        connection.ensure_connection()
        match connection.vendor:
            case "postgresql":
                yield _Postgresql(connection, is_patient=is_patient)
            case "sqlite":
                yield _Sqlite(connection)
            case _:
                yield Planner(connection)
    finally:
        with contextlib.suppress(Error):
            if not connection.get_autocommit():
                connection.rollback()
        connection.close()


def _is_path(connection: Any) -> bool:
    is_uri = str(connection.settings_dict["NAME"]).startswith("file:")
    return not (is_uri or connection.is_in_memory_db())


class _Postgresql(Planner):
    def __init__(self, connection: Any, *, is_patient: bool) -> None:
        super().__init__(connection)
        connection.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            if not is_patient:
                cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}s'")

    def prepare(self, asked: Asked) -> Any:
        try:
            [[plan]] = self._explain(asked, "VERBOSE, FORMAT JSON")
        except DataError:
            # It is the values that do not fit.
            return None
        return (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]

    def scanned(self, asked: Asked, plan: Any) -> Iterator[tuple[str, int | None]]:
        for schema, table, share in _scans(plan, 1.0):
            found = self._rows(
                "SELECT reltuples FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname = %s AND relname = %s",
                (schema, table),
            )
            rows = int(found[0][0]) if found else 0
            if rows * share > MANY_ROWS:
                yield table, rows

    def sorts(self, asked: Asked, plan: Any) -> bool:
        # An empty table is sorted, whatever its indexes are.
        if not _sorts(plan):
            return False
        try:
            [[found]] = self._explain(asked, "FORMAT JSON", "SET LOCAL enable_sort = off")
        except DataError:
            return False
        return _sorts((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])

    def analyze(self, asked: Asked) -> list[str]:
        found = self._explain(asked, "ANALYZE, BUFFERS off, FORMAT TEXT")
        return [line for [line] in found]

    def most_connections(self) -> int | None:
        if self.connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
            # A pooler stands between.
            return None
        [[most]] = self._rows(
            "SELECT current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
            " - coalesce(current_setting('reserved_connections', true)::int, 0)"
        )
        return int(most)

    def _explain(self, asked: Asked, options: str, *settings: str) -> list[Any]:
        savepoint, is_prepared = self.connection.savepoint(), False
        try:
            with self.connection.cursor() as cursor:
                for setting in settings:
                    cursor.execute(setting)
                if asked.types is not None:
                    types = f"({', '.join(asked.types)})" if asked.types else ""
                    # What it is prepared with stands in it as it is: there are no values.
                    cursor.execute(f"PREPARE {_NAME}{types} AS {asked.sql}", None)
                    is_prepared = True
            if asked.types is None:
                return self._rows(f"EXPLAIN ({options}) {asked.sql}", asked.values)
            places = ", ".join(["%s"] * len(asked.values))
            execute = f"EXECUTE {_NAME}({places})" if places else f"EXECUTE {_NAME}"
            return self._rows(f"EXPLAIN ({options}) {execute}", asked.values)
        finally:
            self.connection.savepoint_rollback(savepoint)
            if is_prepared:
                # Behind a pooler the session goes on with others.
                with self.connection.cursor() as cursor:
                    cursor.execute(f"DEALLOCATE {_NAME}")


#: What hands on the rows of its first input as they come.
_STREAMS = {
    "Append",
    "Gather",
    "Gather Merge",
    "Hash Join",
    "LockRows",
    "Merge Append",
    "Nested Loop",
    "ProjectSet",
    "Result",
    "Subquery Scan",
    "Unique",
}
_FIRST = {"Outer", "Member", "Subquery"}


def _scans(node: dict[str, Any], share: float) -> Iterator[tuple[str, str, float]]:
    """The tables of sequential scans, each with the share of it that is read before a limit ends
    it."""
    kind = node["Node Type"]
    if kind == "Seq Scan":
        yield node["Schema"], node["Relation Name"], share
    for child in node.get("Plans", ()):
        passed = 1.0
        if child["Parent Relationship"] in _FIRST:
            if kind == "Limit":
                passed = share * min(1.0, node["Plan Rows"] / max(1, child["Plan Rows"]))
            elif kind in _STREAMS:
                passed = share
        yield from _scans(child, passed)


def _sorts(node: dict[str, Any]) -> bool:
    if node["Node Type"] == "Sort":
        return True
    below = node.get("Plans", ())
    return any(_sorts(child) for child in below if child["Parent Relationship"] in _FIRST)


#: What SQLite says of a table that it reads all of: its name, or what the statement calls it.
_SCAN = re.compile(r"SCAN (?:TABLE )?(\w+)")
#: A statement that may look at more rows than it finds.
_CHOOSES = re.compile(r"\b(?:WHERE|GROUP BY|HAVING|DISTINCT)\b|\bCOUNT\(")


class _Sqlite(Planner):
    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        # What is no database is only noticed when it is read.
        self._rows("SELECT 1 FROM sqlite_master LIMIT 1")

    def prepare(self, asked: Asked) -> Any:
        return self._rows(f"EXPLAIN QUERY PLAN {asked.sql}", asked.values)

    def scanned(self, asked: Asked, plan: Any) -> Iterator[tuple[str, int | None]]:
        if not (self.sorts(asked, plan) or _CHOOSES.search(asked.sql)):
            # Its limit ends it.
            return
        for *_, detail in plan:
            found = _SCAN.match(detail)
            table = found and self._table(found[1], asked.sql)
            if table and self._is_large(table):
                yield table, None

    def sorts(self, asked: Asked, plan: Any) -> bool:
        return any(detail == "USE TEMP B-TREE FOR ORDER BY" for *_, detail in plan)

    def is_refusal(self, error: Error) -> bool:
        # That there is no such table is an operational error here.
        return True

    def analyze(self, asked: Asked) -> list[str]:
        depths: dict[int, int] = {}
        lines = []
        for number, parent, _, detail in self.prepare(asked):
            depths[number] = depths.get(parent, -1) + 1
            lines.append(f"{'  ' * depths[number]}{detail}")
        return lines

    def _table(self, name: str, sql: str) -> str | None:
        """The table that a statement calls ``name``."""
        named = re.search(rf'"([^"]+)" (?:AS )?"?{name}\b', sql)
        for table in (name, named and named[1]):
            asked = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = %s"
            if self._rows(asked, (table,)):
                return table
        return None

    def _is_large(self, table: str) -> bool:
        quoted = self.connection.ops.quote_name(table)
        some = f"SELECT 1 FROM {quoted} LIMIT {MANY_ROWS + 1}"
        return bool(self._rows(f"SELECT COUNT(*) FROM ({some})")[0][0] > MANY_ROWS)


def words(error: Error) -> str:
    """What the database, or its driver, says in an error: the first line."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".: ")
