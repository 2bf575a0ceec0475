"""How people use a page: with a mouse, or with the keyboard alone; and what they do on many pages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from flask import Flask
from playwright.sync_api import Locator, Page, expect

from kmzportal.robot_check.puzzle import ANSWERS, Puzzles

TABS_AT_MOST = 60
#: What tells a focused element from the same one without focus, on itself or on its label.
LOOK = """(it) => { const look = () => [it, it.closest("label") ?? it].map((one) => {
  const { outline, boxShadow, border } = getComputedStyle(one); return outline + boxShadow + border; }).join();
  const focused = look(); it.blur(); const blurred = look(); it.focus(); return [focused, blurred, look()]; }"""
SEEN = """(it) => { const box = (it.closest("label") ?? it).getBoundingClientRect();
  return box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth; }"""


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
            self._sees_focus()
        raise AssertionError(f"the keyboard does not get to {thing}")

    def _sees_focus(self) -> None:
        focus = self.page.locator("*:focus")
        if focus.count():  # none: between the end of the page and its beginning
            focused, blurred, again = focus.evaluate(LOOK)
            assert focused == again != blurred, f"focus cannot be seen: {focus.evaluate('(it) => it.outerHTML')}"
            assert focus.evaluate(SEEN), f"focus is out of sight: {focus.evaluate('(it) => it.outerHTML')}"


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


def whole(page: Page, title: str) -> None:
    """See one whole page with this heading: header, content and footer, once each."""
    expect(heading(page, title)).to_be_visible()
    expect(page.locator("h1")).to_have_count(1)
    for landmark in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)


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
    token = page.locator("input[name=puzzle]").input_value()
    bound_to = f"link:{re.findall(r'/konto-link/([0-9]+)', page.url)[0]}"
    puzzles, now = Puzzles(app.config["SECRET_KEY"].encode()), datetime.now(UTC)
    return next([tile + 1 for tile in tiles] for tiles in ANSWERS if puzzles.solved_by(token, set(tiles), bound_to, now))
