"""A new mail address, entered in Konto anpassen: confirmed, objected to, or withdrawn."""

from threading import Thread

import pytest
from sqlalchemy import select

from kmzportal.models import LinkKind, SupportCase
from kmzportal.services import accounts, desk
from tests import people
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
FIELD, KEEP = "Neue E-Mail-Adresse", "Bisherige Adresse behalten"


@pytest.fixture
def form(browser, erika, adjust):
    return adjust(browser, erika)


def test_a_new_address_counts_once_it_is_confirmed(form, app, backend, erika, mailed, newest_link):
    form.submit("Speichern", {FIELD: "Erika.Neu@schule.example"})
    assert "Bis Sie dort auf „Bestätigen“ klicken, gilt die bisherige." in form.text
    assert form.heading == "Einstellungen" and "noch nicht bestätigt" in form.text, "where the address is seen to wait"
    assert backend.log_in(erika.email, people.password_of(erika))
    confirming = Browser(app).open(mailed(newest_link(kind=LinkKind.ADDRESS)))
    assert "Erika.Neu@schule.example" in confirming.text
    assert confirming.press("Bestätigen").heading == "Fertig"
    assert confirming.follow("Zur Anmeldung").value("E-Mail-Adresse") == "Erika.Neu@schule.example"
    assert backend.log_in("erika.neu@schule.example", people.password_of(erika))


@pytest.mark.parametrize("confirmed", [False, True])
def test_the_holder_of_the_old_address_locks_the_account(form, app, erika, mailed, newest_link, confirmed):
    form.submit("Speichern", {FIELD: "dieb@evil.example"})
    confirm = mailed(newest_link(kind=LinkKind.ADDRESS))
    if confirmed:
        Browser(app).open(confirm).press("Bestätigen")
    owner = Browser(app).open(mailed(newest_link(kind=LinkKind.OBJECTION)))
    owner.press("Das war ich nicht – Konto sperren")
    assert owner.heading == "Das Konto ist gesperrt"
    assert owner.open("/anmelden").value("E-Mail-Adresse") == ""  # the old mailbox does not learn the new address
    assert form.open("/einstellungen").heading == "Anmelden"
    assert Browser(app).open(confirm).status in (403, 410)


def test_a_taken_address_gets_the_same_answer_as_a_free_one(app, erika, max_, adjust):
    def answer(address):
        browser = adjust(Browser(app), erika).submit("Speichern", {FIELD: address})
        return browser.status, *(
            text.replace(address, "…") for text in (browser.text, browser.open("/einstellungen").text)
        )

    assert answer(max_.email) == answer("frei@schule.example")


def test_the_old_address_is_kept_with_one_click_and_from_a_stale_form_with_two(form, backend, erika):
    form.submit("Speichern", {FIELD: "neu@schule.example"}).open("/einstellungen").stale().press(KEEP)
    assert (form.status, form.heading) == (422, "Einstellungen")
    assert backend.read(erika).pending_email == "neu@schule.example"
    assert "Ihre bisherige E-Mail-Adresse bleibt." in form.press(KEEP).text
    assert backend.read(erika).pending_email is None


def test_what_the_desk_corrected_is_taken_back_only_with_the_password_and_becomes_a_case(browser, backend, erika):
    """A session left open on a shared computer is not enough."""
    correct = erika, erika.version, "erika@neue-schule.example", "callback", ""
    backend.run(desk.correct_address, *correct, actor="clerk:1", initials="ro")
    browser.log_in(erika).press(KEEP)
    assert browser.heading == KEEP and backend.read(erika).pending_email
    browser.submit("Weiter", {"Aktuelles Passwort": "falsches passwort"})
    assert browser.status == 422 and backend.read(erika).pending_email
    browser.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    assert "Klicken Sie jetzt noch einmal auf" in browser.text
    assert "Ihre bisherige E-Mail-Adresse bleibt." in browser.press(KEEP).text
    assert backend.read(erika).pending_email is None
    [case] = backend.read(select(SupportCase))
    assert (case.branch, case.customer_id, case.state) == ("objection", erika.id, "open")


def test_what_the_desk_corrects_at_the_same_moment_is_not_taken_back_without_the_password(
    browser, backend, erika, monkeypatch
):
    browser.log_in(erika).open("/einstellungen")
    correct = erika, erika.version, "erika@neue-schule.example", "callback", ""
    looked = accounts.corrected_by_desk

    def look(session, customer):
        monkeypatch.setattr(accounts, "corrected_by_desk", looked)
        found = looked(session, customer)
        session.commit()
        correction = Thread(target=backend.run, args=(desk.correct_address, *correct), kwargs={"actor": "clerk:1"})
        correction.start()
        correction.join()
        return found

    monkeypatch.setattr(accounts, "corrected_by_desk", look)
    assert browser.post("/einstellungen/adresse-zuruecknehmen").status_code == 409
    assert backend.read(erika).pending_email == "erika@neue-schule.example"


def test_a_moved_address_logs_out_other_devices_and_not_the_one_that_confirmed(form, app, backend, mailed, newest_link):
    form.submit("Speichern", {FIELD: "erika.neu@schule.example"})
    other = Browser(app).log_in(people.person(people.ERIKA))
    form.open(mailed(newest_link(kind=LinkKind.ADDRESS))).press("Bestätigen")
    assert form.open("/einstellungen").heading == "Einstellungen"
    assert other.open("/einstellungen").heading == "Anmelden"


@pytest.mark.parametrize("typed", ["erika", "a@b@c.example", "x\nBcc: a@b.example", "<script>", "x" * 10_000])
def test_text_that_is_no_address_is_refused_and_all_input_stays(form, backend, erika, typed):
    form.submit("Speichern", {FIELD: typed, "Telefon": "07051 4711"})
    assert (form.status, form.value(FIELD), form.value("Telefon")) == (422, typed, "07051 4711")
    assert (backend.read(erika).phone, backend.mails()) == (erika.phone, [])


def test_over_the_limit_of_ten_addresses_a_day_nothing_is_saved_and_all_input_stays(form, backend, erika):
    for number in range(10):
        form.submit("Speichern", {FIELD: f"fremd{number}@schule.example"}).open("/einstellungen/konto")
    form.submit("Speichern", {FIELD: "noch.einer@schule.example", "Telefon": "07051 4711"})
    assert (form.status, "gingen heute schon zu viele E-Mails" in form.text) == (422, True)
    assert (form.value("Telefon"), backend.read(erika).phone) == ("07051 4711", erika.phone)


def test_a_customer_is_warned_of_a_new_address_whose_domain_looks_like_another(form, backend, erika):
    form.submit("Speichern", {FIELD: "erika@wеb.de"})  # with a Cyrillic letter
    assert "sieht fast aus wie web.de, ist aber eine andere. In Wirklichkeit heißt sie xn--wb-nlc.de." in form.text
    assert backend.read(erika).pending_email == "erika@wеb.de"
    assert "erika@wеb.de (xn--wb-nlc.de)" in form.open("/einstellungen").text
