"""The memory that a supervisor makes for rate limits."""

import errno
import fcntl
import os
import stat

import pytest

from pybolt import limits


def test_it_is_this_users_marked_sealed_and_seeded_anew():
    first, second = limits.make(1 << 16), limits.make(1 << 16)
    try:
        found = os.fstat(first)
        assert (found.st_size, stat.S_IMODE(found.st_mode)) == (1 << 16, 0o600)
        assert not os.get_inheritable(first)
        heads = [os.pread(descriptor, 32, 0) for descriptor in (first, second)]
        assert all(head.startswith(limits.MARK) for head in heads)
        assert heads[0] != heads[1]
        with pytest.raises(PermissionError):
            os.ftruncate(first, 0)
        assert fcntl.fcntl(first, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
    finally:
        os.close(first)
        os.close(second)


def test_without_room_nothing_stays_open(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOMEM, "full")

    monkeypatch.setattr("os.ftruncate", full)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="full"):
        limits.make(1 << 16)
    assert sorted(os.listdir("/proc/self/fd")) == before
