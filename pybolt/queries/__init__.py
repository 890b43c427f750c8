"""Declared reads: a route that is answered by a Django queryset, compiled once at the start.

Three tiers answer alike: Rust (1), the compiled SQL through Django's cursor (2), and the queryset
itself (3). ``declare`` is what users write; ``plan`` compiles it; ``run`` is tiers 2 and 3.
"""

from .compiled import Compiled, QueryFailed, gather
from .declare import Nested, Page, Param, Read, count

__all__ = ["Compiled", "Nested", "Page", "Param", "Read", "QueryFailed", "count", "gather"]
