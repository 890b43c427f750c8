"""All entries."""

from .expressions import COLUMNS, EXPRESSIONS
from .lookups import LOOKUPS

TABLE = COLUMNS | LOOKUPS | EXPRESSIONS
