"""Anfragen: each "Passwort vergessen?" with its outcome, and for an unknown address the customer probably meant."""

from datetime import timedelta

import pytest

from kmzportal.services import recovery, sessions, support_mail
from tests.browser import words

pytestmark = pytest.mark.usefixtures("clock")
PAGE = "/kundenservice/anfragen"


@pytest.fixture
def ask(backend):
    """Return a function that requests a link, lets the worker answer and returns the Vorgangsnummer."""

    def ask(address, answered=True):
        reference = backend.run(recovery.request_link, address)
        for request in backend.run(lambda tx: list(recovery.unanswered(tx.session))) if answered else ():
            backend.run(recovery.answer, request, actor="worker")
        return reference

    return ask


def rows(desk):
    return [words(row) for row in desk.page.iter("tr") if row.get("id", "").startswith("request-")]


def test_each_outcome_is_shown_in_german_latest_first(desk, ask, erika, lieselotte):
    for _ in range(4):
        ask(erika.email)
    ask(lieselotte.email)
    ask("niemand@nirgends.example")
    ask(erika.email, answered=False)
    outcomes = (
        "wartet", "Adresse unbekannt niemand Ähnliches gefunden", "Konto gesperrt", "zu viele Anfragen",
        *["Link gesendet"] * 3,
    )  # fmt: skip
    desk.open(PAGE)
    assert desk.heading == "Anfragen" and "7 Anfragen" in desk.text
    assert [outcome in row for outcome, row in zip(outcomes, rows(desk), strict=True)] == [True] * 7
    assert rows(desk)[2].endswith("14:05 Konto gesperrt Lieselotte Schäfer (K-1005)")
    assert rows(desk)[0].startswith(f"{erika.email} V-")


def test_a_vorgangsnummer_is_found_in_every_spelling(desk, ask, erika, max_):
    number = ask(erika.email)
    ask(max_.email)
    plain = number.removeprefix("V-")
    for form in (number, number.lower(), plain, plain.replace("-", ""), f" v {plain.replace('-', ' ')} ", f"V{plain}"):
        desk.open(PAGE).press("Suchen", Vorgangsnummer=form)
        assert len(rows(desk)) == 1 and erika.email in rows(desk)[0], form


@pytest.mark.parametrize("number", ["V-AAAA-AAAA", "x", "V-", "%", "' OR 1=1", "<b>", "\x00", "ä" * 5000])
def test_an_unknown_number_leads_to_a_hint(desk, ask, erika, number):
    ask(erika.email)
    desk.open(PAGE).press("Suchen", Vorgangsnummer=number)
    assert rows(desk) == [] and "<b>" not in desk.answer.text
    assert "Zu dieser Nummer gibt es in den letzten 7 Tagen keine Anfrage." in desk.text


def test_an_unknown_address_links_to_the_customer_probably_meant(desk, ask, erika):
    ask("erika.mustermnan@gms-musterstadt.example")
    desk.open(PAGE)
    assert "Adresse unbekannt Gemeint ist vielleicht: Erika Mustermann (K-1001, GMS Musterstadt)" in rows(desk)[0]
    assert "hinterlegt erika.mustermann@gms-musterstadt.example: nur ein Zeichen ist anders" in rows(desk)[0]
    assert desk.follow("Erika Mustermann").heading == "Erika Mustermann"
    assert desk.value("Neue E-Mail-Adresse") == "erika.mustermnan@gms-musterstadt.example"


def test_hostile_addresses_and_names_are_escaped(desk, backend, ask, erika):
    backend.update(erika, last_name="<img src=x onerror=alert(1)>")
    ask("erika.mustermann&neue-adresse=x+1@gmx.example")
    ask("erika.mustermann@gmx.example")
    desk.open(PAGE)
    assert "<img src=x onerror=alert(1)>" in desk.text and "<img" not in desk.answer.text
    urls = [one.get("href") for one in desk.page.iter("a") if "neue-adresse" in one.get("href", "")]
    assert [url.count("&") for url in urls] == [0]


def test_requests_are_shown_for_seven_days(desk, backend, rosa, ask, erika, clock):
    number = ask(erika.email)
    clock.shift(timedelta(days=7, minutes=1))
    desk.come_in(backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)
    for path in (PAGE, f"{PAGE}?nummer={number}"):
        assert desk.open(path).heading == "Anfragen" and rows(desk) == []


def test_older_requests_are_on_the_next_page(desk, ask, prove):
    for number in range(27):
        ask(f"person{number}@nirgends.example", answered=False)
    assert len(rows(desk.open(PAGE))) == 25
    prove()
    desk.follow("Ältere Anfragen")
    assert [row.split()[0] for row in rows(desk)] == ["person1@nirgends.example", "person0@nirgends.example"]


def test_a_mailbox_that_cannot_be_read_is_shown_until_it_can(desk, app, backend, monkeypatch):
    monkeypatch.setitem(app.config, "IMAP_SERVER", "imap.kmz.example")
    backend.run(support_mail.record_outage, "Der Mailserver nimmt die Anmeldung nicht an.", actor="worker")
    text = words(desk.open(PAGE).page)
    assert "Das Postfach wird seit" in text and "Der Mailserver nimmt die Anmeldung nicht an." in text
    backend.run(support_mail.record_outage, None, actor="worker")
    assert "Das Postfach wird seit" not in words(desk.open(PAGE).page)
