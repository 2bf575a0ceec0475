"""What the style sheet does where it differs by width, colour scheme or browser."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from kmzportal.models import LinkKind, LoginSession
from tests import people
from tests.e2e.actions import WARNED_AFTER, button, dialog, field, log_in
from tests.e2e.test_contrast import run
from tests.states import Scenario

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 740}


def box(locator):
    return locator.bounding_box()


def test_the_question_before_a_session_ends_keeps_away_from_the_edges_of_a_telephone(new_page, erika, backend):
    page = new_page(viewport=PHONE)
    page.clock.install()
    log_in(page, erika.email, people.password_of(erika))
    with backend.transaction("console") as tx:
        for session in tx.session.scalars(select(LoginSession)):
            session.last_seen = datetime.now(UTC) - timedelta(seconds=WARNED_AFTER)
    page.clock.run_for((WARNED_AFTER + 5) * 1000)
    frame = box(dialog(page))
    assert frame["x"] >= 16 and frame["x"] + frame["width"] <= PHONE["width"] - 16


def test_without_a_connection_the_button_to_press_again_is_above_the_message(new_page):
    page = new_page(viewport=PHONE)
    page.goto("/passwort-vergessen")
    field(page, "E-Mail-Adresse").fill("erika@schule.example")
    page.context.set_offline(True)
    button(page, "Link anfordern").click()
    expect(page.locator("#meldung")).to_contain_text("Keine Verbindung.")
    button(page, "Link anfordern").focus()
    pressed, message = box(button(page, "Link anfordern")), box(page.locator("#meldung"))
    assert pressed["y"] >= 0 and pressed["y"] + pressed["height"] <= message["y"]


def test_a_button_on_its_way_shows_a_visible_ring(page):
    page.goto("/passwort-vergessen")
    field(page, "E-Mail-Adresse").fill("erika@schule.example")
    page.route("**/passwort-vergessen", lambda route: None)  # never answered
    button(page, "Link anfordern").click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert run(page, "spinner", "main [type=submit]") >= 3


@pytest.mark.parametrize(("width", "beside"), [(1280, True), (390, False)])
def test_the_puzzle_and_the_code_are_two_equal_ways(new_page, app, backend, width, beside):
    page = new_page(viewport={"width": width, "height": 900})
    scenario = Scenario(None, backend)
    page.goto(scenario.link_path(scenario.issue(LinkKind.DESK, scenario.anneliese)))
    field(page, "Ich bin kein Roboter").click()  # sends the form: what is checked is replaced
    page.locator(".kmz-puzzle").wait_for()
    one, other = (box(it) for it in page.locator(".kmz-columns > *:visible").all()[:2])
    assert (other["x"] > one["x"]) is beside
    assert abs(one["width"] - other["width"]) < 1


def test_the_dark_page_is_not_black_and_steps_up_to_its_header(page):
    page.goto("/anmelden")
    page.emulate_media(color_scheme="dark")
    ground, header = (
        page.locator(it).evaluate("it => getComputedStyle(it).backgroundColor") for it in ("body", "header")
    )
    assert ground != header and "oklch(0 " not in ground and "rgb(0, 0, 0)" not in ground


def test_a_list_to_choose_from_has_the_same_arrow_in_every_browser(desk_page):
    page = desk_page()
    page.goto("/kundenservice/protokoll")
    select = page.locator("main select").first
    assert select.evaluate("it => getComputedStyle(it).appearance") == "none"
    arrow = select.evaluate("it => getComputedStyle(it.parentElement, '::after').maskImage")
    assert "arrow-down.svg" in arrow


def test_the_help_of_the_login_page_stands_beside_its_form_where_there_is_room(page):
    page.goto("/anmelden")
    form, help = page.locator("#login-form"), page.locator("#login-form .kmz-beside")
    for width, beside in ((1280, True), (1024, False), (390, False)):
        page.set_viewport_size({"width": width, "height": 900})
        assert (box(help)["x"] >= box(form)["x"] + box(form)["width"]) is beside
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_address_breaks_at_its_signs_and_not_at_a_hyphen(new_page, erika):
    page = new_page(viewport=PHONE)
    log_in(page, erika.email, people.password_of(erika))
    parts = page.locator("main .kmz-whole", has_text="gms-musterstadt")
    assert parts.first.evaluate("it => it.getClientRects().length") == 1
    assert erika.email in page.locator("main").inner_text()
