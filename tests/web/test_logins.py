"""The logins of customers and of clerks: equal refusals, and each leads to its own pages only."""

import re

import pytest
from sqlalchemy import delete

from kmzportal.models import Throttle
from tests import people
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
DESK = "/kundenservice"
LOGIN, DESK_LOGIN = "/anmelden", "/kundenservice/anmelden"
REFUSED = "Falsche Zugangsdaten"


@pytest.mark.parametrize(("who", "path", "prefix"), [("erika", LOGIN, ""), ("rosa", DESK_LOGIN, "clerk:")])
@pytest.mark.parametrize("htmx", [False, True])
def test_all_refused_logins_get_equal_answers_but_for_csrf_tokens(request, app, backend, who, path, prefix, htmx):
    person = request.getfixturevalue(who)
    right = people.password_of(person)
    normal = {"email_canonical": person.email_canonical, "locked_at": None, "password_hash": person.password_hash}

    def refusal(changes, failures=0, password=right):
        """Return status, body, headers and cookie of one refused login, without what is random."""
        backend.run(lambda tx: tx.session.execute(delete(Throttle)))
        account = backend.keys.fingerprint(f"{prefix}{person.email_canonical}")
        backend.add(Throttle(account=account, failures=failures, failed_at=people.NOW))
        backend.update(person, **normal | changes)
        browser = Browser(app, htmx).log_in(person, password, path)
        body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', browser.answer.text)
        headers = sorted((name, value) for name, value in browser.answer.headers if name != "Set-Cookie")
        return browser.status, body, headers, browser.session | {"csrf_token": "", "typed_address": ""}

    wrong = refusal({}, password="falsches passwort")
    assert wrong[0] == 422 and REFUSED in wrong[1]
    assert refusal({"email_canonical": "jemand@anders.example"}) == wrong, "unknown"
    assert refusal({"locked_at": people.LONG_AGO}) == wrong, "locked"
    assert refusal({"password_hash": None}, password="irgendein passwort") == wrong, "no password yet"
    assert refusal({}, failures=6) == wrong, "throttled"
    assert refusal({}, failures=100) == wrong, "disabled"


def test_each_page_leads_to_its_own_login_and_each_login_shows_the_other(browser):
    assert browser.open("/").path == LOGIN
    assert browser.open("/einstellungen").heading == "Anmelden"
    assert browser.open("/kundenservice/mitarbeitende").heading == "Anmelden im Kundenservice"
    assert browser.open(LOGIN).follow("Für Mitarbeitende: Anmelden im Kundenservice").path == DESK_LOGIN
    assert browser.follow("Für Kundinnen und Kunden: Anmelden").path == LOGIN


def test_customers_and_clerks_are_refused_by_the_login_of_the_other(browser, erika, rosa):
    for person, path in ((rosa, LOGIN), (erika, DESK_LOGIN)):
        browser.log_in(person, path=path)
        assert (browser.status, REFUSED in browser.text) == (422, True)


def test_a_customer_who_is_logged_in_is_not_asked_again_and_has_to_log_out_before_the_desk(browser, erika):
    browser.log_in(erika)
    assert [browser.open(path).path for path in ("/", LOGIN)] == ["/einstellungen"] * 2
    browser.open(DESK_LOGIN)
    assert (browser.status, "Melden Sie sich zuerst ab." in browser.text) == (403, True)
    browser.press("Abmelden")
    assert browser.open(DESK_LOGIN).heading == "Anmelden im Kundenservice"


@pytest.mark.parametrize("path", ["/", LOGIN, DESK_LOGIN, "/kundenservice/zweiter-faktor"])
def test_a_clerk_who_is_logged_in_is_redirected_to_the_desk(desk, path):
    desk.open(path)
    assert (desk.status, desk.heading) == (200, "Kunden")
