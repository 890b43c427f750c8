"""The memory in which all workers of a supervisor count for their rate limits.

A file without a name that the workers inherit and map; the engine knows what is in it
(``engine/src/middleware/rate_limit/table.rs``). Its head is a mark and the seed under which keys
are hashed. Counts stay while workers come and go.
"""

from __future__ import annotations

import fcntl
import os
import tempfile

MARK = b"pybolt limits 1\n"
SEED = 16

_SEALS = "F_SEAL_SHRINK", "F_SEAL_GROW", "F_SEAL_SEAL"


def make(size: int) -> int:
    """A descriptor of ``size`` bytes of memory, for this user alone. Raises ``OSError``."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            return _prepare(os.dup(file.fileno()), size)
    descriptor = _prepare(
        os.memfd_create("pybolt-limits", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), size
    )
    # A mapping that loses its pages ends the process that touches them.
    seals = [getattr(fcntl, name) for name in _SEALS]
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals[0] | seals[1] | seals[2])
    return descriptor


def _prepare(descriptor: int, size: int) -> int:
    try:
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, size)
        os.pwrite(descriptor, MARK + os.urandom(SEED), 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
