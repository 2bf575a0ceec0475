"""A new mail address, as its holder asks for it in Konto anpassen: confirmed, objected to, or kept as it was."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind
from tests import people
from tests.browser import Browser
from tests.web.customer.adjusting import NEW_ADDRESS, adjust

pytestmark = pytest.mark.usefixtures("clock")


def link_to(backend, kind):
    links = backend.read(select(AccountLink).where(AccountLink.kind == kind).order_by(AccountLink.id))
    return f"/link/{backend.keys.token(links[-1])}"


def test_a_new_address_counts_only_when_it_is_confirmed(browser, app, backend, erika):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "Erika.Neu@schule.example"})
    assert "Bis Sie ihn öffnen, gilt die alte." in browser.text
    assert [mail.recipient for mail in backend.mails("address_link")] == ["Erika.Neu@schule.example"]
    assert [mail.recipient for mail in backend.mails("address_change_asked")] == [erika.email]
    assert backend.log_in("erika.neu@schule.example", people.password_of(erika)) is None
    assert backend.log_in(erika.email, people.password_of(erika))

    at_home = Browser(app).open(link_to(backend, LinkKind.ADDRESS))
    assert "Erika.Neu@schule.example" in at_home.text
    at_home.press("Bestätigen")
    assert at_home.heading == "Fertig"
    assert at_home.follow("Zur Anmeldung").value("E-Mail-Adresse") == "Erika.Neu@schule.example"
    assert backend.log_in("erika.neu@schule.example", people.password_of(erika))
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    assert [mail.recipient for mail in backend.mails("address_changed_old")] == [erika.email]


@pytest.mark.parametrize("when", ["pending", "confirmed"])
def test_the_old_address_can_say_that_was_not_me(browser, app, backend, erika, when):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "dieb@evil.example"})
    if when == "confirmed":
        Browser(app).open(link_to(backend, LinkKind.ADDRESS)).press("Bestätigen")
    owner = Browser(app).open(link_to(backend, LinkKind.OBJECTION))
    owner.press("Das war ich nicht – Konto sperren")
    assert owner.heading == "Das Konto ist gesperrt"
    assert owner.open("/anmelden").value("E-Mail-Adresse") == ""  # the old mailbox does not learn the new address
    assert backend.read(erika).locked_at == people.NOW
    assert browser.open("/einstellungen").heading == "Anmelden"
    assert Browser(app).open(link_to(backend, LinkKind.ADDRESS)).status in (403, 410)


def test_a_taken_address_is_answered_like_a_free_one(browser, app, backend, erika, max_):
    def answer(address):
        one = Browser(app)
        adjust(one, erika).submit("Speichern", {NEW_ADDRESS: address})
        return one.status, one.text.replace(address, "…"), one.open("/einstellungen").text.replace(address, "…")

    assert answer(max_.email) == answer("frei@schule.example")
    assert [mail.recipient for mail in backend.mails("address_taken")] == [max_.email]
    assert [mail.recipient for mail in backend.mails("address_link")] == ["frei@schule.example"]


def test_she_keeps_her_address_after_all(browser, backend, erika):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "neu@schule.example"})
    browser.open("/einstellungen").press("Bisherige Adresse behalten")
    assert "Ihre bisherige E-Mail-Adresse bleibt." in browser.text
    assert backend.read(erika).pending_email is None
    assert browser.open(link_to(backend, LinkKind.ADDRESS)).status == 410


def test_keeping_it_from_an_old_page_takes_a_second_click(browser, backend, erika):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "neu@schule.example"})
    browser.open("/einstellungen").stale().press("Bisherige Adresse behalten")
    assert (browser.status, browser.heading) == (422, "Einstellungen")
    assert backend.read(erika).pending_email == "neu@schule.example"
    browser.press("Bisherige Adresse behalten")
    assert backend.read(erika).pending_email is None


@pytest.mark.parametrize("typed", ["erika", "a@b@c.example", "x\nBcc: a@b.example", "<script>", "x" * 10_000])
def test_what_is_no_address_is_refused_and_all_else_stays(browser, backend, erika, typed):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: typed, "Telefon": "07051 4711"})
    assert browser.status == 422
    assert (browser.value(NEW_ADDRESS), browser.value("Telefon")) == (typed, "07051 4711")
    assert (backend.read(erika).phone, backend.mails()) == (erika.phone, [])


def test_the_portal_is_no_relay_for_mails_to_strangers(browser, backend, erika):
    adjust(browser, erika)
    for number in range(10):
        browser.submit("Speichern", {NEW_ADDRESS: f"fremd{number}@schule.example"})
    browser.submit("Speichern", {NEW_ADDRESS: "noch.einer@schule.example", "Telefon": "07051 4711"})
    assert browser.status == 422
    assert "gingen heute schon zu viele E-Mails" in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert backend.read(erika).phone == erika.phone
