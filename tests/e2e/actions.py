"""What people do on a page, by mouse or by keyboard alone, and how tests find the parts of a page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from playwright.sync_api import Locator, Page, expect

from kmzportal.robot_check.puzzle import ANSWERS, Puzzles
from tests import people
from tests.browser import Browser

MOST_TABS = 60
WARNED_AFTER = 28 * 60  # seconds without a request, until the page asks whether its reader is still there
#: Whether the focus is on the target, and its fault: it must be in view, and visible on the element or its label.
FOCUS = """(target) => { const it = document.activeElement, label = it.closest("label") ?? it;
  return [it === target, it === document.body ? "" : fault()]; // body: between the end of the page and its beginning
  function fault() {
    const styles = [it, label].map((one) => getComputedStyle(one));
    const look = () => styles.map((css) => css.outline + css.boxShadow + css.border).join();
    const focused = look(), box = label.getBoundingClientRect();
    it.blur(); const blurred = look(); it.focus();
    if (focused === blurred || focused !== look()) return "is invisible: " + it.outerHTML;
    const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return inside ? "" : "is out of view: " + it.outerHTML;
  } }"""


class Mouse:
    def __init__(self, page: Page):
        self.page = page

    def press(self, target: Locator) -> None:
        target.click()

    check = press

    def fill(self, field: Locator, text: str) -> None:
        field.fill(text)


class TypingMouse(Mouse):
    """For Firefox, where Playwright's `fill` appends to what is in the field."""

    def fill(self, field: Locator, text: str) -> None:
        field.select_text()
        if text:
            field.press_sequentially(text)
        else:
            field.press("Delete")


class Keyboard:
    """Tab, Space, Enter and letters only; the focus must be visible at every stop."""

    def __init__(self, page: Page):
        self.page = page

    def press(self, target: Locator) -> None:
        self.tab_to(target)
        self.page.keyboard.press("Enter")

    def check(self, target: Locator) -> None:
        """Tick a box, or choose among radio buttons: Tab reaches the first of them, arrows the others."""
        if target.get_attribute("type") == "radio":
            self.tab_to(self.page.locator(f"[type=radio][name='{target.get_attribute('name')}']").first)
            self.page.keyboard.press("Space")
            while not target.is_checked():
                self.page.keyboard.press("ArrowDown")
            return
        self.tab_to(target)
        self.page.keyboard.press("Space")

    def fill(self, field: Locator, text: str) -> None:
        self.tab_to(field)  # Tab selects the text in the field
        self.page.keyboard.type(text)

    def tab_to(self, target: Locator) -> None:
        expect(target).to_be_enabled()
        element = target.element_handle()
        reached = element.evaluate("(it) => it === document.activeElement")
        for _ in range(MOST_TABS):
            if reached:
                return
            self.page.keyboard.press("Tab")
            reached, fault = self.page.evaluate(FOCUS, element)
            assert not fault, f"the focus {fault}"
        raise AssertionError(f"the keyboard does not reach {target}")


@contextmanager
def in_place(page: Page) -> Iterator[None]:
    """Fail if a page is loaded meanwhile."""
    page.evaluate("window.notReloaded = true")
    yield
    assert page.evaluate("window.notReloaded"), f"a page was loaded: {page.url}"


def heading(page: Page, text: str) -> Locator:
    return page.get_by_role("heading", name=text, exact=True, level=1)


def field(page: Page, label: str) -> Locator:
    return page.get_by_label(label, exact=True)


def button(page: Page, label: str) -> Locator:
    return page.get_by_role("button", name=label, exact=True)


def link(page: Page, label: str) -> Locator:
    return page.get_by_role("link", name=label, exact=True)


def refusal(page: Page) -> Locator:
    """The error summary above the form."""
    return page.locator("[data-refused]")


def notice(page: Page, text: str) -> Locator:
    """The box that confirms what was done."""
    return page.locator("[data-outcome]").filter(has_text=text)


def whole(page: Page, title: str) -> None:
    """Wait for one whole page with this heading: header, content and footer, once each."""
    heading(page, title).wait_for()
    expect(page.locator("h1, header, main, footer")).to_have_count(4)
    expect(page.locator("body > header ~ main:has(h1) ~ footer")).to_have_count(1)


def dialog(page: Page) -> Locator:
    """The question before a session ends."""
    return page.get_by_role("alertdialog")


def log_in(page: Page, email: str, password: str, then: str = "Einstellungen") -> None:
    """Open the login page, unless it is open, and log in; `then` is the heading of the next page."""
    if urlsplit(page.url).path != "/anmelden":
        page.goto("/anmelden")
    field(page, "E-Mail-Adresse").fill(email)
    field(page, "Passwort").fill(password)
    button(page, "Anmelden").click()
    whole(page, then)


def set_password(page: Page) -> None:
    """Fill in a new password twice."""
    field(page, "Passwort").fill(people.NEW_PASSWORD)
    field(page, "Wdh. Passwort").fill(people.NEW_PASSWORD)


def register(page: Page, email: str) -> None:
    """Go from the passed robot check of the desk's link to a login."""
    link(page, "Konto bearbeiten").click()
    set_password(page)
    button(page, "Registrieren").click()
    whole(page, "Fertig")
    log_in(page, email, people.NEW_PASSWORD)


def open_account(page: Page, password: str) -> None:
    """Open Konto anpassen, up to the form with the personal data."""
    link(page, "Konto anpassen").click()
    field(page, "Aktuelles Passwort").fill(password)
    button(page, "Weiter").click()
    expect(field(page, "Telefon")).to_be_visible()


def right_tiles(page: Page, app: Flask) -> list[int]:
    """Return the numbers of the right pictures of the puzzle that is shown, with the server's key."""
    puzzles, now = Puzzles(app.config["SECRET_KEY"].encode()), datetime.now(UTC)
    token = page.locator("input[name=puzzle]").input_value()
    bound_to = f"link:{re.findall(r'/konto-link/([0-9]+)', page.url)[0]}"
    solved = (tiles for tiles in ANSWERS if puzzles.solved_by(token, set(tiles), bound_to, now))
    return [tile + 1 for tile in next(solved)]


def add_session(page: Page, app: Flask, token: str) -> None:
    """Use the login session with this token."""
    page.context.add_cookies(cookies(Browser(app).come_in(token)))


def cookies(browser: Browser) -> list[dict[str, Any]]:
    """Return the cookie of the simulated browser for a real one."""
    name = browser.client.application.config["SESSION_COOKIE_NAME"]
    kept = browser.client.get_cookie(name, urlsplit(browser.site).hostname)
    flags = {"path": "/", "httpOnly": True, "secure": False, "sameSite": "Lax", "expires": -1}
    return [{"name": name, "value": kept.value, "domain": urlsplit(browser.site).hostname, **flags}] if kept else []
