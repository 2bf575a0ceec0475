"""Der Link zum Konto, with the labels of the hand-out, for everybody who may get one."""

import pytest
from playwright.sync_api import expect

from kmzportal.services import desk
from tests import people as people_module
from tests.e2e.hands import (
    Keyboard,
    Mouse,
    button,
    field,
    heading,
    in_place,
    link,
    log_in,
    notice,
    refusal,
    right_tiles,
    whole,
)

pytestmark = pytest.mark.browser
DESK = "Ihr Link zum Konto"
PERSONAL = "07051 123456"  # Erika's telephone
QUESTION = "Wählen Sie alle Bilder mit"


@pytest.fixture
def sent(backend, rosa, mailbox):
    """Rosa sends somebody the link to the account."""

    def send(customer):
        backend.run(desk.send_link, customer, "ro")
        return mailbox.letter(customer.email, DESK)

    return send


@pytest.fixture(params=["mouse", "mouse without JavaScript", "keyboard"])
def hand(request, computer):
    page = computer(java_script_enabled="without" not in request.param)
    hand = Keyboard(page) if request.param == "keyboard" else Mouse(page)
    hand.scripts = "without" not in request.param
    return hand


def tick(hand):
    """Steps two: the box brings up the puzzle in place; without JavaScript a button does."""
    box = field(hand.page, "Ich bin kein Roboter")
    if not hand.scripts:
        hand.tick(box)
        hand.press(button(hand.page, "Weiter"))
        whole(hand.page, "Bilderrätsel")
        return
    with in_place(hand.page):
        hand.tick(box)
        expect(heading(hand.page, "Bilderrätsel")).to_be_focused()


def by_pictures(hand, app, _letter):
    tick(hand)
    expect(hand.page.get_by_role("group")).to_contain_text(QUESTION)
    for number in right_tiles(hand.page, app):
        hand.tick(field(hand.page, f"Bild {number} von 9"))


def by_code(hand, _app, letter):
    hand.press(link(hand.page, "Code aus der E-Mail eingeben"))
    hand.write(field(hand.page, "Code aus der E-Mail"), f" {letter.code.lower().replace('-', ' ')} ")


@pytest.mark.usefixtures("rosa")
@pytest.mark.parametrize("check", [by_pictures, by_code])
def test_erika_follows_the_hand_out(hand, check, erika, portal, app, mailbox):
    portal.console("links", "send", erika.email, "--by", "ro")
    page, letter = hand.page, mailbox.letter(erika.email, DESK)
    assert "Bearbeiter: ro" in letter.text
    page.goto(letter.link)
    whole(page, "Link zum Konto")
    check(hand, app, letter)
    hand.press(button(page, "Bestätigen"))
    hand.press(link(page, "Konto bearbeiten"))
    whole(page, "Konto bearbeiten")
    expect(field(page, "Telefon")).to_have_value(PERSONAL)
    hand.write(field(page, "Ort"), "Bad Teinach")
    hand.write(field(page, "Passwort"), people_module.NEW_PASSWORD)
    hand.write(field(page, "Wdh. Passwort"), people_module.NEW_PASSWORD)
    hand.press(button(page, "Registrieren"))
    whole(page, "Fertig")
    hand.press(link(page, "Zur Anmeldung"))
    expect(field(page, "E-Mail-Adresse")).to_have_value(erika.email)
    hand.write(field(page, "Passwort"), people_module.NEW_PASSWORD)
    hand.press(button(page, "Anmelden"))
    whole(page, "Einstellungen")
    assert mailbox.letter(erika.email, "Ihr Passwort wurde gesetzt")
    page.goto(letter.link)
    whole(page, "Dieser Link gilt nicht mehr")


def test_a_wrong_answer_brings_a_new_puzzle_in_place(page, erika, sent, app):
    page.goto(sent(erika).link)
    field(page, "Ich bin kein Roboter").click()
    with in_place(page):
        first = page.locator("input[name=puzzle]").input_value()
        button(page, "Bestätigen").click()
        expect(refusal(page)).to_be_focused()
        expect(refusal(page)).to_contain_text("Das stimmt leider nicht. Hier ist ein neues Rätsel.")
        expect(page).to_have_title("Fehler: Bilderrätsel – Kreismedienzentrum Calw")
        assert page.locator("input[name=puzzle]").input_value() != first
        for number in right_tiles(page, app):
            field(page, f"Bild {number} von 9").check()
        button(page, "Bestätigen").click()
        expect(link(page, "Konto bearbeiten")).to_be_visible()
        expect(page).to_have_title("Bestätigt – Kreismedienzentrum Calw")


def test_the_pictures_stand_three_in_a_row_on_the_smallest_telephone(computer, erika, sent):
    page = computer(viewport={"width": 320, "height": 640})
    page.goto(sent(erika).link)
    field(page, "Ich bin kein Roboter").click()
    expect(heading(page, "Bilderrätsel")).to_be_focused()
    places = [tile.bounding_box() for tile in page.locator(".kmz-tile").all()]
    assert len(places) == 9 and min(min(place["width"], place["height"]) for place in places) >= 44
    assert len({round(place["x"]) for place in places}) == len({round(place["y"]) for place in places}) == 3


def test_registering_with_a_double_click_registers_once(page, erika, sent):
    letter = sent(erika)
    page.goto(letter.link)
    by_code(Mouse(page), None, letter)
    button(page, "Bestätigen").dblclick()
    link(page, "Konto bearbeiten").click()
    field(page, "Passwort").fill(people_module.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people_module.NEW_PASSWORD)
    button(page, "Registrieren").dblclick()
    whole(page, "Fertig")
    assert [path.rpartition("/")[2] for path in page.watch.sent] == ["code", "konto"]


def test_a_reload_in_the_middle_gives_a_whole_page(page, erika, sent):
    page.goto(sent(erika).link)
    field(page, "Ich bin kein Roboter").click()
    expect(heading(page, "Bilderrätsel")).to_be_visible()
    page.reload()
    whole(page, "Link zum Konto")
    link(page, "Code aus der E-Mail eingeben").click()
    whole(page, "Code aus der E-Mail")
    link(page, "Lieber das Bilderrätsel lösen").click()
    whole(page, "Bilderrätsel")
    page.reload()
    whole(page, "Bilderrätsel")
    page.go_back()
    whole(page, "Code aus der E-Mail")
    page.go_forward()
    whole(page, "Bilderrätsel")


def test_two_links_in_two_tabs_never_mix(page, erika, max_, sent, backend):
    letters = sent(erika), sent(max_)
    people = [(erika, page, letters[0]), (max_, page.context.new_page(), letters[1])]
    for _, tab, letter in people:
        tab.bring_to_front()
        tab.goto(letter.link)
        by_code(Mouse(tab), None, letter)
    for _, tab, _ in people:
        tab.bring_to_front()
        button(tab, "Bestätigen").click()
        link(tab, "Konto bearbeiten").click()
    for person, tab, _ in people:
        tab.bring_to_front()
        expect(field(tab, "Vorname")).to_have_value(person.first_name)
        field(tab, "Telefon").fill(person.number)
        field(tab, "Passwort").fill(people_module.NEW_PASSWORD)
        field(tab, "Wdh. Passwort").fill(people_module.NEW_PASSWORD)
    for _, tab, _ in people:
        tab.bring_to_front()
        button(tab, "Registrieren").click()
        whole(tab, "Fertig")
    assert [backend.read(person).phone for person, _, _ in people] == [erika.number, max_.number]


def test_the_code_of_one_link_does_not_open_another(page, erika, max_, sent):
    hers, his = sent(erika), sent(max_)
    page.goto(hers.link)
    by_code(Mouse(page), None, his)
    button(page, "Bestätigen").click()
    expect(refusal(page)).to_contain_text("Dieser Code stimmt nicht.")


def test_whose_link_it_is_not_has_to_log_out_first(page, erika, max_, sent):
    letter = sent(erika)
    log_in(page, max_.email, people_module.password_of(max_))
    page.goto(letter.link)
    whole(page, "Jemand anderes ist angemeldet")
    expect(page.get_by_role("main")).to_contain_text(max_.name)
    expect(page.get_by_role("main")).not_to_contain_text(erika.first_name)
    button(page, "Abmelden und weiter").click()
    whole(page, "Link zum Konto")
    by_code(Mouse(page), None, letter)
    button(page, "Bestätigen").click()
    link(page, "Konto bearbeiten").click()
    expect(field(page, "Vorname")).to_have_value("Erika")


def test_who_cancels_keeps_the_link(page, erika, sent):
    letter = sent(erika)
    page.goto(letter.link)
    button(page, "Abbrechen").click()
    whole(page, "Anmelden")
    expect(notice(page, "Ihr Link gilt weiter.")).to_be_visible()
    page.go_back()
    whole(page, "Diesen Link können wir nicht öffnen")
    page.goto(letter.link)
    whole(page, "Link zum Konto")
