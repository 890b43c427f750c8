"""The group `admin`."""

import re
from urllib.parse import urlencode

from tests.live.example_file.site import STRANGER, Answer, covers


@covers("name: admin", "prefix: /admin", "ip: {allow:", "auth: django ", "routes: [{path:")
def test_the_admin_is_for_the_office_and_for_djangos_sessions(site):
    for client in ("10.1.2.3", "fd00::5"):
        answer = site.ask("GET", "/admin/", client=client)
        assert (answer.status, answer["location"]) == (302, "/admin/login/?next=/admin/")
    for client in ("192.0.2.1", "fe00::5"):
        assert site.ask("GET", "/admin/", client=client).code == "forbidden_address"
    assert site.ask("GET", "/admin/", client="10.1.2.3", source=STRANGER).status == 403
    page = site.ask("GET", "/admin/login/?next=/admin/", client="10.1.2.3")
    form = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.body)[1].decode()
    [cookie] = [cookie.partition(";")[0] for cookie in page.cookies]
    fields = {"username": "ann", "password": "secret", "next": "/admin/"}
    typed = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": cookie}

    def log_in(**given: str) -> Answer:
        body = urlencode(fields | given)
        return site.ask("POST", "/admin/login/", body, client="10.1.2.3", **typed)

    assert log_in().status == 403  # Django's own, for want of the form's token
    assert b"CSRF verification failed" in log_in().body
    entered = log_in(csrfmiddlewaretoken=form)
    assert (entered.status, entered["location"]) == (302, "/admin/")
    session = next(c.partition(";")[0] for c in entered.cookies if c.startswith("sessionid="))
    page = site.ask("GET", "/admin/", client="10.1.2.3", Cookie=session)
    assert page.status == 200
    assert b"Welcome" in page.body
    assert site.ask("GET", "/admin/", client="192.0.2.1", Cookie=session).status == 403
