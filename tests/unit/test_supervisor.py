"""The supervisor's parts that need no worker."""

import os
import socket

import pytest

from pybolt.config.options import RunOptions
from pybolt.listeners import StartFailed, bind, holder
from pybolt.preflight import Progress
from pybolt.supervisor import Slot, back_off, worker_count
from pybolt.watch import Watch


def test_the_back_off_grows_to_ten_seconds_and_stays_there():
    assert [back_off(n) for n in range(5)] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert back_off(8) == back_off(5000) == 10.0


def test_a_worker_that_lived_is_replaced_at_once():
    slot = Slot(0, [])
    assert [slot.failed(0.1) for _ in range(3)] == [0.1, 0.2, 0.4]
    assert slot.failed(11.0) == 0.0
    assert slot.failed(0.1) == 0.1


def test_every_slot_has_a_socket_of_its_own_on_the_same_free_port():
    slots = bind(["127.0.0.1:0"], 3)
    names = {listener.getsockname() for [listener] in slots}
    assert len({listener.fileno() for [listener] in slots}) == 3
    assert len(names) == 1
    for [listener] in slots:
        assert not listener.get_inheritable()
        listener.close()


def test_a_port_in_use_is_refused_with_who_has_it():
    [[first]] = bind(["127.0.0.1:0"], 1)
    port = first.getsockname()[1]
    assert f"(PID {os.getpid()})" in holder(port)
    with pytest.raises(StartFailed, match=rf"127\.0\.0\.1:{port}.*PID {os.getpid()}"):
        bind([f"127.0.0.1:{port}"], 2)
    first.close()
    assert holder(port) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.0.2.1:8000", "no such address"),
        ("no-such-host.invalid:8000", "cannot listen on no-such-host"),
        (f"{'a' * 70}:8000", "cannot listen on a"),
    ],
)
def test_an_address_that_cannot_be_had_is_named(address, reason):
    with pytest.raises(StartFailed, match=reason):
        bind([address], 1)


def test_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    [[listener]] = bind(["[::1]:0"], 1)
    assert listener.family == socket.AF_INET6
    listener.close()


def test_workers():
    assert worker_count({"workers": 3}) == 3
    assert 1 <= worker_count({"workers": "auto"}) <= (os.cpu_count() or 1)


def test_a_start_that_takes_long_says_so_now_and_then(capfd):
    progress = Progress("loading app")
    for elapsed in (0, 1, 2, 3, 5, 9, 10, 15, 20, 29, 30):
        progress.begun -= elapsed - progress.elapsed()
        progress.tick()
    said = capfd.readouterr().err.splitlines()
    assert said == [f"bolt: loading app ({n} s)" for n in (2, 5, 10, 20, 30)]


def test_the_watch_notices_what_is_changed_made_and_removed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = tmp_path.parent / "elsewhere.yaml"
    config.write_text("a")
    watch = Watch(RunOptions(config=str(config)))

    def changed():
        watch.checked = 0.0
        return watch.changed()

    assert not changed()
    (tmp_path / "a.py").write_text("1")
    assert changed()
    assert not changed()
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.py").write_text("1")
    assert not changed()
    os.utime(config, ns=(1, 1))
    assert changed()
    (tmp_path / "a.py").unlink()
    assert changed()
