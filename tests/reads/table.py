"""All entries."""

from .expressions import COLUMNS, EXPRESSIONS
from .functions import FUNCTIONS, POSTGRESQL
from .lookups import LOOKUPS

#: Of both databases.
BOTH = COLUMNS | LOOKUPS | EXPRESSIONS | FUNCTIONS
TABLE = BOTH | POSTGRESQL


def entries(alias):
    """The names of those that a database has."""
    return list(TABLE if alias == "reads_pg" else BOTH)
