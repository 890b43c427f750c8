"""Django's own URLconf is empty: every route of the peer is in `api.py`."""

from __future__ import annotations

urlpatterns: list[object] = []
