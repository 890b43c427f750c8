"""Rate limits over sockets: all workers count together, and go on counting when one is killed or
all are replaced."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter

import pytest

from tests.live.server import Server

CONFIG = """
version: 1
server: {workers: %d}
defaults: {access_log: on}
routes:
  - {path: /hour, respond: {body: ok}, rate_limit: {hour: {rate: 60/1h}}}
  - {path: /key, respond: {body: ok}, rate_limit: {key: {rate: 30/1h, key: "header:x-key"}}}
  - {path: /shadow, respond: {body: ok}, rate_limit: {quiet: {rate: 1/1h, shadow: on}}}
"""


def serve(directory, workers, *arguments):
    (directory / "bolt.yaml").write_text(CONFIG % workers)
    return Server(directory, "--config", "bolt.yaml", *arguments)


def statuses(server, count, url="/hour", headers=None):
    """The statuses of ``count`` requests, each on a connection of its own; 0 = it broke off."""
    found = Counter()
    for _ in range(count):
        try:
            found[server.request("GET", url, headers=headers)[0]] += 1
        except (OSError, http.client.HTTPException):
            found[0] += 1
    return found


def storm(server, threads, count, url="/hour", headers=None):
    """The same from several clients at once."""
    found = Counter()
    lock = threading.Lock()

    def ask():
        own = statuses(server, count, url, headers)
        with lock:
            found.update(own)

    running = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in running:
        thread.start()
    return running, found


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_admit_together_what_one_would(tmp_path, workers):
    with serve(tmp_path, workers) as server:
        assert len(server.workers()) == workers
        begun = time.monotonic()
        running, found = storm(server, 4, 40)
        for thread in running:
            thread.join()
        gained = (time.monotonic() - begun) / 60
        assert found[200] + found[429] == 160
        assert 60 <= found[200] <= 61 + gained
        status, headers, _ = server.request("GET", "/hour")
        assert status == 429
        assert headers["ratelimit"].startswith('"hour";r=0;t=')
        assert 0 < int(headers["retry-after"]) <= 60
        # The shadow says so where operators look, and to nobody else.
        for _ in range(8):
            status, headers, _ = server.request("GET", "/shadow")
            assert status == 200
            assert "ratelimit" not in headers
        assert server.logs('"shadow_limited":"quiet"')


def test_a_worker_that_is_killed_takes_no_count_with_it(tmp_path):
    with serve(tmp_path, 2) as server:
        before = server.workers()
        running, found = storm(server, 4, 60, "/key", {"x-key": "a"})
        while found[200] == 0 and any(thread.is_alive() for thread in running):
            if sum(line.count('"/key"') for line in server.log().splitlines()) > 20:
                break
            time.sleep(0.005)
        os.kill(before[0], signal.SIGKILL)
        for thread in running:
            thread.join()
        assert server.logs("ended with signal SIGKILL")
        deadline = time.monotonic() + 30
        while len(server.workers()) < 2 or before[0] in server.workers():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # A request may have been counted whose answer was lost with the worker; one is gained in
        # two minutes.
        assert 30 - found[0] - 1 <= found[200] <= 31
        assert statuses(server, 20, "/key", {"x-key": "a"}) == {429: 20}
        assert statuses(server, 5, "/key", {"x-key": "b"}) == {200: 5}


def test_counts_stay_when_all_workers_are_replaced(tmp_path):
    app = tmp_path / "app.py"
    text = (
        "from pybolt import BoltAPI, RateLimit\n"
        "api = BoltAPI()\n"
        "@api.get('/n', rate_limit={'two': RateLimit('2/1h'), 'key': RateLimit('9/1h')})\n"
        "def n(request):\n    return {'version': %d}\n"
    )
    app.write_text(text % 1)
    with Server(tmp_path, "app:api", "--reload") as server:
        assert [server.request("GET", "/n")[0] for _ in range(3)] == [200, 200, 429]
        # Of another length each time: compiled files are told apart by time in seconds and size.
        app.write_text(text % 22)
        await_replaced(server, 2)
        assert server.request("GET", "/n")[0] == 429
        # Another quota is another limit.
        app.write_text((text % 333).replace("2/1h", "3/1h"))
        await_replaced(server, 3)
        status, _, body = server.request("GET", "/n")
        assert (status, json.loads(body)) == (200, {"version": 333})


def await_replaced(server, times):
    """Waits until the workers of that start are the only ones."""
    deadline = time.monotonic() + 30
    while server.log().count("bolt serves") < times or len(server.workers()) > 1:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.02)


HOLDING = """
import asyncio
from pybolt import BoltAPI, InFlight, Stream
api = BoltAPI()

@api.get("/hold", in_flight=InFlight(limit=2, key="header:x-key"))
async def hold(request):
    if request.query.get("how") == "wait":
        await asyncio.sleep(60)
    if request.query.get("how") == "stream":
        return Stream(iter(lambda: b"x" * 65536, None))
    return {}
"""


def test_a_client_has_so_many_requests_under_way_until_it_has_gone(tmp_path):
    (tmp_path / "app.py").write_text(HOLDING)
    with Server(tmp_path, "app:api") as server:

        def hold(how):
            connection = server.connect()
            connection.request("GET", f"/hold?how={how}", headers={"x-key": "a"})
            return connection

        def await_status(expected):
            deadline = time.monotonic() + 20
            while True:
                status, headers, body = server.request("GET", "/hold", headers={"x-key": "a"})
                if status == expected:
                    return headers, body
                assert time.monotonic() < deadline
                time.sleep(0.02)

        held = [hold("wait"), hold("stream")]
        headers, body = await_status(429)
        assert headers["retry-after"] == "1"
        assert json.loads(body)["type"] == "urn:pybolt:problem:too_many_in_flight"
        assert server.request("GET", "/hold", headers={"x-key": "b"})[0] == 200
        # The head of an answer is not its last byte.
        assert held[1].getresponse().status == 200
        assert server.request("GET", "/hold", headers={"x-key": "a"})[0] == 429
        held[0].close()
        await_status(200)
        held[0] = hold("wait")
        await_status(429)
        held[1].close()
        await_status(200)
        held[0].close()
