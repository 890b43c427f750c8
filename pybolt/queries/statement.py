"""One statement: Django's own SQL for a query, with the places of its parameters."""

from __future__ import annotations

import dataclasses
import re
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet, ValidationError

from ..exceptions import DeclarationError
from .declare import Param
from .fill import fill
from .samples import SETS, Form, forms, samples

#: What is looked for within texts: its own text has one form.
_TEXTS = (str, int, uuid.UUID)
_PLACEHOLDER = re.compile(r"%(s|%)")


@dataclasses.dataclass(frozen=True)
class Bind:
    """The place of a parameter. ``escape``: as LIKE wants it; ``plus``: what is added to it."""

    param: Param
    form: Form
    prefix: str = ""
    suffix: str = ""
    escape: bool = False
    plus: int = 0


@dataclasses.dataclass(frozen=True)
class Constant:
    """A value of the query's own."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Statement:
    """``sql`` as Django wrote it, with ``%s``, or as it is sent; what each of its placeholders is;
    what is selected."""

    sql: str
    binds: tuple[Bind | Constant, ...]
    select: tuple[Any, ...]

    def params(self, values: Mapping[Param, Any], like: Callable[[str], str]) -> list[Any]:
        """What Django would hand to the cursor. ``like``: escapes for LIKE."""
        return [
            bind.value if isinstance(bind, Constant) else _bound(bind, values, like)
            for bind in self.binds
        ]


class Depends(Exception):
    """SQL that is not the same for all values; the message says of what it depends."""


def statement(
    query: Any, connection: Any, params: Sequence[Param], limits: Any = None
) -> Statement:
    """Compiles ``query``, in which ``params`` are.

    ``limits``: of a page, what is done to a query before it is compiled, and the binds of the two
    numbers that this writes: see :class:`pybolt.queries.pages.Limits`.

    Raises :class:`Depends` where no statement stands for all values, and
    :class:`DeclarationError` where a parameter's type does not fit what it is compared with.
    """
    made = [_compiled(query, connection, values) for values in _sample_sets(params)]
    first = made[0]
    if any(one[0] != first[0] or len(one[1]) != len(first[1]) for one in made):
        raise Depends("its SQL depends on a parameter's value")
    places = zip(*(one[1] for one in made), strict=True)
    binds = tuple(_bind(found, params, connection) for found in places)
    if len(_numbers(first[0])) != len(binds):
        raise Depends("its SQL has a percent sign that stands for no parameter")
    if limits is None:
        return Statement(first[0], binds, first[2])
    sql, binds = limits.parameters(first[0], binds, connection)
    return Statement(sql, binds, first[2])


def _sample_sets(params: Sequence[Param]) -> list[dict[Param, Any]]:
    kinds: dict[Any, int] = {}
    sets: list[dict[Param, Any]] = [{} for _ in range(SETS)]
    for param in params:
        number = kinds[param.scalar] = kinds.get(param.scalar, 0) + 1
        for values, sample in zip(sets, samples(param, number), strict=True):
            values[param] = sample
    return sets


def _compiled(
    query: Any, connection: Any, values: dict[Param, Any]
) -> tuple[str, Sequence[Any], tuple[Any, ...]]:
    try:
        with warnings.catch_warnings():
            # A naive moment is one of the samples.
            warnings.simplefilter("ignore", RuntimeWarning)
            filled = fill(query, values)
            compiler = filled.get_compiler(connection.alias)
            sql, params = compiler.as_sql()
    except EmptyResultSet:
        raise Depends("Django knows without asking that there are no rows") from None
    except FullResultSet:
        raise Depends("Django leaves a condition out of it") from None
    except (TypeError, ValueError, ValidationError) as error:
        raise DeclarationError(*_misfit(error, list(values))) from error
    if compiler.select is None:
        return sql, tuple(params), tuple(filled.annotation_select.values())
    return sql, tuple(params), tuple(one[0] for one in compiler.select[: compiler.col_count])


def _misfit(error: Exception, params: list[Param]) -> tuple[str, str]:
    said = " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
    names = ", ".join(f"`{param.name}`" for param in params)
    about = f" with values of the types of {names}" if names else ""
    hint = (
        "give a parameter the type of the field that it is compared with: `Param.path(name, int)`"
    )
    return f"Django cannot compile it{about}: {said}", hint if params else "see the message"


def _bind(found: tuple[Any, ...], params: Sequence[Param], connection: Any) -> Bind | Constant:
    if isinstance(found[0], Param):
        raise DeclarationError(
            f"the parameter `{found[0].name}` stands in raw SQL, where no value is put in",
            "use it in `filter(...)`, `Q(...)` or an expression of `annotate(...)`",
        )
    if all(_same(value, found[0]) for value in found[1:]):
        return Constant(found[0])
    for param, sets in zip(params, _by_param(params), strict=True):
        for form in () if param.many else forms(param.scalar, connection.vendor):
            made = [form.of(sample) for sample in sets]
            if all(map(_same, made, found)):
                return Bind(param, form)
        if param.scalar in _TEXTS and not param.many:
            pattern = _pattern(param, [str(sample) for sample in sets], found, connection)
            if pattern is not None:
                return pattern
    raise Depends("Django makes something else of a parameter's value")


def _by_param(params: Sequence[Param]) -> list[list[Any]]:
    sets = _sample_sets(params)
    return [[values[param] for values in sets] for param in params]


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type. Django tells psycopg how wide a number is,
    which makes no difference to the text of it."""
    kinds = [
        int if isinstance(it, int) and type(it) is not bool else type(it) for it in (one, other)
    ]
    # What psycopg wraps a document in has no equality.
    return kinds[0] is kinds[1] and bool(getattr(one, "obj", one) == getattr(other, "obj", other))


def _pattern(
    param: Param, texts: list[str], found: tuple[Any, ...], connection: Any
) -> Bind | None:
    """A text that LIKE looks for, escaped or not, with what Django puts around it."""
    if not all(isinstance(value, str) for value in found):
        return None
    escaped = [connection.ops.prep_for_like_query(text) for text in texts]
    for escape, parts in ((True, escaped), (False, texts)):
        prefix, middle, suffix = found[0].partition(parts[0])
        around = [prefix + part + suffix for part in parts]
        # A number is the same escaped or not.
        if middle and around == list(found) and not (prefix + suffix).strip("%"):
            form = Form("str", str)
            return Bind(param, form, prefix, suffix, escape and escaped != texts)
    return None


def _bound(bind: Bind, values: Mapping[Param, Any], like: Callable[[str], str]) -> Any:
    value = bind.form.of(values[bind.param])
    if bind.plus:
        return value + bind.plus
    if bind.escape:
        value = like(value)
    return f"{bind.prefix}{value}{bind.suffix}" if bind.prefix or bind.suffix else value


def _numbers(sql: str) -> list[re.Match[str]]:
    """Every place of a parameter."""
    return [found for found in _PLACEHOLDER.finditer(sql) if found[1] == "s"]


def numbered(sql: str, write: Callable[[int], str]) -> str:
    """Django's SQL with ``write(number)`` for each parameter, and every doubled percent sign as
    one."""
    numbers = iter(range(sql.count("%")))
    return _PLACEHOLDER.sub(lambda found: write(next(numbers)) if found[1] == "s" else "%", sql)
