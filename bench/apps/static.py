"""A directory of files, beside nginx."""

from __future__ import annotations

from typing import Any

import pybolt
from pybolt import BoltAPI

api = BoltAPI()
api.files("/files/{*path}", "../files")


@api.get("/stats")
def stats(req: Any) -> dict[str, Any]:
    return pybolt.stats()
