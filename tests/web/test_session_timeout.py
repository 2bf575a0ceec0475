"""The request of a page for the time left of a session or a visit: what it returns, and that GET prolongs nothing."""

from datetime import timedelta

import pytest

from kmzportal.models import LinkKind, LinkState
from kmzportal.services import links
from tests import people
from tests.browser import HTMX, Browser
from tests.people import NEW

pytestmark = pytest.mark.usefixtures("clock")
ASK = {"method": "GET", "headers": HTMX}
STAY = {"method": "POST", "headers": HTMX | {"Sec-Fetch-Site": "same-origin"}}


@pytest.fixture
def logged_in(app, erika):
    return Browser(app).log_in(erika)


@pytest.fixture
def recovery_link(erika, issue):
    return issue(LinkKind.RECOVERY, erika)


@pytest.fixture
def opened(app, recovery_link, mailed):
    return Browser(app).open(mailed(recovery_link))


@pytest.fixture
def ask_session(logged_in):
    return lambda how: logged_in.client.open("/sitzung", base_url=logged_in.site, **how)


@pytest.fixture
def ask_visit(opened, recovery_link):
    path = f"/konto-link/{recovery_link.id}/sitzung"
    return lambda how: opened.client.open(path, base_url=opened.site, **how)


#: The browser with a page open, its request, and the heading of the page without a session or visit.
of_both = pytest.mark.parametrize(
    ("page", "ask", "ended"),
    [
        ("logged_in", "ask_session", "Anmelden"),
        ("opened", "ask_visit", "Diesen Link können wir nicht öffnen"),
    ],
)


@of_both
def test_a_page_asks_again_two_minutes_before_the_end(request, clock, page, ask, ended):
    page, ask = request.getfixturevalue(page), request.getfixturevalue(ask)
    assert 'hx-trigger="load delay:1680s,' in page.answer.text
    clock.shift(timedelta(minutes=20))
    answer = ask(ASK).text
    assert 'hx-trigger="load delay:480s,' in answer and "<dialog" not in answer


@of_both
def test_asking_prolongs_nothing_and_sets_no_cookie_and_staying_prolongs(request, clock, page, ask, ended):
    page, ask = request.getfixturevalue(page), request.getfixturevalue(ask)
    for _ in range(2):
        clock.shift(timedelta(minutes=29))
        assert "<dialog" not in ask(STAY).text
    clock.shift(timedelta(minutes=29))
    answer = ask(ASK)
    assert "<dialog" in answer.text and "Set-Cookie" not in answer.headers
    assert (
        f"Um 15:33 Uhr {'melden wir Sie ab' if ended == 'Anmelden' else 'läuft Ihre Zeit auf dieser Seite ab'}."
        in answer.text
    )
    clock.shift(timedelta(minutes=1))
    assert page.open(page.path).heading == ended


def test_after_the_end_staying_is_too_late(logged_in, opened, ask_session, ask_visit, clock):
    clock.shift(timedelta(minutes=31))
    for how in (ASK, STAY):
        over = ask_session(how).text
        assert "Sie sind nicht mehr angemeldet" in over and "Hinweis schließen" not in over
        answer = ask_visit(how).text
        assert "Die Zeit für diese Seite ist um" in answer and "Neu anmelden" not in answer
        assert "Öffnen Sie danach den Link in der E-Mail noch einmal." in answer
    assert logged_in.open("/einstellungen").heading == "Anmelden"


def test_a_session_ends_after_eight_hours_and_a_visit_after_two_however_busy(ask_session, ask_visit, clock):
    for _ in range(4):
        clock.shift(timedelta(minutes=29))
        ask_visit(STAY), ask_session(STAY)
    clock.shift(timedelta(minutes=3))
    answer = ask_visit(ASK).text
    assert "Die Zeit für diese Seite endet bald" in answer and "Hier weitermachen" not in answer
    ask_session(STAY)
    for _ in range(12):
        clock.shift(timedelta(minutes=29))
        ask_session(STAY)
    clock.shift(timedelta(minutes=12))
    answer = ask_session(ASK).text
    assert "Ihre Anmeldung endet bald" in answer and "Angemeldet bleiben" not in answer


def test_without_htmx_the_request_leads_to_a_page(logged_in, opened, recovery_link):
    assert logged_in.open("/sitzung").heading == "Einstellungen"
    assert opened.open(f"/konto-link/{recovery_link.id}/sitzung").heading == "Neues Passwort"


def test_a_button_of_an_ended_session_leads_back_to_its_page_and_does_nothing(logged_in, backend, erika, clock):
    clock.shift(timedelta(minutes=20))
    other = backend.session_of(backend.log_in(erika.email, people.password_of(erika)))
    logged_in.open("/einstellungen/geraete")
    clock.shift(timedelta(minutes=31))
    logged_in.press("Alle anderen Geräte abmelden")
    assert (logged_in.heading, backend.read(other).ended_at) == ("Anmelden", None)
    logged_in.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert logged_in.heading == "Angemeldete Geräte"


@pytest.mark.parametrize("end", ["cancelled", "withdrawn", "used"])
def test_there_is_no_time_left_of_a_link_that_was_left_or_ended(opened, backend, erika, ask_visit, end):
    if end == "cancelled":
        opened.press("Abbrechen")
    elif end == "withdrawn":
        backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.RECOVERY})
    else:
        assert opened.submit("Passwort speichern", NEW).heading == "Fertig"
        assert "time-left" not in opened.answer.text
    assert [(ask_visit(how).status_code, ask_visit(how).text) for how in (ASK, STAY)] == [(200, "")] * 2
