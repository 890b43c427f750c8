"""What stands in a queryset in place of a parameter or a nested list until it is compiled."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db.models import Expression, Value
from django.db.models.fields import Field

from ..exceptions import DeclarationError
from .declare import Nested, Param
from .samples import samples


class Placeholder(Expression):  # type: ignore[misc]
    """A :class:`Param` that Django's lookups and expressions keep as it is."""

    def __init__(self, param: Param) -> None:
        super().__init__()
        self.param = param

    def __repr__(self) -> str:
        return repr(self.param)

    def _resolve_output_field(self) -> Any:
        if self.param.many:
            return None
        return Value(samples(self.param, 0)[0])._output_field_or_none

    def get_group_by_cols(self) -> list[Any]:
        """None: it is the same for all rows."""
        return []

    def as_sql(self, compiler: Any, connection: Any) -> NoReturn:
        """There is none before the value is put in."""
        raise DeclarationError(
            f"the parameter `{self.param.name}` stands where no value can be put in",
            "use it in `filter(...)`, `Q(...)` or an expression of `annotate(...)`",
        )


class Below(Expression):  # type: ignore[misc]
    """A :class:`Nested` among the columns."""

    def __init__(self, nested: Nested) -> None:
        super().__init__(output_field=Field())
        self.nested = nested

    def get_group_by_cols(self) -> list[Any]:
        """None: it is no column."""
        return []

    def as_sql(self, compiler: Any, connection: Any) -> NoReturn:
        """There is none: it is a query of its own."""
        raise DeclarationError(
            "a nested list stands where it cannot be", "name it in `values(...)` of the rows above"
        )
