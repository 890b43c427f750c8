"""The contents of the configuration's files, in memory that workers can read and no path leads to.

Two places: the version that is served, and the one that is being tried. A commit exchanges them.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile


@dataclasses.dataclass
class Snapshot:
    """One place: written by a preflight, read by workers."""

    write_fd: int
    read_fd: int
    length: int = 0


class Snapshots:
    """Both places."""

    def __init__(self) -> None:
        self.served = _place("bolt-one")
        self.tried = _place("bolt-two")

    def read_fds(self) -> list[int]:
        """What every worker inherits."""
        return sorted((self.served.read_fd, self.tried.read_fd))

    def commit(self) -> None:
        """What was tried is what is served."""
        self.served, self.tried = self.tried, self.served

    def close(self) -> None:
        """Gives the memory back."""
        for place in (self.served, self.tried):
            os.close(place.write_fd)
            os.close(place.read_fd)


def _place(name: str) -> Snapshot:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    # Workers may read it, and no more.
    return Snapshot(descriptor, os.open(f"/dev/fd/{descriptor}", os.O_RDONLY))


def write(descriptor: int, content: bytes) -> None:
    """Replaces what is in a place."""
    os.ftruncate(descriptor, 0)
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], written)


def read(descriptor: int, length: int) -> bytes:
    """What is in a place. Raises ``OSError`` where it is not all there."""
    content = b""
    while len(content) < length:
        more = os.pread(descriptor, length - len(content), len(content))
        if not more:
            raise OSError("a snapshot of the configuration is cut off")
        content += more
    return content
