"""How people use a page: with a mouse, or with the keyboard alone; and what they do on many pages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from playwright.sync_api import Locator, Page, expect

from kmzportal.robot_check.puzzle import ANSWERS, Puzzles
from tests.browser import Browser

TABS_AT_MOST = 60
#: What is wrong with the focus, in words: it must look different from the same element, or its label, without it.
FOCUS = """() => { const it = document.activeElement, label = it.closest("label") ?? it;
  if (it === document.body) return ""; // between the end of the page and its beginning
  const styles = [it, label].map((one) => getComputedStyle(one));
  const look = () => styles.map((css) => css.outline + css.boxShadow + css.border).join();
  const focused = look(), box = label.getBoundingClientRect();
  it.blur(); const blurred = look(); it.focus();
  if (focused === blurred || focused !== look()) return "cannot be seen: " + it.outerHTML;
  const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return inside ? "" : "is out of sight: " + it.outerHTML; }"""


class Mouse:
    def __init__(self, page: Page):
        self.page = page

    def press(self, thing: Locator) -> None:
        thing.click()

    tick = press

    def write(self, field: Locator, text: str) -> None:
        field.fill(text)


class Keyboard:
    """Tab, Space, Enter and letters; where the focus is can be seen at every stop."""

    def __init__(self, page: Page):
        self.page = page

    def press(self, thing: Locator) -> None:
        self.go_to(thing)
        self.page.keyboard.press("Enter")

    def tick(self, thing: Locator) -> None:
        self.go_to(thing)
        self.page.keyboard.press("Space")

    def write(self, field: Locator, text: str) -> None:
        self.go_to(field)  # Tab selects what stands there
        self.page.keyboard.type(text)

    def go_to(self, thing: Locator) -> None:
        expect(thing).to_be_enabled()
        for _ in range(TABS_AT_MOST):
            if thing.evaluate("(it) => it === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
            assert not (fault := self.page.evaluate(FOCUS)), f"the focus {fault}"
        raise AssertionError(f"the keyboard does not get to {thing}")


@contextmanager
def in_place(page: Page) -> Iterator[None]:
    """What happens within happens without loading a page."""
    page.evaluate("window.stillThere = true")
    yield
    assert page.evaluate("window.stillThere"), f"a page was loaded: {page.url}"


def heading(page: Page, text: str) -> Locator:
    return page.get_by_role("heading", name=text, exact=True, level=1)


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


def button(page: Page, label: str) -> Locator:
    return page.get_by_role("button", name=label, exact=True)


def link(page: Page, label: str) -> Locator:
    return page.get_by_role("link", name=label, exact=True)


def refusal(page: Page) -> Locator:
    """The box that says what is wrong, above the form."""
    return page.locator("[data-refused]")


def notice(page: Page, text: str) -> Locator:
    """The box that says what was done."""
    return page.locator("[data-outcome]").filter(has_text=text)


def whole(page: Page, title: str) -> None:
    """See one whole page with this heading: header, content and footer, once each."""
    heading(page, title).wait_for()
    expect(page.locator("h1, header, main, footer")).to_have_count(4)
    expect(page.locator("body > header ~ main:has(h1) ~ footer")).to_have_count(1)


def log_in(page: Page, email: str, password: str) -> None:
    page.goto("/anmelden")
    field(page, "E-Mail-Adresse").fill(email)
    field(page, "Passwort").fill(password)
    button(page, "Anmelden").click()
    whole(page, "Einstellungen")


def open_account(page: Page, password: str) -> None:
    """Konto anpassen, up to the form with the personal data."""
    link(page, "Konto anpassen").click()
    field(page, "Aktuelles Passwort").fill(password)
    button(page, "Weiter").click()
    expect(field(page, "Telefon")).to_be_visible()


def right_tiles(page: Page, app: Flask) -> list[int]:
    """Return the numbers of the right pictures of the puzzle that is shown, as only the server can know."""
    puzzles, now = Puzzles(app.config["SECRET_KEY"].encode()), datetime.now(UTC)
    token = page.locator("input[name=puzzle]").input_value()
    bound_to = f"link:{re.findall(r'/konto-link/([0-9]+)', page.url)[0]}"
    solved = (tiles for tiles in ANSWERS if puzzles.solved_by(token, set(tiles), bound_to, now))
    return [tile + 1 for tile in next(solved)]


def come_in(page: Page, app: Flask, token: str) -> None:
    """Be whoever the session with this token belongs to."""
    page.context.add_cookies(cookies(Browser(app).come_in(token)))


def cookies(browser: Browser) -> list[dict[str, Any]]:
    """Return what the simulated browser carries as a real one would."""
    name = browser.client.application.config["SESSION_COOKIE_NAME"]
    kept = browser.client.get_cookie(name, urlsplit(browser.site).hostname)
    flags = {"path": "/", "httpOnly": True, "secure": False, "sameSite": "Lax", "expires": -1}
    return [{"name": name, "value": kept.value, "domain": urlsplit(browser.site).hostname, **flags}] if kept else []
