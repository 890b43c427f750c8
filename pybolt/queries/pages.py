"""Pages: the numbers of a statement that a request says, cursors, and where the next page is."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote, unquote_plus

from .declare import Param
from .samples import Form
from .statement import Bind, Constant, Depends, numbered

LIMIT = Param("limit", int, place="limit")
OFFSET = Param("offset", int, place="offset")
_INT = Form("int", int)
#: What of a query string stays as it is within a link.
_OF_A_QUERY = "!#$%&'()*+,/:;=?@[\\]^`{|}~"
#: Of the authentication code of a cursor.
_CODE = 16


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many rows a statement reads, and how many it passes over before."""

    rows: int
    offset: int | None

    @classmethod
    def unknown(cls, *, has_offset: bool) -> Limits:
        """Numbers to compile with: no query has them of its own, and :meth:`parameters` takes them
        out again."""
        return cls(918_273_645, 564_738_291 if has_offset else None)

    def apply(self, query: Any) -> Any:
        """A copy of ``query`` that is so limited."""
        clone = query.clone()
        low = self.offset or 0
        clone.set_limits(low, low + self.rows)
        return clone

    def parameters(
        self, sql: str, binds: tuple[Bind | Constant, ...], connection: Any
    ) -> tuple[str, tuple[Bind | Constant, ...]]:
        """``sql`` with parameters for the two numbers: one row more than are shown.

        Raises :class:`Depends` where they cannot be told from others.
        """
        low = self.offset or 0
        written = connection.ops.limit_offset_sql(low, low + self.rows)
        before, *after = sql.split(written)
        clause = written.replace(str(self.rows), "%s").replace(str(low or "no offset"), "%s")
        added: tuple[Bind, ...] = (Bind(LIMIT, _INT, plus=1),)
        if self.offset is not None:
            added += (Bind(OFFSET, _INT),)
        is_known = clause == " ".join(["LIMIT %s", "OFFSET %s"][: len(added)])
        if len(after) != 1 or not is_known:
            raise Depends("this database writes the limits of a page in its own way")
        place = count_of(before)
        return clause.join((before, after[0])), (*binds[:place], *added, *binds[place:])


def count_of(sql: str) -> int:
    """How many parameters there are in ``sql``."""
    return numbered(sql, lambda number: "\0").count("\0")


def secret_of(sql: str) -> bytes:
    """The key of the cursors of one statement: whoever has another query's cursor has none here."""
    from django.conf import settings

    key = settings.SECRET_KEY
    key = key if isinstance(key, bytes) else str(key).encode()
    return hmac.digest(key, b"pybolt.cursor\0" + sql.encode(), hashlib.sha256)


def cursor_of(value: Any, secret: bytes) -> str:
    """The cursor behind a row: the JSON of its value and a code, base64url without padding."""
    text = json.dumps(value).encode()
    code = hmac.digest(secret, text, hashlib.sha256)[:_CODE]
    return base64.urlsafe_b64encode(text + code).rstrip(b"=").decode()


def read_cursor(cursor: str, secret: bytes) -> str | None:
    """The value that a cursor of ours holds, as text; ``None`` of one that is not ours."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    text, code = raw[:-_CODE], raw[-_CODE:]
    if not hmac.compare_digest(hmac.digest(secret, text, hashlib.sha256)[:_CODE], code):
        return None
    value = json.loads(text)
    return value if isinstance(value, str) else str(value)


def next_link(query_string: str, **said: str) -> str:
    """The ``Link`` to the next page (RFC 8288), relative to this one: the same query with what
    ``said`` says instead."""
    pairs = [pair for pair in query_string.split("&") if pair]
    kept = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]) not in said]
    kept += [f"{name}={value}" for name, value in said.items()]
    return f'<?{quote("&".join(kept), _OF_A_QUERY)}>; rel="next"'
