"""Angemeldete Geräte, Verlauf and Meine Daten."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import ACTIONS, LoginSession
from kmzportal.services import sessions
from kmzportal.services.shares import Holder
from kmzportal.web.customer import account
from tests import people, secret_scan
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
DEVICES, END, END_OTHERS = "/einstellungen/geraete", "Gerät abmelden", "Alle anderen Geräte abmelden"


def session_of(backend, person):
    return backend.read(select(LoginSession).where(LoginSession.customer_id == person.id).order_by(LoginSession.id))[-1]


def test_the_list_shows_active_sessions_of_this_customer_only(browser, backend, erika, max_, clock):
    backend.run(sessions.start_session, erika, "Edge unter Windows")
    clock.shift(timedelta(minutes=31))
    backend.run(sessions.start_session, erika, "Safari unter iOS")
    backend.run(sessions.start_session, max_, "Opera unter Linux")
    browser.log_in(erika).open(DEVICES)
    assert "Safari unter iOS" in browser.text and "Browser – hier sind Sie gerade" in browser.text
    assert "angemeldet seit 23.11.2026, 14:36 Uhr" in browser.text
    assert "Edge" not in browser.text and "Opera" not in browser.text


def test_this_device_is_the_first(browser, backend, erika, clock):
    browser.log_in(erika)
    clock.shift(60)
    backend.run(sessions.start_session, erika, "Safari unter iOS")
    text = browser.open(DEVICES).text
    assert text.index("Browser – hier sind Sie gerade") < text.index("Safari unter iOS")
    [others] = [one for one in browser.page.iter("button") if "Alle anderen" in one.text_content()]
    assert "kern-btn--secondary" in others.get("class"), "no invitation to log out everything"


@pytest.mark.parametrize(
    ("button", "notice"),
    [(END, "Das Gerät ist abgemeldet."), (END_OTHERS, "Alle anderen Geräte sind abgemeldet.")],
)
def test_other_devices_are_logged_out_from_a_stale_form_the_second_time(browser, app, erika, button, notice):
    others = [Browser(app).log_in(erika) for _ in range(1 if button == END else 3)]
    browser.log_in(erika).open(DEVICES).stale().press(button)
    assert (browser.status, "Senden Sie das Formular bitte noch einmal ab." in browser.text) == (422, True)
    assert [one.open("/einstellungen").heading for one in others] == ["Einstellungen"] * len(others)
    browser.open(DEVICES).press(button)
    assert notice in browser.text and END not in browser.text
    assert [one.open("/einstellungen").heading for one in others] == ["Anmelden"] * len(others)
    assert browser.open("/einstellungen").heading == "Einstellungen"


def test_a_customer_can_end_own_sessions_only_also_the_one_in_use(browser, app, backend, erika, max_):
    other, his = Browser(app).log_in(max_), session_of(backend, max_)
    browser.log_in(erika)
    for number in (his.id, "0", "4711", "2147483648", "9" * 30, "-1", "x", "1%00"):
        assert browser.post(f"{DEVICES}/{number}/beenden").status_code == 404, number
    assert other.open("/einstellungen").heading == "Einstellungen"
    browser.post(f"{DEVICES}/{session_of(backend, erika).id}/beenden")
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_a_forged_browser_name_is_no_device(app, backend, erika):
    browser = Browser(app)
    browser.client.environ_base["HTTP_USER_AGENT"] = "<img src=x onerror=alert(1)>\x1b[31m Firefox\u202e"
    browser.log_in(erika)
    assert session_of(backend, erika).device == "Firefox"


def test_the_history_is_in_german_and_names_no_clerk(browser, backend, erika, max_, rosa):
    backend.run(lambda tx, person: tx.record("link.issued", person), erika, actor=f"clerk:{rosa.id}")
    backend.run(lambda tx, person: tx.record("data.changed", person), max_, actor=f"customer:{max_.id}")
    text = browser.log_in(erika).open("/einstellungen/verlauf").text
    assert ACTIONS["link.issued"] in text and "Kundenservice" in text
    assert "Rosa" not in text and ACTIONS["data.changed"] not in text


def test_the_history_names_the_mails_but_for_those_that_a_link_names(app, desk, backend, erika):
    def send(tx, person):
        for template in ("recovery_link", "password_set", "sessions_ended"):
            tx.record("mail.sent", person, template=template)

    backend.run(send, erika, actor="worker")
    hers = Browser(app).log_in(erika).open("/einstellungen/verlauf")
    for page in (hers, desk.open(f"/kundenservice/kunden/{erika.id}")):
        assert "E-Mail gesendet „Ihr Passwort wurde gesetzt“, „Ihre anderen Geräte sind abgemeldet“" in page.text
        assert "„Neues Passwort festlegen“" not in page.text


def test_a_customer_reads_and_downloads_her_data_after_the_current_password(browser, backend, erika):
    browser.log_in(erika).open("/einstellungen/daten.json")
    assert (browser.path, browser.heading) == ("/einstellungen/daten", "Meine Daten")
    browser.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    for fact in (erika.number, erika.email, erika.phone, erika.school, "Angemeldet"):
        assert fact in browser.text
    answer = browser.follow("Als Datei herunterladen (JSON)").answer
    headers = {
        "Content-Type": "application/json", "Content-Disposition": "attachment; filename=meine-daten.json",
        "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
    }  # fmt: skip
    assert {name: answer.headers[name] for name in headers} == headers
    assert json.loads(answer.text)["Kundennummer"] == erika.number
    (login_session,) = backend.read(select(LoginSession))
    for secret in (erika.password_hash, login_session.token_hash, people.password_of(erika), "argon2"):
        assert not secret_scan.contains_secret(secret, answer.text)


def test_the_own_data_are_made_once_at_a_time(browser, backend, erika, adjust):
    """They may take some hundred MB of memory."""
    adjust(browser, erika)
    mine = Holder(f"session:{session_of(backend, erika).id}", known=True)
    turns = [account._own_data.enter(mine) for _ in range(2)]  # one runs, one waits
    try:
        for path in ("/einstellungen/daten", "/einstellungen/daten.json"):
            assert (browser.open(path).status, browser.heading) == (503, "Bitte einen Moment")
        assert browser.open("/einstellungen").status == 200
    finally:
        for turn in turns:
            account._own_data.leave(turn)
    assert browser.open("/einstellungen/daten").heading == "Meine Daten"
