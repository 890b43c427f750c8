"""What the engine does with the wire, in a few lines: statements as they are prepared and bound,
without anything of Django's in between."""

import datetime
import decimal
from urllib.parse import parse_qsl

from psycopg.postgres import types

from pybolt.queries.inputs import Inputs


class Query:
    """A query string."""

    def __init__(self, text):
        self.pairs = parse_qsl(text.lstrip("?"), keep_blank_values=True)

    def getlist(self, name):
        return [value for key, value in self.pairs if key == name]


class Asked:
    """A request for a read without parameters in its path."""

    def __init__(self, text):
        self.query = Query(text)


def statement(read, url):
    """The statement for a request, and the values of its binds: ``(type, pg, value)``."""
    values, given = Inputs(read.plan).read(Asked(url))
    told = read.wire("", None)
    (variant,) = [one for one in told["reads"][0]["variants"] if set(one["given"]) == given]
    binds = [_bound(bind, read.plan.params, values) for bind in variant["binds"]]
    return variant["sql"], binds


def _bound(bind, params, values):
    if "param" not in bind:
        return bind["type"], bind["pg"], bind["value"]
    text = _text(values[params[bind["param"]]], bind["type"])
    if bind["escape"]:
        text = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    if bind["plus"]:
        text = str(int(text) + bind["plus"])
    return bind["type"], bind["pg"], bind["prefix"] + text + bind["suffix"]


def _text(value, kind):
    """PostgreSQL's input form."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value)
        case datetime.timedelta():
            return f"{value.days} days {value.seconds}.{value.microseconds:06} seconds"
        case datetime.datetime():
            return value.isoformat() if value.tzinfo else f"{value.isoformat()}+00:00"
        case datetime.date() | datetime.time():
            return value.isoformat()
    return str(value)


def in_postgresql(cursor, sql, binds):
    """Types and texts of the rows, of a statement that is prepared with the types of its binds."""
    oids = [types[pg].oid if pg else 0 for _, pg, _ in binds]
    values = [None if value is None else value.encode() for _, _, value in binds]
    result = cursor.connection.pgconn.exec_params(sql.encode(), values, oids)
    return _texts(result)


def _texts(result):
    if result.error_message:
        raise ValueError(result.error_message.decode())
    columns = range(result.nfields)
    rows = [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
    return [result.ftype(column) for column in columns], rows


def by_psycopg(cursor, sql, params):
    """The same of Django's own SQL with the values written into it."""
    from django.db import connections
    from django.db.backends.postgresql.psycopg_any import mogrify

    text = mogrify(sql, params, connections["reads_pg"])
    return _texts(cursor.connection.pgconn.exec_(text.encode()))


def in_sqlite(connection, sql, binds):
    """The rows of a statement of a connection that has no functions of Django's."""
    return connection.execute(sql, [_of_sqlite(kind, value) for kind, _, value in binds]).fetchall()


def _of_sqlite(kind, text):
    if text is None:
        return None
    match kind:
        case "int":
            return int(text)
        case "bool":
            return int(text == "true")
        case "float":
            return float(text)
        case "uuid":
            return text.replace("-", "")
        case "decimal":
            return str(decimal.Decimal(text))
        case "datetime":
            moment = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
            return str(moment.replace(tzinfo=None))
        case "duration":
            days, _, seconds, _ = text.split()
            whole, _, fraction = seconds.partition(".")
            return (int(days) * 86_400 + int(whole)) * 1_000_000 + int(fraction)
    return text
