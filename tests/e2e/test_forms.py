"""What forms do to help: while one types, while they are on their way, and after they came back."""

import pytest
from playwright.sync_api import expect

from kmzportal.models.account_link import LinkKind
from tests import people
from tests.e2e.hands import button, field, heading, in_place, link, refusal
from tests.e2e.suits import faults

pytestmark = pytest.mark.browser

APPEARED = """(it) => Promise.all(it.getAnimations({ subtree: true })
  .filter((one) => one.animationName === "kmz-appear").map((one) => one.finished.then(() => one.currentTime)))"""
OURS = {"HX-Retarget": "#meldung", "HX-Reswap": "innerHTML"}


@pytest.fixture
def landed(page, erika, backend, issue):
    """Erika has opened a link; which kind the test says."""

    def landed(kind):
        page.goto(f"/link/{backend.keys.token(issue(kind, erika))}")
        return page

    return landed


def test_two_equal_passwords_are_praised_and_different_ones_not_blamed(landed):
    page = landed(LinkKind.RECOVERY)
    help_ = page.get_by_role("status").filter(has_text="Beide Passwörter sind gleich.")
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people.NEW_PASSWORD[:-1])
    expect(help_).to_have_count(0)
    field(page, "Wdh. Passwort").press("End")
    field(page, "Wdh. Passwort").press_sequentially(people.NEW_PASSWORD[-1])
    expect(help_).to_be_visible()
    assert faults(page) == []
    field(page, "Passwort").fill("")
    expect(help_).to_have_count(0)
    expect(refusal(page)).to_have_count(0)


def test_a_form_on_its_way_shows_it_after_a_moment_and_cannot_be_sent_again(page):
    page.goto("/passwort-vergessen")
    held = []
    page.route("**/passwort-vergessen", lambda route: held.append(route))
    field(page, "E-Mail-Adresse").fill("keine adresse")
    button(page, "Link anfordern").dblclick()
    expect(button(page, "Link anfordern")).to_be_disabled()
    assert [round(appeared) for appeared in button(page, "Link anfordern").evaluate(APPEARED)] == [300]
    assert len(held) == 1
    held[0].continue_()
    expect(refusal(page)).to_be_focused()
    expect(button(page, "Link anfordern")).to_be_enabled()


def test_a_bug_shows_its_number_and_loses_nothing(page):
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


def test_a_new_puzzle_comes_in_place_and_keeps_the_focus(landed):
    page = landed(LinkKind.DESK)
    field(page, "Ich bin kein Roboter").click()
    expect(heading(page, "Bilderrätsel")).to_be_focused()
    with in_place(page):
        first = page.locator("input[name=puzzle]").input_value()
        link(page, "Neues Rätsel").press("Enter")
        expect(page.locator("input[name=puzzle]")).not_to_have_value(first)
        expect(link(page, "Neues Rätsel")).to_be_focused()
        question = page.locator("legend").inner_text()
        expect(link(page, "Neues Rätsel")).to_have_accessible_description(question)


def test_what_is_refused_is_read_out_once_with_its_reasons(page):
    page.goto("/anmelden")
    button(page, "Anmelden").click()
    expect(refusal(page)).to_be_focused()
    expect(refusal(page)).to_have_accessible_name("Bitte prüfen Sie Ihre Eingaben")
    reasons = "Geben Sie Ihre E-Mail-Adresse ein. Geben Sie Ihr Passwort ein."
    expect(refusal(page)).to_have_accessible_description(reasons)
    expect(page.locator("[role=alert], [aria-live=assertive]")).to_have_count(0)
