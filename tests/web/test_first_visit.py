"""The login page of a first visit is like any other, though it was drawn for somebody else."""

import gzip

import pytest

from kmzportal.web import first_visit
from tests import people
from tests.browser import Browser

pytestmark = [
    pytest.mark.usefixtures("clock"),
    pytest.mark.parametrize("portal", ["sqlite"], indirect=True),
]
FRESH = {"Set-Cookie", "Content-Length", "Content-Encoding"}


def token_in(page):
    return first_visit.TOKEN.search(page)[1]


def lasting(answer):
    return [header for header in answer.headers if header[0] not in FRESH]


def test_each_visitor_has_a_token_and_a_cookie_of_their_own_and_logs_in_with_them(app, ask, erika):
    one, other = ask("/anmelden"), ask("/anmelden")
    assert token_in(one.text) != token_in(other.text)
    assert one.headers["Set-Cookie"] != other.headers["Set-Cookie"]
    for _ in range(2):
        visitor = Browser(app).open("/anmelden")
        visitor.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
        assert visitor.heading == "Einstellungen"


def test_the_token_of_one_is_no_use_to_another(app, ask, erika):
    stolen = token_in(ask("/anmelden").text)
    visitor = Browser(app).open("/anmelden")
    typed = {"csrf_token": stolen, "email": erika.email, "password": people.password_of(erika)}
    answer = visitor.client.post("/anmelden", data=typed, base_url=visitor.site)
    assert answer.status_code == 422


def test_page_and_headers_are_those_that_flask_gives(ask):
    ask("/anmelden")
    drawn, by_flask = ask("/anmelden"), ask("/anmelden", headers={"Cookie": "other=1"})
    assert drawn.text.replace(token_in(drawn.text), "") == by_flask.text.replace(token_in(by_flask.text), "")
    assert [one for one in drawn.headers if one[0] not in FRESH] == [
        one for one in by_flask.headers if one[0] not in FRESH
    ]
    attributes = [answer.headers["Set-Cookie"].partition("; ")[2] for answer in (drawn, by_flask)]
    assert attributes[0] == attributes[1]


def test_it_is_packed_for_whom_can_unpack_it(ask):
    packed = ask("/anmelden", headers={"Accept-Encoding": "br, gzip"})
    assert (packed.headers["Content-Encoding"], packed.headers["Content-Length"]) == ("gzip", str(len(packed.data)))
    assert token_in(gzip.decompress(packed.data).decode())
    assert "Content-Encoding" not in ask("/anmelden", headers={"Accept-Encoding": "gzip;q=0"}).headers


def test_what_somebody_else_met_is_not_shown(app, ask, monkeypatch):
    """A failure, or what one was about to do."""
    monkeypatch.setattr(app.wsgi_app.app, "drawn", None)
    with monkeypatch.context() as broken:
        broken.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
        broken.setitem(app.view_functions, "login.login", lambda: 1 / 0)
        assert ask("/anmelden").status_code == 500
    assert ask("/anmelden?weiter=/einstellungen/verlauf").status_code == 200
    assert "verlauf" not in ask("/anmelden").text


@pytest.mark.parametrize(("method", "headers"), [("HEAD", {}), ("GET", {"HX-Request": "true"})])
def test_only_the_whole_page_is_given_out(ask, method, headers):
    ask("/anmelden")
    assert "<html" not in ask("/anmelden", method=method, headers=headers).text
