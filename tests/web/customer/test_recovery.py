"""Passwort vergessen: the same page for every address, and a second request after a minute."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import RecoveryRequest
from kmzportal.services import outbox, recovery
from tests import people, secret_scan
from tests.browser import HTMX, Browser, by_id, parse, words
from tests.people import NEW, NEW_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
PAGE, FIELD, ASK, AGAIN = "/passwort-vergessen", "E-Mail-Adresse", "Link anfordern", "Noch einmal senden"
STALE = "Senden Sie das Formular bitte noch einmal ab."


def ask(browser, address):
    return browser.open(PAGE).submit(ASK, {FIELD: address})


@pytest.fixture
def let_the_worker_answer(backend):
    def let_the_worker_answer():
        for request in backend.run(lambda tx: list(recovery.unanswered(tx.session))):
            backend.run(recovery.answer, request, actor="worker")

    return let_the_worker_answer


@pytest.fixture
def requests(backend):
    return lambda: backend.read(select(RecoveryRequest).order_by(RecoveryRequest.id))


def test_a_customer_sets_a_new_password_by_the_link_and_logs_in(
    browser, app, erika, let_the_worker_answer, newest_link, mailed
):
    other = Browser(app).log_in(erika)
    ask(browser, erika.email)
    let_the_worker_answer()
    assert other.open("/einstellungen").heading == "Einstellungen", "asking changes nothing yet"
    browser.open(mailed(newest_link())).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"
    assert browser.follow("Zur Anmeldung").value(FIELD) == erika.email
    assert browser.submit("Anmelden", {"Passwort": NEW_PASSWORD}).heading == "Einstellungen"


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["browser", "htmx"])
def test_every_address_gets_the_same_answer_but_for_number_and_csrf_token(
    app, backend, erika, let_the_worker_answer, headers, monkeypatch
):
    normal = {"email_canonical": erika.email_canonical, "locked_at": None, "password_hash": erika.password_hash}

    def seen(answer):
        body = re.sub(r'(name="csrf_token"[^>]*value=)"[^"]+"', r'\1""', answer.text)
        shown = sorted((name, value) for name, value in answer.headers if name != "Set-Cookie")
        return answer.status_code, re.sub(r"V-\w{4}-\w{4}", "V-", body), shown

    def answers(**changes):
        """Return the answer to a request, and the page that follows."""
        backend.update(erika, **normal | changes)
        browser = Browser(app).open(PAGE)
        sent = {"csrf_token": browser.csrf_token, "email": erika.email}
        answer = browser.client.post(PAGE, data=sent, base_url=browser.site, headers=headers)
        return seen(answer), seen(browser.open(f"{PAGE}/gesendet").answer)

    known = answers()
    assert answers(email_canonical="jemand@anders.example") == known, "unknown"
    assert answers(locked_at=people.LONG_AGO) == known, "locked"
    assert answers(password_hash=None) == known, "no password yet"
    for _ in range(6):
        backend.run(recovery.request_link, erika.email)
        let_the_worker_answer()
    assert answers() == known, "over the limit"
    with monkeypatch.context() as full:
        full.setitem(app.config, "RECOVERY_PER_SOURCE", 0)
        assert answers() == known, "over the limit of the source, which is only counted"
        assert answers(email_canonical="jemand@anders.example") == known


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["reload", "htmx"])
def test_the_page_says_after_some_seconds_that_the_request_is_done_whatever_the_address(
    app, backend, erika, let_the_worker_answer, clock, headers, monkeypatch
):
    """From the time, not from the worker: an unknown address is answered first, one over a limit never."""
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    clock.move_to(people.NOW)
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)
    seen = []
    for address in (erika.email, "jemand@anders.example"):
        clock.move_to(people.NOW)
        browser, shown = ask(Browser(app), address), []
        path = f"{PAGE}/stand" if headers else f"{PAGE}/gesendet"
        for seconds in (0, 9, 1):
            clock.shift(seconds)
            answer = browser.client.get(path, base_url=browser.site, headers=headers)
            part = by_id(parse(answer.text), "request-state")
            shown.append((words(part), part.get("hx-trigger"), sorted(name for name, _ in answer.headers)))
            let_the_worker_answer()
        seen.append(shown)
        assert [text.partition(".")[0] for text, _, _ in shown] == [
            "Anfrage angenommen um 14:05 Uhr", "Anfrage angenommen um 14:05 Uhr", "Bearbeitet",
        ]  # fmt: skip
        assert [trigger for _, trigger, _ in shown] == ["load delay:5s", "load delay:5s", None]
    assert seen[0] == seen[1]


def test_while_mail_is_disturbed_no_request_is_said_to_be_done(browser, app, backend, erika, clock, monkeypatch):
    ask(browser, erika.email)
    clock.shift(30)
    text = browser.open(f"{PAGE}/gesendet").text  # no worker runs
    assert "Der E-Mail-Versand ist gerade gestört" in text and "Bearbeitet" not in text
    monkeypatch.setitem(app.config, "RECOVERY_IN_ALL", 1)
    text = browser.open(f"{PAGE}/gesendet").text
    assert "sehr viele Anfragen" in text and "Bearbeitet" not in text


def test_the_state_needs_a_request_that_is_still_kept(browser, erika, clock):
    assert browser.open(f"{PAGE}/stand").path == PAGE
    ask(browser, erika.email)
    clock.shift(timedelta(minutes=31))
    answer = browser.client.get(f"{PAGE}/stand", base_url=browser.site, headers=HTMX)
    assert (answer.status_code, answer.text) == (204, "")
    assert browser.open(f"{PAGE}/gesendet").value(FIELD) == "", "nor does the next person at this computer see it"


def test_a_mistyped_provider_is_corrected_with_one_click_whoever_has_an_account(browser, backend, erika, requests):
    for stored in ("anna@gmial.com", "anna@gmail.com", "niemand@schule.example"):
        backend.update(erika, email_canonical=stored)
        asked = ask(browser, "anna@gmial.com").text
        assert "Meinten Sie anna@gmail.com? Ja, Link an diese Adresse anfordern" in asked, "that one, not the typed one"
    browser.press("Ja, Link an diese Adresse anfordern")
    assert browser.heading == "Schauen Sie in Ihr Postfach" and "Meinten Sie" not in browser.text
    assert requests()[-1].email_canonical == "anna@gmail.com"


def test_in_a_flood_every_page_says_that_mail_is_late(browser, app, erika, requests, monkeypatch):
    monkeypatch.setitem(app.config, "RECOVERY_IN_ALL", 2)
    assert "sehr viele Anfragen" not in ask(browser, erika.email).text
    for address in ("jemand@anders.example", erika.email):
        page = ask(Browser(app), address)
        assert "Gerade kommen sehr viele Anfragen" in page.text and "07051 965 220" in page.text
    assert len(requests()) == 2
    browser.open(f"{PAGE}/gesendet")
    assert "Gerade kommen sehr viele Anfragen" in browser.text, "also whose request was stored"


def test_the_page_says_that_an_earlier_mail_still_counts(browser):
    assert "gilt auch die letzte E-Mail noch" in ask(browser, "jemand@anders.example").text


def test_asking_writes_one_row_a_counter_and_what_the_next_page_shows(app, browser, backend, erika):
    with app.app_context():
        before = secret_scan.dump()
    ask(browser, erika.email)
    with app.app_context():
        after = secret_scan.dump()
    more = sorted(set(after.splitlines()) - set(before.splitlines()))
    assert [row.split()[0] for row in more] == ["kept_entry", "recovery_request", "request_count"]
    assert backend.mails() == [] and erika.email not in repr(browser.session)


def test_the_next_page_names_address_sender_subject_number_and_expiry(browser, erika, requests):
    assert browser.open(f"{PAGE}/gesendet").path == PAGE, "only after a request"
    ask(browser, erika.email)
    (request,) = requests()
    for fact in (
        erika.email, "Kreismedienzentrum Calw (support@kmz-cw.de)",
        "Neues Passwort festlegen – Kreismedienzentrum Calw", "23.11.2026, 16:05 Uhr",
        request.reference, "Spam", "07051 965 220",
    ):  # fmt: skip
        assert fact in browser.text
    for address in (
        'erika.<wbr>mustermann@<wbr><span class="kmz-whole">gms-musterstadt.</span>',
        'support@<wbr><span class="kmz-whole">kmz-cw.</span><wbr>de)',
    ):
        assert address in browser.answer.text, "it breaks at no hyphen"


def test_a_mistyped_address_is_corrected(browser, erika, requests):
    ask(browser, "erika.musterman@gms-musterstadt.example").follow("E-Mail-Adresse berichtigen")
    assert browser.value(FIELD) == "erika.musterman@gms-musterstadt.example"
    browser.submit(ASK, {FIELD: f"Erika <{erika.email.upper()}>"})
    assert requests()[-1].email_canonical == erika.email


@pytest.mark.parametrize("typed", ["", "erika", "@", "a b@c.example", "<script>alert(1)</script>", "x" * 10_000])
def test_text_that_is_no_address_stays_in_the_form(browser, requests, typed):
    ask(browser, typed)
    assert (browser.status, browser.value(FIELD), requests()) == (422, typed, [])


def test_a_stale_form_is_refused_and_works_the_second_time(browser, erika, requests, clock):
    browser.open(PAGE).stale().submit(ASK, {FIELD: erika.email})
    assert (browser.status, STALE in browser.text, browser.value(FIELD), requests()) == (422, True, erika.email, [])
    browser.press(ASK)
    clock.shift(timedelta(minutes=5))
    browser.stale().press(AGAIN)
    assert (browser.status, STALE in browser.text, len(requests())) == (422, True, 1)
    browser.press(AGAIN)
    assert len(requests()) == 2


def test_a_second_request_counts_after_a_minute_which_the_page_counts_down(browser, erika, requests, clock):
    ask(browser, erika.email)
    clock.shift(20)
    browser.open(f"{PAGE}/gesendet")
    assert [one.get("data-countdown") for one in browser.page.iter("p") if one.get("role") == "timer"] == ["40"]
    clock.shift(39)
    assert (
        "Die E-Mail ist schon unterwegs. In einer Minute können Sie es noch einmal versuchen."
        in browser.press(AGAIN).text
    )
    assert [one.get("class") for one in browser.page.iter("div") if "data-outcome" in one.attrib] == [
        "kern-alert kern-alert--info"
    ]
    assert len(requests()) == 1
    clock.shift(1)
    assert "Wir haben Ihre Anfrage noch einmal aufgenommen." in browser.press(AGAIN).text
    assert requests()[-1].reference in browser.text and len(requests()) == 2
