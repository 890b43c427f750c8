"""Rate limits that a Redis counts: by all machines, and as they say while it does not answer."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections import Counter

import pytest

from tests.live.redis import Proxy, redis
from tests.live.reloading import Load
from tests.live.server import Server
from tests.live.test_limits import storm

CONFIG = """
version: 1
server: {{workers: 2}}
define:
  rate_limit:
    hour: {{rate: 60/1h, key: route, {store}}}
    pace: {{rate: 20/1s, burst: 5, key: route, {store}}}
    open: {{rate: 1000000/1h, key: route, {store}, on_store_error: allow}}
    tight: {{rate: 7/1h, key: "header:x-key", {store}, on_store_error: allow}}
    shut: {{rate: 1000000/1h, key: route, {store}, on_store_error: deny}}
    first: {{rate: 9/1h, key: "header:x-key", {store}}}
    second: {{rate: 1/1h, key: "header:x-other", {other}}}
    once: {{rate: 1/1h, key: "header:x-key", {store}}}
    quiet: {{rate: 1/1h, {store}, shadow: on}}
defaults: {{access_log: on}}
routes:
  - {{path: /hour, respond: {{body: ok}}, rate_limit: {{hour: on}}}}
  - {{path: /pace, respond: {{body: ok}}, rate_limit: {{pace: on}}}}
  - {{path: /open, respond: {{body: ok}}, rate_limit: {{open: on}}, access_log: off}}
  - {{path: /tight, respond: {{body: ok}}, rate_limit: {{tight: on}}}}
  - {{path: /shut, respond: {{body: ok}}, rate_limit: {{shut: on}}, access_log: off}}
  - {{path: /both, respond: {{body: ok}}, rate_limit: {{once: on, here: {{rate: 2/1h}}}}}}
  - {{path: /dear, respond: {{body: ok}}, rate_limit: {{tight: {{cost: 4}}}}}}
  - {{path: /quiet, respond: {{body: ok}}, rate_limit: {{quiet: on}}}}
  - {{path: /once, respond: {{body: ok}}, rate_limit: {{once: on}}}}
  - {{path: /free, respond: {{body: ok}}, access_log: off}}
  - {{path: /hello, handler: "handlers:hello", rate_limit: {{tight: on}}, access_log: off}}
  - {{path: /stats, handler: "handlers:stats", access_log: off}}
  - {{path: /pair, respond: {{body: ok}}, rate_limit: {{first: on, second: on}}}}
"""
HANDLERS = """
import pybolt

def hello(request):
    return {}

def stats(request):
    return pybolt.stats()
"""

#: Where only counts matter: a machine that is busy with other things is no failure.
PATIENT = "1s"


def serve(directory, url, timeout="50ms"):
    directory.mkdir(exist_ok=True)
    (directory / "handlers.py").write_text(HANDLERS)
    store = f'store: "{url}", store_timeout: {timeout}'
    # Another prefix is another store, with a breaker of its own.
    other = f"{store}, store_prefix: other" if timeout == PATIENT else store
    (directory / "bolt.yaml").write_text(CONFIG.format(store=store, other=other))
    return Server(directory, "--config", "bolt.yaml")


def ask(server, url, key="a"):
    return server.request("GET", url, headers={"x-key": key})


def states(server):
    """The log's lines about stores: whether it answers, and why not."""
    lines = [line for line in server.log().splitlines() if line.startswith('{"store":')]
    return [(told["answers"], told.get("reason")) for told in map(json.loads, lines)]


def await_states(server, count):
    deadline = time.monotonic() + 20
    while len(states(server)) < count:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.01)
    assert len(states(server)) == count


@pytest.fixture(scope="module")
def store():
    with redis() as running:
        yield running


@pytest.fixture(scope="module")
def running(tmp_path_factory, store):
    with serve(tmp_path_factory.mktemp("machine"), store.url, PATIENT) as server:
        yield server


@pytest.fixture(scope="module")
def machines(tmp_path_factory, running, store):
    """Two that share a store; each limit is asked for by one test, so that neither knows of it."""
    with serve(tmp_path_factory.mktemp("other"), store.url, PATIENT) as other:
        yield running, other


def test_two_machines_of_two_workers_admit_together_what_one_would(machines, store):
    store.ask("FLUSHALL")
    assert [len(machine.workers()) for machine in machines] == [2, 2]
    begun = time.monotonic()
    found = Counter()
    for threads, counted in [storm(machine, 2, 40) for machine in machines]:
        for thread in threads:
            thread.join()
        found.update(counted)
    gained = (time.monotonic() - begun) / 60
    assert found[200] + found[429] == 160
    assert 60 <= found[200] <= 61 + gained
    for machine in machines:
        status, headers, _ = ask(machine, "/hour")
        assert status == 429
        assert headers["ratelimit"].startswith('"hour";r=0;t=')
        assert headers["ratelimit-policy"] == '"hour";q=60;w=3600'
        assert 0 < int(headers["retry-after"]) <= 60
        assert states(machine) == []


def test_a_pace_that_goes_on_is_the_model_s_on_two_machines(machines, store):
    store.ask("FLUSHALL")
    for machine in machines:
        assert ask(machine, "/free")[0] == 200
    admitted, over = [], threading.Event()

    def press(machine):
        connection = machine.connect()
        while not over.is_set():
            connection.request("GET", "/pace")
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                admitted.append(time.monotonic())
        connection.close()

    threads = [threading.Thread(target=press, args=(one,)) for one in machines * 2]
    for thread in threads:
        thread.start()
    while not admitted or time.monotonic() - admitted[0] < 3:
        time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join()
    # Five at once, then one every 50 ms.
    model = 5 + int((max(admitted) - min(admitted)) / 0.05)
    assert model - 1 <= len(admitted) <= model + 1


def test_keys_hold_no_client_s_data_and_end_when_their_quota_is_whole(running, store):
    store.ask("FLUSHALL")
    assert ask(running, "/tight", "ann@example.com")[0] == 200
    [key] = [key for key in store.ask("KEYS", "*") if key != "pybolt:"]
    assert re.fullmatch(r"pybolt:tight:7/1h\+7:[0-9a-f]{32}", key)
    seconds, nanos = map(int, store.ask("GET", key).split())
    assert abs(seconds + nanos / 1e9 - time.time() - 3600 / 7) < 2
    assert abs(store.ask("PTTL", key) / 1000 - 3600 / 7) < 2


def test_what_is_refused_is_no_traffic(running, store):
    key = "flood"
    while ask(running, "/tight", key)[0] == 200:
        pass
    before = store.calls("evalsha")
    for _ in range(100):
        status, headers, _ = ask(running, "/tight", key)
        assert status == 429
        assert headers["ratelimit"].startswith('"tight";r=0;t=')
    # Both workers know it from their memory.
    assert store.calls("evalsha") == before
    # What a dear one may not, a plain one may: two are left, of four.
    for _ in range(5):
        assert ask(running, "/tight", "dear")[0] == 200
    status, headers, _ = ask(running, "/dear", "dear")
    assert (status, headers["ratelimit"].split(";")[1]) == (429, "r=2")
    assert ask(running, "/tight", "dear")[0] == 200


def test_limits_here_and_there_are_taken_from_all_or_from_none(running, store):
    store.ask("FLUSHALL")
    assert ask(running, "/both", "x")[0] == 200
    # Refused there, taken from none here.
    status, headers, _ = ask(running, "/both", "x")
    assert (status, headers["ratelimit"].split(";")[0]) == (429, '"once"')
    assert ask(running, "/both", "y")[0] == 200
    # Refused here: nothing was taken there.
    status, headers, _ = ask(running, "/both", "z")
    assert (status, headers["ratelimit"].split(";")[0]) == (429, '"here"')
    assert len(store.ask("KEYS", "pybolt:once:*")) == 2


def test_what_one_store_has_spent_is_given_back_where_another_refuses(machines, store):
    store.ask("FLUSHALL")

    def pair(machine, key):
        return machine.request("GET", "/pair", headers={"x-key": key, "x-other": "same"})

    one, other = machines
    assert pair(one, "a")[0] == 200
    assert len(store.ask("KEYS", "pybolt:first:*")) == 1
    # This machine has to ask both to know.
    status, headers, _ = pair(other, "b")
    assert (status, headers["ratelimit"].split(";")[0]) == (429, '"second"')
    deadline = time.monotonic() + 10
    while len(store.ask("KEYS", "pybolt:first:*")) > 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert pair(other, "b")[0] == 429
    status, headers, _ = ask(other, "/pair", "b")
    assert (status, headers["ratelimit"].split(";")[:2]) == (200, ['"second"', "r=0"])


def test_a_flood_that_redis_has_refused_takes_no_gil(running):
    def takes() -> int:
        return json.loads(ask(running, "/stats")[2])["gil_takes"]

    def one_worker(count):
        """So many refusals and one look at the counter, all on one connection: of one worker."""
        connection = running.connect()
        found = []
        for path in ["/stats", *["/hello"] * count, "/stats"]:
            connection.request("GET", path, headers={"x-key": "gil"})
            response = connection.getresponse()
            found.append((response.status, response.read()))
        connection.close()
        first, *refused, last = found
        assert {status for status, _ in refused} == ({429} if count else set())
        return json.loads(last[1])["gil_takes"] - json.loads(first[1])["gil_takes"]

    while ask(running, "/hello", "gil")[0] == 200:
        pass
    for _ in range(40):
        takes()
    cost = max(one_worker(0) for _ in range(5))
    assert one_worker(50) <= cost


def test_a_shadow_counts_there_and_refuses_nothing(running):
    for _ in range(3):
        status, headers, _ = ask(running, "/quiet")
        assert status == 200
        assert "ratelimit" not in headers
    assert running.logs('"shadow_limited":"quiet"')


def test_a_script_that_redis_has_forgotten_is_loaded_again(running, store):
    store.ask("SCRIPT", "FLUSH")
    assert ask(running, "/tight", "flushed")[0] == 200
    assert states(running) == []


def test_a_connection_that_redis_has_closed_costs_nobody_an_answer(running, store):
    for number in range(10):
        store.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert ask(running, "/shut", f"killed-{number}")[0] == 200
    assert states(running) == []


def stop(store, proxy):
    store.signal(signal.SIGSTOP)


def kill(store, proxy):
    store.kill()


def slow(store, proxy):
    proxy.delay = 0.2


@pytest.mark.parametrize(
    ("fails", "reason"),
    [(stop, "no answer"), (kill, ""), (slow, "no answer")],
    ids=["stopped", "killed", "slow"],
)
def test_without_its_store_a_limit_does_what_it_says_and_nobody_waits(tmp_path, fails, reason):
    with redis() as store, Proxy(store.port) as proxy, serve(tmp_path, proxy.url) as server:
        for path in ["/open", "/shut", "/hour"]:
            assert ask(server, path)[0] == 200
        for _ in range(3):
            assert ask(server, "/tight")[0] == 200
        fails(store, proxy)
        # One who asks of each: the breaker opens within a few of their waits.
        deadline = time.monotonic() + 10
        while not states(server):
            assert ask(server, "/open")[0] == 200
            assert time.monotonic() < deadline
        with (
            Load(server.port, "/free", rate=200) as control,
            Load(server.port, "/open", rate=200) as allowed,
            Load(server.port, "/shut", rate=200) as denied,
        ):
            begun = time.monotonic()
            while time.monotonic() - begun < 4:
                time.sleep(0.05)
            ended = time.monotonic()
        assert control.lost + allowed.lost + denied.lost == 0
        assert allowed.bodies().keys() == {b"ok"}
        assert all(b"limits_unavailable" in body for body in denied.bodies())
        figures = [load.p99(begun, ended) for load in (control, allowed, denied)]
        added = max(figures[1:]) - figures[0]
        line = {"name": f"D4 {fails.__name__}", "pass": added <= 20, "figure": added, "limit": 20}
        print(json.dumps(line))
        assert line["pass"]
        status, headers, _ = ask(server, "/shut")
        assert (status, headers["ratelimit-policy"]) == (503, '"shut";q=1000000;w=3600')
        assert headers["retry-after"] == "1"
        assert "ratelimit" not in headers
        # What Redis counted last is where this machine goes on: three were taken of seven.
        found = Counter(ask(server, "/tight")[0] for _ in range(10))
        assert found == {200: 4, 429: 6}
        # One line of all workers.
        [(answers, why)] = states(server)
        assert not answers
        assert reason in why
        # Back.
        proxy.delay = 0
        if fails is kill:
            store.start()
        else:
            store.signal(signal.SIGCONT)
        back = time.monotonic()
        await_states(server, 2)
        assert states(server)[1] == (True, None)
        assert time.monotonic() - back < 3
        for _ in range(20):
            assert ask(server, "/shut")[0] == 200
        assert len(states(server)) == 2


def test_the_first_request_is_decided_by_a_store_that_takes_longer_to_reach_than_anybody_waits(
    tmp_path,
):
    with redis() as store, Proxy(store.port) as proxy:
        proxy.delay = 0.05
        for number in range(10):
            with serve(tmp_path / str(number), proxy.url, "150ms") as server:
                status, headers, _ = ask(server, "/once", str(number))
                assert (status, headers["ratelimit"].split(";")[:2]) == (200, ['"once"', "r=0"])
                assert len(store.ask("KEYS", "pybolt:once:*")) == number + 1


@pytest.mark.parametrize(("fails", "within"), [("kill", 1.0), ("stop", 1.6)])
def test_a_start_waits_for_a_store_that_is_not_there_a_second_at_most(tmp_path, fails, within):
    def started(directory, url):
        begun = time.monotonic()
        with serve(directory, url) as server:
            took = time.monotonic() - begun
            assert ask(server, "/open")[0] == 200
        return took

    with redis() as store:
        usual = min(started(tmp_path / f"usual-{number}", store.url) for number in range(2))
        store.signal(signal.SIGSTOP) if fails == "stop" else store.kill()
        assert started(tmp_path / fails, store.url) - usual < within


def test_a_server_starts_without_its_store_and_finds_it_later(tmp_path):
    with redis() as store:
        store.kill()
        with serve(tmp_path, store.url) as server:
            await_states(server, 1)
            assert "refused" in states(server)[0][1]
            assert ask(server, "/shut")[0] == 503
            assert ask(server, "/open")[0] == 200
            store.start()
            await_states(server, 2)
            assert ask(server, "/shut")[0] == 200


def test_a_reload_that_adds_a_store_is_put_in_place_when_that_can_be_asked(tmp_path):
    before = "version: 1\nserver: {workers: 2}\nroutes:\n  - {path: /, respond: {body: before}}\n"
    with redis() as store, Proxy(store.port) as proxy:
        # Longer to connect, which takes several ways there and back, than anybody waits.
        proxy.delay = 0.06
        (tmp_path / "bolt.yaml").write_text(before)
        limit = f"{{rate: 100000/1h, store_timeout: 200ms, store: '{proxy.url}'}}"
        after = before.replace("before}", f"after}}, rate_limit: {{far: {limit}}}")
        with Server(tmp_path, "--config", "bolt.yaml") as server:
            with Load(server.port, "/", rate=100, connections=20) as load:
                (tmp_path / "bolt.yaml").write_text(after)
                server.process.send_signal(signal.SIGHUP)
                deadline = time.monotonic() + 20
                while load.bodies().get(b"after", 0) < 100:
                    assert time.monotonic() < deadline, load.bodies()
                    time.sleep(0.05)
            assert load.bodies().keys() == {b"before", b"after"}
            assert load.lost == 0


def test_a_reload_keeps_the_connections_and_the_counts(tmp_path):
    with redis() as store, serve(tmp_path, store.url, PATIENT) as server:
        while ask(server, "/tight")[0] == 200:
            pass

        def connections():
            clients = store.ask("CLIENT", "LIST").splitlines()
            return {line.split()[0] for line in clients if "cmd=client" not in line}

        # Both workers have one.
        deadline = time.monotonic() + 20
        while len(connections()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        before = connections()
        text = (tmp_path / "bolt.yaml").read_text()
        (tmp_path / "bolt.yaml").write_text(text.replace("/free", "/freed"))
        server.process.send_signal(signal.SIGHUP)
        while ask(server, "/freed")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert ask(server, "/tight")[0] == 429
        assert ask(server, "/shut")[0] == 200
        assert connections() == before
        # Another quota begins anew.
        text = text.replace("rate: 7/1h", "rate: 8/1h").replace("/free", "/third")
        (tmp_path / "bolt.yaml").write_text(text)
        server.process.send_signal(signal.SIGHUP)
        while ask(server, "/third")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert ask(server, "/tight")[0] == 200
        assert connections() == before


def test_stores_are_in_the_counters(tmp_path):
    with redis() as store, serve(tmp_path, store.url, PATIENT) as server:
        connection = server.connect()  # to one worker

        def told(path):
            connection.request("GET", path, headers={"x-key": "counted"})
            return connection.getresponse().read()

        def counters():
            return json.loads(told("/stats"))["stores"][store.url]

        assert counters() == {"asked": 0, "failed": 0, "open": False}
        told("/open")
        told("/shut")
        assert counters() == {"asked": 2, "failed": 0, "open": False}
        store.kill()
        deadline = time.monotonic() + 20
        while not counters()["open"]:
            told("/open")
            assert time.monotonic() < deadline
        assert counters()["failed"] > 0
        connection.close()
