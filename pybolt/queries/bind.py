"""A declared read as what answers a route."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from ..exceptions import DeclarationError
from . import wire
from .declare import Read
from .optional import Ambiguous
from .plan import Plan, plan
from .run import Answering

_forced: contextvars.ContextVar[int] = contextvars.ContextVar("pybolt.queries.forced", default=1)


@contextlib.contextmanager
def forced(tier: int) -> Iterator[None]:
    """Has no read within be of a tier below ``tier``: for tests that compare them."""
    token = _forced.set(tier)
    try:
        yield
    finally:
        _forced.reset(token)


@dataclasses.dataclass(frozen=True)
class BoundRead:
    """A read that was compiled: which tier answers it, why not the first, and what the engine
    hears of it. ``answer`` is the handler of the other tiers."""

    plan: Plan
    tier: int
    reason: str | None
    answer: Answering | None

    def wire(self, name: str, handler: dict[str, Any] | None) -> dict[str, Any]:
        """``query`` of a route; ``handler``: what is to be called in tiers 2 and 3."""
        return {
            "name": name,
            "tier": self.tier,
            "parameters": wire.parameters(self.plan),
            "reads": wire.reads(self.plan) if self.tier == 1 else [],
            "page": wire.page(self.plan),
        } | ({} if handler is None else {"handler": handler})

    def aliases(self) -> set[str]:
        """The databases that Rust is to connect to."""
        return {part.alias for part in self.plan.parts} if self.tier == 1 else set()


def code_of(error: DeclarationError) -> str:
    """The code of a mistake in a declared read."""
    return "E171" if isinstance(error, Ambiguous) else "E170"


def bind_read(
    what: Any, name: str, captured: Sequence[str] | None, methods: Sequence[str] = ("GET",)
) -> BoundRead:
    """Compiles what a route is to be answered by: a queryset, a dict, a count or a :class:`Read`.

    ``captured``: the names that the route's path captures; ``None`` of a read that no route has.
    Raises :class:`DeclarationError`.
    """
    read = what if isinstance(what, Read) else Read(what)
    if not set(methods) <= {"GET", "HEAD"}:
        raise DeclarationError("a query answers GET alone", "leave `methods` out")
    try:
        made = plan(read)
    except DeclarationError:
        raise
    except Exception as error:
        # Whatever Django, or an expression of the project's own, has against it.
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise DeclarationError(f"compiling it failed: {what}") from error
    for param in made.params:
        if captured is None:
            if param.place is not None:
                raise DeclarationError(
                    f"the parameter `{param.name}` is of a request, which this read has none of",
                    f"write `Param({param.name!r})`",
                )
        elif param.place is None:
            raise DeclarationError(
                f"nobody says where the parameter `{param.name}` comes from",
                f"write `Param.path({param.name!r})`, or `.query` or `.principal`",
            )
        elif param.place == "path" and param.name not in captured:
            raise DeclarationError(
                f"the parameter `{param.name}` is taken from the path, which does not capture it",
                f"the path captures: {', '.join(captured) or 'nothing'}",
            )
    least = _forced.get()
    tier, reason = made.tier.number, made.tier.reason
    if least > tier:
        tier, reason = least, "a test wants it so"
    answer = Answering(made, tier, name) if tier > 1 and captured is not None else None
    return BoundRead(made, tier, reason, answer)
