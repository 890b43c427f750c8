"""The supervisor's parts that need no worker."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from pybolt import ConfigError
from pybolt.config.options import RunOptions
from pybolt.listeners import StartFailed, bind, holder
from pybolt.preflight import Outcome, Progress
from pybolt.supervisor import Supervisor
from pybolt.watch import Watch
from pybolt.worker import main as worker_main
from pybolt.worker import project_files
from pybolt.workers import Slot, Worker, back_off, worker_count


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
    watch = Watch({"files": [], "config_files": [str(config)], "config_patterns": []}, code=True)

    def changed():
        watch.checked = 0.0
        return watch.changed()

    assert not changed()
    (tmp_path / "a.py").write_text("1")
    assert changed() == "code"
    assert not changed()
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "b.py").write_text("1")
    assert not changed()
    os.utime(config, ns=(1, 1))
    assert changed() == "config"
    (tmp_path / "a.py").unlink()
    os.utime(config, ns=(2, 2))
    assert changed() == "code"


def test_the_watch_notices_what_a_pattern_of_the_configuration_matches_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "routes").mkdir()
    first = tmp_path / "routes" / "a.yaml"
    first.write_text("1")
    patterns = [["routes", "../routes/*.yaml"], ["gone", "*.yaml"]]
    summary = {"files": [], "config_files": ["routes/a.yaml"], "config_patterns": patterns}
    only, code = Watch(summary, code=False), Watch(summary, code=True)

    def changed():
        only.checked = code.checked = 0.0
        return only.changed(), code.changed()

    assert changed() == (None, None)
    (tmp_path / "routes" / "a.txt").write_text("1")
    assert changed() == (None, None)
    (tmp_path / "routes" / "b.yaml").write_text("1")
    assert changed() == ("config", "config")
    (tmp_path / "routes" / "b.yaml").unlink()
    assert changed() == ("config", "config")
    first.unlink()
    assert changed() == ("config", "config")


def test_the_watch_of_a_configuration_looks_at_its_files_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, secret = tmp_path / "bolt.yaml", tmp_path / "secret"
    config.write_text("1")
    secret.write_text("1")
    summary = {"files": [], "config_files": [str(config), str(secret)], "config_patterns": []}
    watch = Watch.of(RunOptions(watch=True), summary)

    def changed():
        watch.checked = 0.0
        return watch.changed()

    (tmp_path / "a.py").write_text("1")
    assert not changed()
    os.utime(secret, ns=(1, 1))
    assert changed() == "config"
    (tmp_path / "new").write_text("1")
    os.utime(tmp_path / "new", ns=(config.stat().st_mtime_ns,) * 2)
    (tmp_path / "new").rename(config)
    assert changed() == "config", "one with the same time is another file"
    assert Watch.of(RunOptions(), summary) is None


@pytest.fixture
def supervisor(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    summary = {
        "listen": ["127.0.0.1:0"], "workers": 1, "drain_timeout": 1.0, "files": [],
        "routes": [], "app": "app", "config": None, "mode": "embedded", "database": "",
        "has_auth": False, "config_files": [], "config_patterns": [], "threads": 8,
        "switch_interval": 0.001, "hash": "0", "warnings": 0, "rate_limit_memory": 1 << 16,
        "listener": "",
    }  # fmt: skip
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    made = Supervisor(RunOptions(app="app"), summary, 15.0)
    yield made
    made.control.close()
    made.served.snapshots.close()
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        if handler is not signal.getsignal(number):
            signal.signal(number, handler)
    os.close(made.served.limits)
    for slot in made.slots:
        for listener in slot.listeners:
            listener.close()


class FakeProcess:
    pid, returncode, killed = 1, None, False

    def __init__(self, *_, **__):
        pass

    def poll(self):
        return None

    def kill(self):
        self.killed = True


def test_a_fork_that_fails_is_tried_again_and_leaves_nothing_open(supervisor, monkeypatch, capfd):
    def no_room(*_, **__):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    [slot] = supervisor.slots
    before = sorted(os.listdir("/proc/self/fd"))
    monkeypatch.setattr("subprocess.Popen", no_room)
    supervisor._fill_slots()
    assert slot.worker is None
    assert slot.next_start > 0
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert "cannot be started: Resource temporarily unavailable" in capfd.readouterr().err
    supervisor._fill_slots()
    assert slot.failures == 1, "it waits before it tries again"
    slot.next_start = 0.0
    monkeypatch.setattr("subprocess.Popen", FakeProcess)
    supervisor._fill_slots()
    assert slot.worker is not None
    slot.worker.close()


def test_a_worker_that_does_not_understand_is_told_of(supervisor, monkeypatch, capfd):
    monkeypatch.setattr("subprocess.Popen", FakeProcess)
    supervisor._fill_slots()
    [slot] = supervisor.slots
    monkeypatch.setattr(
        slot.worker, "reports", lambda: [{"is": "confused", "by": "unknown variant `dance`"}]
    )
    supervisor._hear(slot.worker)
    said = capfd.readouterr().err
    assert "worker 1 does not understand what it is told (unknown variant `dance`)" in said
    slot.worker.close()


class FakePreflight:
    """A check whose outcome is there at once."""

    def __init__(self, summary, served):
        self.outcome, self.served = Outcome(summary), served

    def __call__(self, *_, **__):
        return self

    def read(self):
        return self.outcome

    def close(self):
        pass


def reload(supervisor, monkeypatch, **changes):
    """What is said of a reload with new workers."""
    summary = supervisor.summary | changes
    monkeypatch.setattr("pybolt.reload.Preflight", FakePreflight(summary, supervisor.served))
    supervisor.reloads.begin(restarts=True)
    supervisor.reloads.readable()


def test_new_workers_begin_with_what_has_changed_but_not_with_what_is_bound(
    supervisor, monkeypatch, capfd
):
    monkeypatch.setattr("subprocess.Popen", FakeProcess)
    reload(supervisor, monkeypatch, workers=2, drain_timeout=5.0)
    assert "`server.workers` has changed (1 → 2): that takes a restart" in capfd.readouterr().err
    assert supervisor.summary["drain_timeout"] == 1.0, "nothing of it is applied"
    assert supervisor.slots[0].worker is None
    reload(supervisor, monkeypatch, drain_timeout=5.0, threads=3)
    assert "version 2 (0) serves" in capfd.readouterr().err
    assert supervisor.summary["drain_timeout"] == 5.0
    supervisor.slots[0].worker.close()


def test_a_reload_that_the_machine_has_no_room_for_is_refused(supervisor, monkeypatch, capfd):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: raise_no_room())
    before = sorted(os.listdir("/proc/self/fd"))
    supervisor.reloads.begin(restarts=True)
    said = capfd.readouterr().err
    assert "not reloaded: it cannot be checked: Resource temporarily unavailable" in said
    assert "version 1 goes on" in said
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_reload_while_another_is_under_way_is_the_next(supervisor, monkeypatch, capfd):
    monkeypatch.setattr("subprocess.Popen", FakeProcess)
    check = FakePreflight(dict(supervisor.summary), supervisor.served)
    monkeypatch.setattr("pybolt.reload.Preflight", check)
    supervisor.reloads.begin(restarts=True)
    supervisor.reloads.begin(restarts=True)
    supervisor.reloads.begin(restarts=True)
    supervisor.reloads.readable()
    supervisor.slots[0].worker.close()
    supervisor.reloads.readable()
    assert supervisor.reloads.done == 2
    assert not supervisor.reloads.is_busy
    assert capfd.readouterr().err.count("serves") == 2
    supervisor.slots[0].worker.close()


class Asking:
    """A client of the control socket."""

    def __init__(self):
        self.replies = []

    def reply(self, reply):
        self.replies.append(reply)


def test_who_asks_while_another_is_under_way_is_answered_whatever_becomes_of_it(
    supervisor, monkeypatch
):
    monkeypatch.setattr("subprocess.Popen", FakeProcess)
    check = FakePreflight(dict(supervisor.summary), supervisor.served)
    monkeypatch.setattr("pybolt.reload.Preflight", check)
    supervisor.reloads.begin(restarts=True)
    first, second = Asking(), Asking()
    # There is no file: this one fails as soon as it begins.
    supervisor.reloads.begin(client=first)
    supervisor.reloads.readable()
    supervisor.slots[0].worker.close()
    [reply] = first.replies
    assert "there is no file to read again" in reply["error"]
    supervisor.reloads.begin(restarts=True)
    supervisor.reloads.begin(client=second)
    supervisor.reloads.cancel()
    assert [reply["ok"] for reply in second.replies] == [False]
    assert not supervisor.reloads.is_busy
    third = Asking()
    supervisor.reloads.begin(client=third)
    assert [reply["ok"] for reply in third.replies] == [False]
    assert not supervisor.reloads.is_busy


def test_a_worker_that_a_reload_replaces_before_it_serves_has_not_failed(supervisor, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", FakeProcess)
    supervisor.options = RunOptions(config="bolt.yaml")
    [slot] = supervisor.slots
    for _ in range(4):
        supervisor._fill_slots()
        worker = slot.worker
        check = FakePreflight(dict(supervisor.summary), supervisor.served)
        monkeypatch.setattr("pybolt.reload.Preflight", check)
        supervisor.reloads.begin()
        supervisor.reloads.readable()
        assert worker.process.killed
        worker.process.returncode = -9
        monkeypatch.setattr(worker.process, "poll", lambda: -9)
        supervisor._reap()
    assert (slot.failures, slot.next_start) == (0, 0.0)


def test_workers_that_serve_until_others_do_are_asked_too(supervisor, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", FakeProcess)
    supervisor._fill_slots()
    [slot] = supervisor.slots
    old = slot.worker
    old.is_ready = True
    supervisor.replace_workers(supervisor.slots)
    assert slot.worker is not old
    assert supervisor.living() == [old]
    client = Asking()
    supervisor.commands.answer(client, {"do": "maintenance", "switch": "on"})
    assert not client.replies
    old.process.poll = lambda: 0
    supervisor._reap()
    assert [reply["ok"] for reply in client.replies] == [True], "nobody waits for one that is gone"
    slot.worker.close()


def raise_no_room():
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_the_watch_follows_files_that_are_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    for file in (first, second):
        file.write_text("1")
    watch = Watch({"files": [str(first)], "config_files": [], "config_patterns": []}, code=True)

    def changed():
        watch.checked = 0.0
        return watch.changed()

    os.utime(second, ns=(1, 1))
    assert not changed()
    os.utime(first, ns=(1, 1))
    assert changed()
    watch.follow({"files": [str(first), str(second)], "config_files": [], "config_patterns": []})
    assert not changed()
    os.utime(second, ns=(2, 2))
    assert changed()


def test_the_projects_files_are_those_that_are_not_installed():
    files = project_files()
    assert __file__ in files
    assert json.__file__ not in files
    assert pytest.__file__ not in files


def test_a_forked_child_lets_go_of_the_port():
    with socket.socket() as listener, socket.socket() as other:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        for one in (listener, other):
            os.set_inheritable(one.fileno(), True)
        program = (
            "import os, sys; from pybolt.worker import keep_from_children\n"
            "kept, closed, other = map(int, sys.argv[1:])\n"
            "keep_from_children([kept, closed])\n"
            "os.dup2(other, closed)\n"
            "assert not os.get_inheritable(kept)\n"
            "if os.fork(): sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
            "os.fstat(closed)\n"
            "try: os.fstat(kept)\n"
            "except OSError: os._exit(0)\n"
            "os._exit(1)"
        )
        read, write = os.pipe()
        descriptors = [listener.fileno(), read, other.fileno()]
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, descriptors)],
            pass_fds=descriptors,
            check=False,
        )
        os.close(read)
        os.close(write)
    assert done.returncode == 0


def test_a_configuration_that_went_wrong_since_is_one_message_of_the_worker(monkeypatch, capfd):
    def serve(*_):
        raise ConfigError("bolt.yaml:1:1 error[E014]: unknown key")

    monkeypatch.setattr("pybolt.worker.serve", serve)
    assert worker_main(["serve", "{}", "config=bolt.yaml"]) == 1
    assert capfd.readouterr().err == "bolt.yaml:1:1 error[E014]: unknown key\n"


def test_a_worker_that_serves_is_drained_though_nobody_has_heard_of_it():
    class Process:
        killed = False

        def kill(self):
            self.killed = True

    worker = object.__new__(Worker)
    report, says = os.pipe()
    hears, control = os.pipe()
    os.set_blocking(report, False)
    worker.process = process = Process()
    worker.report_fd, worker.control_fd = report, control
    worker.is_ready, worker._unread, worker._unsent, worker._heard = False, b"", b"", []
    os.write(says, b'{"is": "ready"}\n')
    worker.order("drain")
    assert not process.killed
    assert json.loads(os.read(hears, 100)) == {"do": "drain"}
    assert worker.reports() == [{"is": "ready"}]
    worker.close()
    for end in (says, hears):
        os.close(end)


def test_orders_are_whole_lines_though_the_pipe_takes_a_part():
    worker = object.__new__(Worker)
    hears, control = os.pipe()
    os.set_blocking(control, False)
    size = fcntl.fcntl(control, fcntl.F_SETPIPE_SZ, 4096)
    worker.is_ready, worker._unsent, worker.control_fd = True, b"", control
    worker.order("switch", number=1, switches=["x" * 2 * size])
    heard = os.read(hears, 3 * size)
    worker.order("status", number=2)
    heard += os.read(hears, 3 * size)
    worker.order("status", number=3)
    heard += os.read(hears, 3 * size)
    worker.order("status", number=4)
    heard += os.read(hears, 3 * size)
    orders = [json.loads(line) for line in heard.splitlines()]
    assert [order["number"] for order in orders] == [1, 2, 3, 4]
    os.close(hears)
    os.close(control)
