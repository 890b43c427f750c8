"""The harness refuses to call errors a result. Runs without any server: `python -m pytest bench/tests`."""

from __future__ import annotations

import dataclasses
import http.client
import os
import subprocess
import sys

import pytest

from bench import load, machine, measure, render
from bench.case import CpuCase
from bench.cases import CASES

HEADERS = http.client.HTTPMessage()
HELLO = load.Exchange(path="/hello", body=b"hello")
REFUSED = load.Exchange(path="/private", status=401, member=("status", 401))

WRK = """Running 1s test @ http://127.0.0.1:8000/hello
  Latency Distribution
     50%  594.00us
     99%    1.25ms
  {requests} requests in 1.10s, 10.82MB read
{trouble}
Requests/sec:  81253.11
"""


def answered(requests: int, trouble: str = "") -> load.Load:
    return load._parse(WRK.format(requests=requests, trouble=trouble))


def test_output_of_wrk_is_read() -> None:
    result = answered(110)
    assert (result.requests, result.seconds, result.p99_ms) == (110, 1.1, 1.25)
    assert result.rate == pytest.approx(100)


def test_success_allows_no_refusal() -> None:
    assert load._verified(answered(100), HELLO).refused == 0
    with pytest.raises(load.NotAnswered, match="1 were refusals, expected none"):
        load._verified(answered(100, "  Non-2xx or 3xx responses: 1"), HELLO)


def test_refusal_allows_no_success() -> None:
    assert load._verified(answered(100, "  Non-2xx or 3xx responses: 100"), REFUSED).refused == 100
    with pytest.raises(load.NotAnswered, match="99 were refusals, expected all"):
        load._verified(answered(100, "  Non-2xx or 3xx responses: 99"), REFUSED)


@pytest.mark.parametrize("trouble", ["", "  Socket errors: connect 0, read 3, write 0, timeout 0"])
def test_socket_errors_and_silence_are_no_result(trouble: str) -> None:
    with pytest.raises(load.NotAnswered):
        load._verified(answered(100 if trouble else 0, trouble), HELLO)


@pytest.mark.parametrize(
    ("exchange", "status", "body"),
    [
        (HELLO, 500, b"hello"),
        (HELLO, 200, b"other"),
        (REFUSED, 401, b'{"status": 403}'),
        (REFUSED, 401, b"{}"),
    ],
)
def test_another_answer_is_refused(exchange: load.Exchange, status: int, body: bytes) -> None:
    with pytest.raises(load.NotAnswered):
        exchange.check(status, HEADERS, body)


def test_the_expected_answer_is_taken() -> None:
    HELLO.check(200, HEADERS, b"hello")
    REFUSED.check(401, HEADERS, b'{"status": 401}')


def test_process_tree_has_children_and_their_cpu_time_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint('burnt', flush=True)\ninput()"
    child = subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == b"burnt\n"
        assert {os.getpid(), child.pid} <= machine.process_tree(os.getpid())
        assert machine.cpu_seconds(frozenset({child.pid})) >= 0.15
    finally:
        child.communicate(b"\n")


def test_a_bar_is_met_up_to_its_limit() -> None:
    assert measure.Bar(figure="CPU against raw actix", measured=1.25, at_most=1.25).passed
    assert not measure.Bar(figure="CPU against raw actix", measured=1.26, at_most=1.25).passed
    assert measure.Bar(figure="p99 ms", measured=999, at_most=None).passed


def test_a_bar_may_be_the_least() -> None:
    bar = measure.Bar(figure="requests/s against django-bolt", measured=10, at_least=10)
    assert bar.passed
    assert not dataclasses.replace(bar, measured=9.9).passed


def test_a_round_gives_every_figure_that_is_judged() -> None:
    case = next(case for case in CASES if case.name == "orm_sync_ten")
    assert isinstance(case, CpuCase)
    own = {"cpu_us": 10.0, "requests_per_second": 600.0, "p99_ms": 2.0}
    other = {"cpu_us": 20.0, "requests_per_second": 200.0, "p99_ms": 5.0}
    bars = measure._beside(case, [{"pybolt": own, "django-bolt": other}], "django-bolt")
    assert [(bar.figure, bar.measured, bar.passed) for bar in bars] == [
        ("CPU against django-bolt", 0.5, True),
        ("requests/s against django-bolt", 3.0, True),
        ("p99 against django-bolt", 0.4, True),
    ]


def test_a_row_of_the_table_says_which_way_a_bar_is_meant() -> None:
    least = {"figure": "requests/s against x", "measured": 9, "added_us": None, "at_most": None}
    assert render._judged(least | {"at_least": 10, "passed": False}) == (
        "requests/s against x: 9.00x",
        ">= 10x",
        "MISSED",
    )
    # Written before there was such a bar.
    assert render._judged(least | {"passed": True})[1:] == ("", "")


def test_a_document_may_be_written_in_any_way() -> None:
    exchange = load.Exchange(path="/ten", document=[{"id": 1}])
    exchange.check(200, HEADERS, b'[{"id": 1}]')
    exchange.check(200, HEADERS, b'[{"id":1}]')
    with pytest.raises(load.NotAnswered):
        exchange.check(200, HEADERS, b'[{"id":2}]')


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_only_the_text_between_the_markers_is_replaced() -> None:
    readme = f"before\n{render.BEGIN}\nold\n{render.END}\nafter\n"
    assert render.replaced(readme, "new") == f"before\n{render.BEGIN}\nnew\n{render.END}\nafter\n"
    with pytest.raises(render.NotRendered):
        render.replaced("no markers", "new")
