"""Forms while typing, while they are sent, and after a refusal; and the skip link."""

import re

import pytest
from playwright.sync_api import expect

from kmzportal.models import LinkKind
from tests import people
from tests.e2e.accessibility import faults
from tests.e2e.actions import Keyboard, button, field, heading, in_place, link, refusal

pytestmark = pytest.mark.browser

APPEARED = """(it) => Promise.all(it.getAnimations({ subtree: true })
  .filter((one) => one.animationName === "kmz-appear").map((one) => one.finished.then(() => one.currentTime)))"""
OURS = {"HX-Retarget": "#meldung", "HX-Reswap": "innerHTML"}


@pytest.fixture
def open_link(page, erika, backend, issue):
    """Return a function that opens a link of a kind for Erika."""

    def open_link(kind):
        page.goto(f"/link/{backend.keys.token(issue(kind, erika))}")
        return page

    return open_link


def test_equal_passwords_are_confirmed_and_different_ones_not_refused_while_typing(open_link):
    page = open_link(LinkKind.RECOVERY)
    confirmation = page.get_by_role("status").filter(has_text="Beide Passwörter sind gleich.")
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people.NEW_PASSWORD[:-1])
    expect(confirmation).to_have_count(0)
    field(page, "Wdh. Passwort").press("End")
    field(page, "Wdh. Passwort").press_sequentially(people.NEW_PASSWORD[-1])
    expect(confirmation).to_be_visible()
    assert faults(page) == []
    field(page, "Passwort").fill("")
    expect(confirmation).to_have_count(0)
    expect(refusal(page)).to_have_count(0)


#: The contrast of the button's words to what is behind them, by the luminance of pixels (WCAG 2.2, relative luminance).
CONTRAST = """(button) => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const pixel = (...colours) => { colours.forEach((one) => { paint.fillStyle = one; paint.fillRect(0, 0, 1, 1); });
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4); };
  const light = (colours) => { const [r, g, b] = pixel(...colours); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = [getComputedStyle(document.body).backgroundColor, getComputedStyle(button).backgroundColor];
  const words = light([...behind, getComputedStyle(button.querySelector(".kern-label")).color]), ground = light(behind);
  return (Math.max(words, ground) + 0.05) / (Math.min(words, ground) + 0.05); }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_button_that_shows_a_password_names_what_it_does_next_and_can_always_be_read(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto("/anmelden")
    field(page, "Passwort").fill("lampe honig")
    for before, after, kind in (("Anzeigen", "Verbergen", "text"), ("Verbergen", "Anzeigen", "password")):
        button(page, f"Passwort {before}").click()
        pressed = button(page, f"Passwort {after}")
        expect(pressed).to_have_text(re.compile(after))
        expect(page.locator("#password")).to_have_attribute("type", kind)
        assert pressed.get_attribute("aria-pressed") is None, (
            "a new word and a state would be read as a double negation"
        )
        pressed.hover()
        assert pressed.evaluate(CONTRAST) >= 4.5


def test_the_length_that_a_password_lacks_is_said_after_a_pause(open_link):
    page = open_link(LinkKind.RECOVERY)
    said = page.locator("[data-minimum]")
    page.clock.install()
    field(page, "Passwort").press_sequentially("lampe ho")
    expect(said).to_be_empty()
    page.clock.run_for(500)
    expect(said).to_have_text("Noch 4 Zeichen")
    expect(said).to_have_role("status")
    field(page, "Passwort").press_sequentially("\U0001f388ig")  # one character, as the server counts
    page.clock.run_for(500)
    expect(said).to_have_text("Noch 1 Zeichen")
    field(page, "Passwort").press_sequentially("!")
    page.clock.run_for(500)
    expect(said).to_have_text("Lang genug")
    assert faults(page) == []


def test_a_form_being_sent_shows_it_after_300_ms_and_cannot_be_sent_again(page):
    page.goto("/passwort-vergessen")
    sent = []
    page.route("**/passwort-vergessen", lambda route: sent.append(route))
    field(page, "E-Mail-Adresse").fill("keine adresse")
    button(page, "Link anfordern").dblclick()
    expect(button(page, "Link anfordern")).to_be_disabled()
    assert [round(appeared) for appeared in button(page, "Link anfordern").evaluate(APPEARED)] == [300]
    assert len(sent) == 1
    sent[0].continue_()
    expect(refusal(page)).to_be_focused()
    expect(button(page, "Link anfordern")).to_be_enabled()


def test_a_server_error_shows_its_number_and_the_input_stays(page):
    page.goto("/passwort-vergessen")
    words = "Das hat nicht geklappt. Der Fehler liegt bei uns. Fehlernummer: 0AB1"
    page.route("**/passwort-vergessen", lambda route: route.fulfill(status=500, body=words, headers=OURS))
    with in_place(page):
        field(page, "E-Mail-Adresse").fill("erika@schule.example")
        button(page, "Link anfordern").click()
        expect(page.locator("#meldung")).to_have_text(words)
        expect(field(page, "E-Mail-Adresse")).to_have_value("erika@schule.example")
        expect(button(page, "Link anfordern")).to_be_focused()
        assert faults(page) == []


def test_a_new_puzzle_is_shown_in_place_and_keeps_the_focus(open_link):
    page = open_link(LinkKind.DESK)
    field(page, "Ich bin kein Roboter").click()
    expect(heading(page, "Bilderrätsel")).to_be_focused()
    with in_place(page):
        first = page.locator("input[name=puzzle]").input_value()
        link(page, "Neues Rätsel").press("Enter")
        expect(page.locator("input[name=puzzle]")).not_to_have_value(first)
        expect(link(page, "Neues Rätsel")).to_be_focused()
        question = page.locator("legend").inner_text()
        expect(link(page, "Neues Rätsel")).to_have_accessible_description(question)


def test_the_error_summary_is_announced_once_with_its_reasons(page):
    page.goto("/anmelden")
    button(page, "Anmelden").click()
    expect(refusal(page)).to_be_focused()
    expect(refusal(page)).to_have_accessible_name("Bitte prüfen Sie Ihre Eingaben")
    reasons = "Geben Sie Ihre E-Mail-Adresse ein. Geben Sie Ihr Passwort ein."
    expect(refusal(page)).to_have_accessible_description(reasons)
    expect(page.locator("[role=alert], [aria-live=assertive]")).to_have_count(0)


def test_the_keyboard_skips_to_the_content(page):
    page.goto("/anmelden")
    Keyboard(page).press(link(page, "Zum Inhalt springen"))
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(field(page, "E-Mail-Adresse")).to_be_focused()
