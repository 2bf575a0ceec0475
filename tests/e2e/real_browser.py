"""Somebody at a real browser, with the words of tests/browser.py, so that both can walk through tests/states.py."""

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask
from playwright.sync_api import Page, Response

from tests.e2e.hands import Keyboard, Mouse, button, come_in, field, link

#: Told before any script of the page runs, and not by it: how many swaps there were.
COUNT_SWAPS = """window.swaps = 0; addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.sourceElement.id === "time-left" || ctx.sourceEvent?.type === "every") return; // the page asked by itself
  window.swaps += 1; dispatchEvent(new Event("swapped")); })"""
SWAPPED = """(before) => new Promise((done) => {
  if (window.swaps > before) done(); else addEventListener("swapped", done, { once: true }); })"""
LOST = """() => { const it = document.activeElement, outcome = document.querySelector("[data-outcome]");
  return it === document.body || !it.checkVisibility() || (outcome && it !== outcome) ? it.outerHTML : ""; }"""

#: Who still writes is not interrupted.
STOLEN = "() => document.activeElement.matches('input') ? '' : document.activeElement.outerHTML"


class RealBrowser:
    def __init__(self, app: Flask, page: Page, hand: type[Mouse] | type[Keyboard] = Mouse, htmx: bool = True):
        self.app = app
        self.page = page
        self.hand = hand(page)
        self.htmx = htmx
        self.loads = 0
        page.add_init_script(COUNT_SWAPS)
        page.on("load", self._count)

    def _count(self, _: Page) -> None:
        self.loads += 1

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def open(self, path: str) -> "RealBrowser":
        self.page.goto(path)
        return self

    def follow(self, label: str) -> "RealBrowser":
        return self._do(lambda: self.hand.press(link(self.page, label)))

    def fill_in(self, label: str, text: str) -> "RealBrowser":
        found = field(self.page, label)
        if self.htmx and found.locator(asking("input")).count():
            self._do(lambda: found.fill(text), STOLEN)  # at once, so that it is asked for once
            return self
        self.hand.write(found, text)
        return self

    def check(self, label: str) -> "RealBrowser":
        box = field(self.page, label)
        if self.htmx and box.locator(asking("change")).count():
            return self._do(lambda: self.hand.tick(box))
        self.hand.tick(box)
        return self

    def press(self, label: str) -> "RealBrowser":
        found = button(self.page, label)
        if not found.count():
            self._unfold()
        if found.is_disabled():  # nobody waits here until a mail can be sent again
            return self._do(lambda: found.evaluate("(it) => { it.disabled = false; it.click(); }"))
        return self._do(lambda: self.hand.press(found))

    def submit(self, label: str, fields: dict[str, str]) -> "RealBrowser":
        for name, text in fields.items():
            self.fill_in(name, text)
        return self.press(label)

    def read(self, tag: str) -> str:
        return self.page.locator(tag).first.inner_text()

    def come_in(self, token: str) -> "RealBrowser":
        come_in(self.page, self.app, token)
        return self

    def stale(self) -> "RealBrowser":
        forged = "document.querySelectorAll('[name=csrf_token]').forEach((it) => { it.value = 'veraltet'; })"
        self.page.evaluate(forged)
        return self

    def _unfold(self) -> None:
        folded = self.page.locator("details:not([open]) > summary")
        while folded.count():
            folded.first.click()

    def _do(self, act: Callable[[], None], wrong_focus: str = LOST) -> "RealBrowser":
        """Act, and wait until the page that comes of it stands, or what is swapped into this one."""
        loads, swaps = self.loads, self.page.evaluate("window.swaps")
        with self.page.expect_event("response", _is_the_last) as answer:
            act()
        if answer.value.request.resource_type != "document":
            self.page.evaluate(SWAPPED, swaps)
            assert not (lost := self.page.evaluate(wrong_focus)), f"after the swap the focus is on {lost}"
        elif self.loads == loads:
            self.page.wait_for_event("load")
        return self


def asking(event: str) -> str:
    """Find the field, or its form, that htmx sends whenever the field is written in."""
    return f"xpath=ancestor-or-self::*[self::form or self::input][contains(@hx-trigger, '{event}')]"


def _is_the_last(answer: Response) -> bool:
    by_itself = answer.url.partition("?")[0].endswith(("/sitzung", "/liste"))  # what the page asks for, not its reader
    return answer.request.resource_type in ("document", "fetch") and answer.status not in (204, 303) and not by_itself
