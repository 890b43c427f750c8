"""What has to be waited for."""

from tests.live.example_file.site import covers


@covers("timeout: 15s", 'path: "/reports/{id}/"', "path: /events/")
def test_timeouts(long_running):
    answer, took = long_running["slow"].result(60)
    assert (answer.code, 14.5 < took < 16.9) == ("timeout", True)
    answer, took = long_running["report"].result(60)
    assert (answer.json(), took > 16.9) == ({"report": 7, "user": "patient"}, True)
    answer, took = long_running["late"].result(60)
    assert (answer.code, 4.5 < took < 8.5) == ("timeout", True)
    # The default would have ended it at fifteen seconds, had it been a total.
    answer, took = long_running["long"].result(60)
    assert (answer.status, answer.body[-11:], took > 17.5) == (200, b"data: end\n\n", True)


@covers("limits: {header_read: 10s, headers: 32KiB, connections: 10000, keep_alive: 75s}")
def test_timers_of_the_listener(long_running):
    took, received = long_running["slow head"].result(60)
    assert (received[:12], 9.5 < took < 13) == (b"HTTP/1.1 408", True)
    took, received = long_running["keep alive"].result(95)
    assert (received[:12], 74 < took < 79) == (b"HTTP/1.1 308", True)
