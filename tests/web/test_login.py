"""Who gets in at the door, and who is refused and learns nothing by it."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import delete

from kmzportal.models.customer import Customer
from kmzportal.models.throttle import Throttle
from tests import people
from tests.browser import Browser
from tests.web.doors import REFUSED

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.with_and_without_htmx]


def test_erika_logs_in(browser, erika):
    browser.log_in(erika)
    assert (browser.path, browser.heading) == ("/einstellungen", "Einstellungen")
    assert "Erika Mustermann" in browser.text


@pytest.mark.parametrize("how", ["  {} ", "\u200b{}", "Erika Mustermann <{}>", "mailto:{}", "{}."])
def test_her_address_is_understood_as_she_pastes_it(browser, erika, how):
    typed = how.format(erika.email.upper())
    browser.open("/anmelden").submit("Anmelden", {"E-Mail-Adresse": typed, "Passwort": people.password_of(erika)})
    assert browser.path == "/einstellungen"


@pytest.mark.parametrize("how", [" {}", "{} ", "{}\t", "{}\u00a0"])
def test_a_password_is_never_trimmed(browser, erika, how):
    browser.log_in(erika, how.format(people.password_of(erika)))
    assert browser.status == 422
    assert REFUSED in browser.text


def test_a_password_is_never_shown_again(browser, erika):
    browser.log_in(erika, "kanarienvogel 4711")
    assert "kanarienvogel" not in browser.answer.text
    assert browser.value("Passwort") == ""
    assert browser.value("E-Mail-Adresse") == erika.email


def test_six_who_are_refused_cannot_tell_why(browser, app, backend, erika):
    """Unknown, wrong, locked, throttled, never activated, disabled: equal to the last byte but for tokens."""
    right, wrong = people.password_of(erika), "falsches passwort"
    states = {
        "unknown": ({"email_canonical": "jemand@anders.example"}, 0, right),
        "wrong": ({}, 0, wrong),
        "locked": ({"locked_at": people.LONG_AGO}, 0, right),
        "throttled": ({}, 6, right),
        "never activated": ({"password_hash": None}, 0, ""),
        "disabled": ({}, 100, right),
    }
    answers = {name: refusal(browser, app, backend, erika, *state) for name, state in states.items()}
    assert answers["wrong"][0] == 422
    assert {name: answer for name, answer in answers.items() if answer != answers["wrong"]} == {}


def refusal(browser, app, backend, erika, changes, failures, password):
    """Return all that a stranger can see of one refused login."""
    normal = {"email_canonical": erika.email_canonical, "locked_at": None, "password_hash": erika.password_hash}
    with backend.transaction() as tx:
        tx.session.execute(delete(Throttle))
        account = tx.keys.fingerprint(erika.email_canonical)
        if failures:
            tx.session.add(Throttle(account=account, failures=failures, failed_at=tx.now))
        for name, value in (normal | changes).items():
            setattr(tx.session.get(Customer, erika.id), name, value)
    stranger = Browser(app, browser.htmx).log_in(erika, password or "irgendein passwort")
    with stranger.client.session_transaction(base_url=stranger.site) as session:
        kept = {name: value for name, value in session.items() if name != "csrf_token"}
    body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', stranger.answer.text)
    headers = sorted((name, value) for name, value in stranger.answer.headers if name != "Set-Cookie")
    return stranger.status, body, headers, kept


def test_under_a_refusal_stand_the_ways_out(browser, erika):
    browser.log_in(erika, "falsches passwort")
    assert browser.title.startswith("Fehler: ") or browser.htmx
    assert "Nach mehreren Versuchen einige Minuten warten; der Link per E-Mail hilft sofort" in browser.text
    assert "Kein Zugriff mehr auf Ihre E-Mail-Adresse?" in browser.text
    assert "07051 965 220" in browser.text


def test_the_typed_address_goes_along_to_passwort_vergessen(browser, erika):
    browser.log_in(erika, "falsches passwort").follow("Passwort vergessen?")
    assert browser.heading == "Passwort vergessen?"
    assert browser.value("E-Mail-Adresse") == erika.email


@pytest.mark.parametrize("typed", ["", "erika", "erika@", "a@b@c.example", "x" * 250 + "@y.example"])
def test_what_is_no_address_is_said_at_the_field(browser, typed):
    browser.open("/anmelden").submit("Anmelden", {"E-Mail-Adresse": typed, "Passwort": "irgendeines"})
    assert browser.status == 422
    assert REFUSED not in browser.text
    assert browser.value("E-Mail-Adresse") == typed


def test_logging_in_from_an_old_page_keeps_the_address_and_works_at_the_second_click(browser, erika):
    browser.open("/anmelden")
    browser.stale().submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert REFUSED not in browser.text
    assert (browser.value("E-Mail-Adresse"), browser.value("Passwort")) == (erika.email, "")
    browser.submit("Anmelden", {"Passwort": people.password_of(erika)})
    assert browser.path == "/einstellungen"


def test_a_login_page_left_open_over_the_weekend_still_works(browser, erika, clock):
    browser.open("/anmelden")
    clock.shift(timedelta(days=3))
    browser.submit("Anmelden", {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)})
    assert browser.path == "/einstellungen"


def test_nobody_gets_in_without_a_password_of_their_own(browser, anneliese):
    for guess in (" ", "changeme", anneliese.number, "None"):
        browser.log_in(anneliese, guess)
        assert browser.status == 422


def test_strangers_see_the_same_page_and_each_can_send_only_their_own_form(app, erika):
    first, second = Browser(app).open("/anmelden"), Browser(app).open("/anmelden")
    tokens = [re.search(r'name="csrf_token"[^>]* value="([^"]+)"', one.answer.text)[1] for one in (first, second)]
    assert first.answer.text.replace(tokens[0], tokens[1]) == second.answer.text
    assert tokens[0] != tokens[1]
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    assert [one.submit("Anmelden", fields).path for one in (first, second)] == ["/einstellungen"] * 2


def test_nobody_sees_the_address_that_somebody_else_typed(app, erika):
    assert Browser(app).log_in(erika, "falsch").value("E-Mail-Adresse") == erika.email
    assert Browser(app).open("/anmelden").value("E-Mail-Adresse") == ""
