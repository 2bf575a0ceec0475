"""Link zum Konto with the labels of the hand-out: by mouse, by keyboard and without JavaScript."""

import pytest
from playwright.sync_api import expect

from kmzportal.services import desk
from tests import people
from tests.e2e.actions import (
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
    set_password,
    whole,
)

pytestmark = pytest.mark.browser
DESK = "Ihr Link zum Konto"
WAYS = ("Mit Bildern", "Mit dem Code")
PERSONAL = "07051 123456"  # Erika's telephone
QUESTION = "Wählen Sie alle Bilder mit"


@pytest.fixture
def sent(backend, rosa, mailbox):
    """Return a function that sends a customer the link and returns the mail."""

    def send(customer):
        backend.run(desk.send_link, customer)
        return mailbox.wait_for(customer.email, DESK)

    return send


@pytest.fixture
def hands(request, new_page):
    page = new_page(java_script_enabled="without" not in request.param)
    hands = Keyboard(page) if request.param == "keyboard" else Mouse(page)
    hands.scripts = "without" not in request.param
    return hands


def open_puzzle(hands):
    """Tick the box, which shows the puzzle in place; without JavaScript a button does."""
    box = field(hands.page, "Ich bin kein Roboter")
    if not hands.scripts:
        hands.check(box)
        hands.press(button(hands.page, "Weiter"))
        whole(hands.page, "Bilderrätsel")
        return
    with in_place(hands.page):
        hands.check(box)
        expect(heading(hands.page, "Bilderrätsel")).to_be_focused()


def by_pictures(hands, app, _message):
    open_puzzle(hands)
    expect(hands.page.get_by_role("group")).to_contain_text(QUESTION)
    for number in right_tiles(hands.page, app):
        hands.check(field(hands.page, f"Bild {number} von 9"))


def by_code(hands, _app, message):
    hands.press(link(hands.page, "Code aus der E-Mail eingeben"))
    hands.fill(field(hands.page, "Code aus der E-Mail"), f" {message.code.lower().replace('-', ' ')} ")


@pytest.mark.usefixtures("rosa")
@pytest.mark.parametrize(("hands", "check"), [
    ("keyboard", by_code),
    pytest.param("mouse without JavaScript", by_pictures, marks=pytest.mark.trial),
    pytest.param("keyboard", by_pictures, marks=pytest.mark.trial),
    pytest.param("mouse without JavaScript", by_code, marks=pytest.mark.trial),
    pytest.param("mouse", by_pictures, marks=pytest.mark.trial),
    pytest.param("mouse", by_code, marks=pytest.mark.trial),
], indirect=["hands"])  # fmt: skip
def test_the_steps_of_the_hand_out_lead_to_a_login(hands, check, erika, portal, app, mailbox):
    portal.run("links", "send", erika.email, "--by", "ro")
    page, message = hands.page, mailbox.wait_for(erika.email, DESK)
    assert "Bearbeiter: ro" in message.text
    page.goto(message.link)
    whole(page, "Link zum Konto")
    check(hands, app, message)
    hands.press(button(page, "Bestätigen"))
    hands.press(link(page, "Konto bearbeiten"))
    whole(page, "Konto bearbeiten")
    expect(field(page, "Telefon")).to_have_value(PERSONAL)
    hands.fill(field(page, "Ort"), "Bad Teinach")
    hands.fill(field(page, "Passwort"), people.NEW_PASSWORD)
    hands.fill(field(page, "Wdh. Passwort"), people.NEW_PASSWORD)
    hands.press(button(page, "Registrieren"))
    whole(page, "Fertig")
    hands.press(link(page, "Zur Anmeldung"))
    expect(field(page, "E-Mail-Adresse")).to_have_value(erika.email)
    hands.fill(field(page, "Passwort"), people.NEW_PASSWORD)
    hands.press(button(page, "Anmelden"))
    whole(page, "Einstellungen")
    assert mailbox.wait_for(erika.email, "Ihr Passwort wurde gesetzt")
    page.goto(message.link)
    whole(page, "Dieser Link gilt nicht mehr")


def test_a_wrong_answer_shows_a_new_puzzle_in_place(page, erika, sent, app):
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


def test_the_pictures_are_three_in_a_row_at_320_pixels(new_page, erika, sent):
    page = new_page(viewport={"width": 320, "height": 640})
    page.goto(sent(erika).link)
    field(page, "Ich bin kein Roboter").click()
    expect(heading(page, "Bilderrätsel")).to_be_focused()
    places = [tile.bounding_box() for tile in page.locator(".kmz-tile").all()]
    assert len(places) == 9 and min(min(place["width"], place["height"]) for place in places) >= 44
    assert len({round(place["x"]) for place in places}) == len({round(place["y"]) for place in places}) == 3
    boxes = [box.bounding_box()["width"] for box in page.locator(".kmz-tile input").all()]
    assert max(boxes) <= places[0]["width"] / 4, "it hides too much of the picture"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_two_ways_have_one_size_and_are_both_in_view(new_page, erika, sent, width):
    page = new_page(viewport={"width": width, "height": 844})
    page.goto(sent(erika).link)
    ways = [page.locator(".kern-card", has=page.get_by_role("heading", name=name)) for name in WAYS]
    pictures, code = (way.bounding_box() for way in ways)
    assert pictures["width"] == code["width"] and code["y"] + code["height"] <= 844
    assert (pictures["y"] == code["y"]) is (width == 1280), "side by side where there is room"
    field(page, "Ich bin kein Roboter").click()
    expect(heading(page, "Bilderrätsel")).to_be_focused()
    assert (ways[0].bounding_box()["y"] == ways[1].bounding_box()["y"]) is (width == 1280)
    expect(link(page, "Mit dem Code geht es auch.")).to_be_in_viewport()


def test_a_double_click_registers_once(page, erika, sent):
    message = sent(erika)
    page.goto(message.link)
    by_code(Mouse(page), None, message)
    button(page, "Bestätigen").dblclick()
    link(page, "Konto bearbeiten").click()
    set_password(page)
    button(page, "Registrieren").dblclick()
    whole(page, "Fertig")
    assert [path.rpartition("/")[2] for path in page.monitor.posts] == ["code", "konto"]


def test_back_forward_and_reload_show_whole_pages(page, erika, sent):
    page.goto(sent(erika).link)
    field(page, "Ich bin kein Roboter").click()
    expect(heading(page, "Bilderrätsel")).to_be_visible()
    page.reload()
    whole(page, "Bilderrätsel")
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


PHONES = {"K-1001": "0711 111111", "K-1002": "0711 222222"}


def test_two_links_in_two_tabs_stay_apart(page, erika, max_, sent, backend):
    tabs = [(erika, page, sent(erika)), (max_, page.context.new_page(), sent(max_))]
    for _, tab, message in tabs:
        tab.bring_to_front()
        tab.goto(message.link)
        by_code(Mouse(tab), None, message)
    for _, tab, _ in tabs:
        tab.bring_to_front()
        button(tab, "Bestätigen").click()
        link(tab, "Konto bearbeiten").click()
    for person, tab, _ in tabs:
        tab.bring_to_front()
        expect(field(tab, "Vorname")).to_have_value(person.first_name)
        field(tab, "Telefon").fill(PHONES[person.number])
        set_password(tab)
    for _, tab, _ in tabs:
        tab.bring_to_front()
        button(tab, "Registrieren").click()
        whole(tab, "Fertig")
    assert {person.number: backend.read(person).phone for person, _, _ in tabs} == PHONES


def test_the_code_of_one_link_does_not_open_another(page, erika, max_, sent):
    hers, his = sent(erika), sent(max_)
    page.goto(hers.link)
    by_code(Mouse(page), None, his)
    button(page, "Bestätigen").click()
    expect(refusal(page)).to_contain_text("Dieser Code stimmt nicht.")


def test_another_logged_in_customer_has_to_log_out_first(page, erika, max_, sent):
    message = sent(erika)
    log_in(page, max_.email, people.password_of(max_))
    page.goto(message.link)
    whole(page, "Jemand anderes ist angemeldet")
    expect(page.get_by_role("main")).to_contain_text(max_.name)
    expect(page.get_by_role("main")).not_to_contain_text(erika.first_name)
    button(page, "Abmelden und weiter").click()
    whole(page, "Link zum Konto")
    by_code(Mouse(page), None, message)
    button(page, "Bestätigen").click()
    link(page, "Konto bearbeiten").click()
    expect(field(page, "Vorname")).to_have_value("Erika")


def test_a_cancelled_link_can_be_opened_again(page, erika, sent):
    message = sent(erika)
    page.goto(message.link)
    button(page, "Abbrechen").click()
    whole(page, "Anmelden")
    expect(notice(page, "Ihr Link gilt weiter.")).to_be_visible()
    page.go_back()
    whole(page, "Diesen Link können wir nicht öffnen")
    page.goto(message.link)
    whole(page, "Link zum Konto")
