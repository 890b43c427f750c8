"""The group `api`."""

import time

from tests.live.example_file.site import covers, policies_of


@covers("login: {rate: 5/15m", "path: /login/")
def test_passwords_are_guessed_five_times(site):
    client = site.client()
    answers = [site.ask("POST", "/api/login/", client=client) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert answers[0].json() == {"login": True}
    assert policies_of(answers[0]) == {"login": (5, 900), "per_ip": (100, 60)}
    assert int(answers[5]["retry-after"]) > 60
    assert site.ask("POST", "/api/login/").status == 200
    # The route is there for one method, and no other comes to the rest of the group.
    answer = site.ask("GET", "/api/login/")
    assert (answer.status, answer["allow"]) == (405, "OPTIONS, POST")


@covers("groups:", "name: api", "prefix: /api", "routes:", 'path: "/{*rest}"}')
def test_the_group_is_asked_for_tokens_down_to_its_rest(site):
    for path in ("/api/", "/api/me/", "/api/what/ever", "/api/admin/"):
        assert site.ask("GET", path).status == 401, path
    # Django answers what Python does not, and its own 404 is seen by who may look.
    answer = site.ask("GET", "/api/what/ever", **site.bearer())
    assert (answer.status, answer["content-type"]) == (404, "text/html; charset=utf-8")
    assert site.ask("GET", "/about/").status == 200


@covers('path: "/reports/{id}/"')
def test_reports_are_for_who_may_read_them(site):
    for claims in ({"scope": "x reports:read"}, {"roles": ["staff"]}):
        answer = site.ask("GET", "/api/reports/7/", **site.bearer(sub="reader", **claims))
        assert answer.json() == {"report": 7, "user": "reader"}
    assert site.ask("GET", "/api/reports/7/", **site.bearer()).code == "forbidden"
    assert site.ask("GET", "/api/reports/7/").status == 401
    assert site.ask("POST", "/api/reports/7/", **site.bearer()).status == 405


@covers("python: {concurrency: 64")
def test_python_has_sixty_four_places(site, long_running):
    """Each worker has its own; who finds none waits a quarter of a second."""
    # One that is still under way would have one of them.
    long_running["long"].result(60)
    workers = len(site.server.workers())
    held = []
    try:
        for number in range(64 * workers + 1):
            token = site.bearer(sub=f"crowd-{number}")
            connection = site.connect()
            held.append(connection)
            begun = time.monotonic()
            fields = {"Host": "example.com", "X-Forwarded-For": site.client()} | token
            connection.request("GET", "/api/events/?seconds=60", headers=fields)
            response = connection.getresponse()
            if response.status != 200:
                break
        took = time.monotonic() - begun
        assert response.status == 503
        assert int(response.getheader("retry-after")) >= 1
        assert 64 < len(held) <= 64 * workers + 1
        assert 0.2 < took < 3
    finally:
        for connection in held:
            connection.close()
    deadline = time.monotonic() + 10
    while site.ask("GET", "/api/events/", **site.bearer(sub="after")).status != 200:
        assert time.monotonic() < deadline


@covers("path: /events/")
def test_events_are_not_compressed(site):
    answer = site.ask(
        "GET",
        "/api/events/?seconds=1&kind=text/plain",
        Accept_Encoding="gzip",
        **site.bearer(sub="plain"),
    )
    assert (answer.status, answer["content-encoding"]) == (200, None)
    assert answer.body.endswith(b"data: end\n\n")
    assert len(answer.body) > 1024
