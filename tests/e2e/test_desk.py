"""A clerk helps somebody back in: one screen, three actions, by keyboard alone."""

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.services import sessions
from tests import people
from tests.e2e.hands import Keyboard, Mouse, button, come_in, field, heading, in_place, link, log_in, whole

pytestmark = pytest.mark.browser

NEW = "erika@neue-schule.example"
CORRECT = "Adresse berichtigen und Link senden"


class Counting(Keyboard):
    """A keyboard that counts what its owner does; to go from field to field is no deed."""

    def __init__(self, page):
        super().__init__(page)
        self.actions, self.written = 0, []

    def press(self, thing):
        self.actions += 1
        super().press(thing)

    def tick(self, thing):
        self.actions += 1
        super().tick(thing)

    def write(self, thing, text):
        self.actions += 1
        self.written.append(text)
        super().write(thing, text)


@pytest.fixture
def rosas_page(page, app, backend, rosa):
    come_in(page, app, backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)
    return page


def test_three_actions_from_the_screen_to_the_accepted_mail(rosas_page, backend, erika, mailbox):
    rosas_page.goto(f"/kundenservice/kunden/{erika.id}")
    hand = Counting(rosas_page)
    with in_place(rosas_page):
        hand.write(field(rosas_page, "Neue E-Mail-Adresse"), NEW)
        expect(rosas_page.get_by_text(f"An {NEW}: Ihr Link zum Konto")).to_be_visible()
        hand.tick(field(rosas_page, "Rückruf"))
        hand.press(button(rosas_page, CORRECT))
        expect(rosas_page.locator("[data-outcome]")).to_contain_text(f"Der Link zum Konto ist unterwegs an {NEW}.")
        expect(rosas_page.locator("[data-outcome]")).to_be_focused()
    letter = mailbox.letter(NEW, "Ihr Link zum Konto")
    assert (hand.actions, hand.written) == (3, [NEW])
    assert "Bearbeiter: ro" in letter.text
    (mail,) = backend.read(select(OutgoingMail).where(OutgoingMail.recipient == NEW))
    expect(rosas_page.get_by_text("an den Mailserver übergeben").first).to_be_visible()
    assert mail.template == "desk_link"


def test_erika_gets_in_with_her_new_address_and_the_old_one_can_object(computer, rosas_page, backend, erika, mailbox):
    rosas_page.goto(f"/kundenservice/kunden/{erika.id}")
    field(rosas_page, "Neue E-Mail-Adresse").fill(NEW)
    field(rosas_page, "persönlich").check()
    button(rosas_page, CORRECT).click()
    letter, notice = (
        mailbox.letter(NEW, "Ihr Link zum Konto"),
        mailbox.letter(erika.email, "Ihre E-Mail-Adresse soll geändert werden"),
    )
    assert NEW not in notice.text
    hers = computer()
    hers.goto(letter.link)
    link(hers, "Code aus der E-Mail eingeben").click()
    field(hers, "Code aus der E-Mail").fill(letter.code)
    button(hers, "Bestätigen").click()
    link(hers, "Konto bearbeiten").click()
    field(hers, "Passwort").fill(people.NEW_PASSWORD)
    field(hers, "Wdh. Passwort").fill(people.NEW_PASSWORD)
    button(hers, "Registrieren").click()
    whole(hers, "Fertig")
    log_in(hers, NEW, people.NEW_PASSWORD)
    old = computer()
    old.goto(notice.link)
    button(old, "Das war ich nicht – Konto sperren").click()
    whole(old, "Das Konto ist gesperrt")
    rosas_page.reload()
    expect(rosas_page.get_by_text("Dieses Konto ist seit")).to_be_visible()


def test_hits_come_while_typing_and_are_reached_by_arrow_keys(rosas_page, backend, erika, max_, lieselotte):
    rosas_page.goto("/kundenservice/kunden")
    with in_place(rosas_page):
        Keyboard(rosas_page).write(field(rosas_page, "Kunden suchen"), "mustermann")
        expect(rosas_page.get_by_role("status").filter(has_text="2 Treffer")).to_be_visible()
        expect(field(rosas_page, "Kunden suchen")).to_be_focused()
        rosas_page.keyboard.press("ArrowDown")
        expect(link(rosas_page, "Mustermann, Erika")).to_be_focused()
        rosas_page.keyboard.press("ArrowDown")
        rosas_page.keyboard.press("ArrowUp")
        expect(link(rosas_page, "Mustermann, Erika")).to_be_focused()
        rosas_page.keyboard.press("ArrowUp")
        expect(field(rosas_page, "Kunden suchen")).to_be_focused()
        rosas_page.keyboard.press("ArrowDown")
    rosas_page.keyboard.press("Enter")
    whole(rosas_page, "Erika Mustermann")


def test_without_javascript_it_is_the_same_desk(computer, app, backend, rosa, erika, mailbox):
    page = computer(java_script_enabled=False)
    come_in(page, app, backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)
    page.goto("/kundenservice/kunden")
    hand = Mouse(page)
    hand.write(field(page, "Kunden suchen"), "erika")
    hand.press(button(page, "Suchen"))
    hand.press(link(page, "Mustermann, Erika"))
    hand.write(field(page, "Neue E-Mail-Adresse"), NEW)
    hand.press(button(page, CORRECT))
    expect(page.get_by_text("Wählen Sie aus, wie Sie geprüft haben").first).to_be_visible()
    assert field(page, "Neue E-Mail-Adresse").input_value() == NEW
    hand.tick(field(page, "Schule bestätigt"))
    hand.press(button(page, CORRECT))
    expect(heading(page, "Erika Mustermann")).to_be_visible()
    assert mailbox.letter(NEW, "Ihr Link zum Konto").code
