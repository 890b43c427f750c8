"""What a request says of a query's parameters, as values."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from ..exceptions import RequestValidationError
from ..scalars import Invalid, converter
from .declare import Param, in_utc
from .pages import read_cursor
from .plan import Given, Plan

#: Reads a parameter: its value, or ``None`` where the request has none.
_Read = Callable[[Any], Any]


class Inputs:
    """The parameters of a plan, compiled once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.readers = [(param, self._reader(param)) for param in plan.params]

    def read(self, request: Any) -> tuple[dict[Param, Any], Given]:
        """The values, and which of the optional ones were given.

        Raises :class:`RequestValidationError` that names every field that is missing or does not
        fit.
        """
        values: dict[Param, Any] = {}
        given: set[str] = set()
        errors: list[dict[str, str]] = []
        for param, read in self.readers:
            try:
                value = read(request)
            except Invalid as error:
                errors.append(_error(param, str(error)))
                continue
            if value is None and not param.optional:
                errors.append(_error(param, "is required"))
            elif value is not None:
                values[param] = value
                if param.optional:
                    given.add(param.name)
        if errors:
            raise RequestValidationError(errors)
        return values, frozenset(given)

    def _reader(self, param: Param) -> _Read:
        page = self.plan.page
        match param.place:
            case "limit":
                assert page is not None, "only a page has a limit"
                said = f"expected an integer from 1 to {page.max}"
                return _number(param.name, page.default, 1, page.max, said)
            case "offset":
                return _number(param.name, 0, 0, 2**63 - 1, "expected an integer from 0 up")
            case "cursor":
                return self._cursor(param)
        convert, default = _converter(param), in_utc(param.default)
        source = _SOURCES[str(param.place)](param)

        def read(request: Any) -> Any:
            found = source(request)
            return convert(list(found)) if found else default

        return read

    def _cursor(self, param: Param) -> _Read:
        convert = _converter(param)

        def read(request: Any) -> Any:
            given = request.query.getlist(param.name)
            if not given:
                return None
            text = read_cursor(given[-1], self.plan.secret)
            if text is None:
                raise Invalid("expected the cursor of a page")
            return convert([text])

        return read


def _error(param: Param, message: str) -> dict[str, str]:
    place = param.place if param.place in ("path", "principal") else "query"
    return {"in": str(place), "field": param.name, "message": message}


def _converter(param: Param) -> Callable[[list[str]], Any]:
    convert = converter(param.type, [], param.name)

    def checked(texts: list[str]) -> Any:
        if any("\0" in text for text in texts):
            raise Invalid("expected a text without a zero byte")
        value = convert(texts)
        if isinstance(value, datetime.time) and value.tzinfo is not None:
            raise Invalid("expected a time such as 12:00:00")
        try:
            return in_utc(value)
        except OverflowError:
            raise Invalid("expected a date and time such as 2026-01-31T12:00:00Z") from None

    return checked


def _number(name: str, default: int, low: int, high: int, said: str) -> _Read:
    convert = converter(int, [], name)

    def read(request: Any) -> int:
        given = request.query.getlist(name)
        if not given:
            return default
        try:
            value = int(convert(list(given)))
        except Invalid:
            raise Invalid(said) from None
        if not low <= value <= high:
            raise Invalid(said)
        return value

    return read


_Source = Callable[[Any], Sequence[str]]


def _from_path(param: Param) -> _Source:
    return lambda request: [request.params[param.name]]


def _from_query(param: Param) -> _Source:
    def read(request: Any) -> Sequence[str]:
        found: list[str] = request.query.getlist(param.name)
        return found

    return read


def _from_principal(param: Param) -> _Source:
    def read(request: Any) -> Sequence[str]:
        principal = request.principal
        claim = None if principal is None else principal.claims.get(param.name)
        if isinstance(claim, list):
            if not param.many:
                raise Invalid("expected one value")
            return [_text(item) for item in claim]
        return [] if claim is None else [_text(claim)]

    return read


def _text(claim: Any) -> str:
    """A claim as it would stand in a path."""
    return claim if isinstance(claim, str) else json.dumps(claim)


_SOURCES = {"path": _from_path, "query": _from_query, "principal": _from_principal}
