"""The desk: a clerk corrects an address with three actions by keyboard, searches, and prints."""

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import OutgoingMail
from tests.e2e.actions import (
    Keyboard,
    Mouse,
    button,
    field,
    heading,
    in_place,
    link,
    register,
    whole,
)

pytestmark = pytest.mark.browser

NEW = "erika@neue-schule.example"
CORRECT = "Adresse berichtigen und Link senden"


class Counting(Keyboard):
    """A keyboard that counts actions; moving from field to field is none."""

    def __init__(self, page):
        super().__init__(page)
        self.actions, self.filled = 0, []

    def press(self, target):
        self.actions += 1
        super().press(target)

    def check(self, target):
        self.actions += 1
        super().check(target)

    def fill(self, field, text):
        self.actions += 1
        self.filled.append(text)
        super().fill(field, text)


def test_an_address_is_corrected_and_its_link_sent_with_three_actions(desk_page, backend, erika, mailbox):
    page = desk_page()
    page.goto(f"/kundenservice/kunden/{erika.id}")
    hands = Counting(page)
    with in_place(page):
        hands.fill(field(page, "Neue E-Mail-Adresse"), NEW)
        expect(page.get_by_text("Diese Domain kennen wir von der Schule noch nicht.")).to_be_visible()
        hands.check(field(page, "Rückruf"))
        hands.press(button(page, CORRECT))
        expect(page.locator("[data-outcome]")).to_contain_text(f"Der Link zum Konto ist unterwegs an {NEW}.")
        expect(page.locator("[data-outcome]")).to_be_focused()
    message = mailbox.wait_for(NEW, "Ihr Link zum Konto")
    assert (hands.actions, hands.filled) == (3, [NEW])
    assert "Bearbeiter: ro" in message.text
    (mail,) = backend.read(select(OutgoingMail).where(OutgoingMail.recipient == NEW))
    expect(page.get_by_text("an den Mailserver übergeben").first).to_be_visible()
    assert mail.template == "desk_link"


class Clicking(Mouse):
    """A mouse that counts clicks; a field that has the focus needs none."""

    def __init__(self, page):
        super().__init__(page)
        self.clicks = 0

    def press(self, target):
        self.clicks += 1
        super().press(target)

    check = press

    def fill(self, field, text):
        if not field.evaluate("(it) => it === document.activeElement"):
            self.press(field)
        super().fill(field, text)


@pytest.mark.parametrize("new", [NEW, ""], ids=["another address", "the stored address"])
def test_from_the_search_to_the_sent_link_it_takes_four_clicks_and_one_page(desk_page, erika, mailbox, new):
    """From "Guten Tag" to "Der Link ist unterwegs": name and Enter on a hit are typed, the rest is clicked."""
    page = desk_page()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto("/kundenservice/kunden")
    loaded = []
    page.on("load", lambda _: loaded.append(page.url))
    hands = Clicking(page)
    hands.fill(field(page, "Kunden suchen"), "erika mus")
    expect(page.get_by_role("status").filter(has_text="1 Treffer")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    whole(page, erika.name)
    act = button(page, CORRECT if new else "Link senden")
    expect(field(page, "Rückruf")).to_be_in_viewport()
    expect(button(page, "Link senden")).to_be_in_viewport()
    if new:
        hands.fill(field(page, "Neue E-Mail-Adresse"), new)
        hands.check(field(page, "Rückruf"))
    hands.press(act)
    expect(page.locator("[data-outcome]")).to_contain_text(f"ist unterwegs an {new or erika.email}")
    expect(page.get_by_text("Sagen Sie: Betreff „Ihr Link zum Konto")).to_be_in_viewport()
    expect(page.locator("#sent-mail")).to_contain_text("an den Mailserver übergeben")
    assert (hands.clicks <= (4 if new else 2), len(loaded)) == (True, 1)
    assert mailbox.wait_for(new or erika.email, "Ihr Link zum Konto")


def test_warnings_stand_between_the_address_and_the_check(desk_page, erika, max_):
    """On a screen of 800 px a warning below the button was never seen."""
    page = desk_page()
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"/kundenservice/kunden/{erika.id}")
    for typed, hint in (
        ("e@gmail.com", "kann jeder anlegen"),
        (max_.email, "gehört schon zu"),
        ("e@gmx.ed", "Meinten"),
    ):
        field(page, "Neue E-Mail-Adresse").fill(typed)
        shown = page.locator("#hints").get_by_text(hint)
        expect(shown).to_be_in_viewport()
        edges = [one.bounding_box()["y"] for one in (field(page, "Neue E-Mail-Adresse"), shown, field(page, "Rückruf"))]
        assert edges == sorted(edges)


def test_both_acts_are_side_by_side_where_there_is_room(desk_page, erika):
    page = desk_page()
    for width, beside in ((1280, True), (390, False)):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"/kundenservice/kunden/{erika.id}")
        send, correct = (
            page.locator(f"section[aria-labelledby={name}]").bounding_box() for name in ("send-title", "correct-title")
        )
        assert (send["y"] == correct["y"], send["x"] < correct["x"]) == (beside, beside)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_new_address_gets_the_link_and_the_old_one_can_object(new_page, desk_page, backend, erika, mailbox):
    page = desk_page()
    page.goto(f"/kundenservice/kunden/{erika.id}")
    field(page, "Neue E-Mail-Adresse").fill(NEW)
    field(page, "Persönlich").check()
    button(page, CORRECT).click()
    message, notice = (
        mailbox.wait_for(NEW, "Ihr Link zum Konto"),
        mailbox.wait_for(erika.email, "Ihre E-Mail-Adresse soll geändert werden"),
    )
    assert NEW not in notice.text
    customer = new_page()
    customer.goto(message.link)
    link(customer, "Code aus der E-Mail eingeben").click()
    field(customer, "Code aus der E-Mail").fill(message.code)
    button(customer, "Bestätigen").click()
    register(customer, NEW)
    old = new_page()
    old.goto(notice.link)
    button(old, "Das war ich nicht – Konto sperren").click()
    whole(old, "Das Konto ist gesperrt")
    page.reload()
    expect(page.get_by_text("Dieses Konto ist seit")).to_be_visible()


def test_results_appear_while_typing_and_are_reached_by_arrow_keys(desk_page, erika, max_, lieselotte):
    page = desk_page()
    page.goto("/kundenservice/kunden")
    with in_place(page):
        Keyboard(page).fill(field(page, "Kunden suchen"), "mustermann")
        expect(page.get_by_role("status").filter(has_text="2 Treffer")).to_be_visible()
        expect(field(page, "Kunden suchen")).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(link(page, "Mustermann, Erika")).to_be_focused()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        expect(link(page, "Mustermann, Erika")).to_be_focused()
        page.keyboard.press("ArrowUp")
        expect(field(page, "Kunden suchen")).to_be_focused()
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    whole(page, "Erika Mustermann")


def test_an_address_is_corrected_without_javascript(desk_page, erika, mailbox):
    page = desk_page(java_script_enabled=False)
    page.goto("/kundenservice/kunden")
    hands = Mouse(page)
    hands.fill(field(page, "Kunden suchen"), "erika")
    hands.press(button(page, "Suchen"))
    hands.press(link(page, "Mustermann, Erika"))
    hands.fill(field(page, "Neue E-Mail-Adresse"), NEW)
    hands.press(button(page, CORRECT))
    expect(page.get_by_text("Wählen Sie aus, wie Sie die Person geprüft haben").first).to_be_visible()
    assert field(page, "Neue E-Mail-Adresse").input_value() == NEW
    hands.check(field(page, "Schule bestätigt"))
    hands.press(button(page, CORRECT))
    expect(heading(page, "Erika Mustermann")).to_be_visible()
    assert mailbox.wait_for(NEW, "Ihr Link zum Konto").code


def test_the_printed_customer_has_no_forms(desk_page, erika):
    page = desk_page()
    page.goto(f"/kundenservice/kunden/{erika.id}")
    whole(page, erika.name)
    expect(button(page, "Link senden")).to_be_visible()
    page.emulate_media(media="print")
    for title in ("Daten", "Links", "E-Mails", "Verlauf"):
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(heading(page, erika.name)).to_be_visible()
    expect(page.get_by_role("textbox").or_(page.get_by_role("button"))).to_have_count(0)
    expect(page.get_by_role("navigation")).to_have_count(0)
