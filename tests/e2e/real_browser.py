"""Somebody at a real browser, with the words of tests/browser.py, so that both can walk through tests/states.py."""

from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import Page, Response

from tests.e2e.hands import Keyboard, Mouse, button, field, link

#: Told before any script of the page runs, and not by it: how many swaps there were.
COUNT_SWAPS = "window.swaps = 0; addEventListener('htmx:after:swap', () => { window.swaps += 1; })"
SWAPPED = """(before) => new Promise((done) => {
  if (window.swaps > before) done(); else addEventListener("htmx:after:swap", done, { once: true }); })"""
LOST = """() => { const it = document.activeElement, outcome = document.querySelector("[data-outcome]");
  return it === document.body || !it.checkVisibility() || (outcome && it !== outcome) ? it.outerHTML : ""; }"""


class RealBrowser:
    def __init__(self, page: Page, hand: type[Mouse] | type[Keyboard] = Mouse, htmx: bool = True):
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
        self.hand.write(field(self.page, label), text)
        return self

    def check(self, label: str) -> "RealBrowser":
        box = field(self.page, label)
        sends = self.htmx and box.locator("xpath=ancestor::form[contains(@hx-trigger, 'change')]").count()
        if sends:
            return self._do(lambda: self.hand.tick(box))
        self.hand.tick(box)
        return self

    def press(self, label: str) -> "RealBrowser":
        found = button(self.page, label)
        found.evaluate("(it) => { it.disabled = false; }")  # nobody waits here until a mail can be sent again
        return self._do(lambda: self.hand.press(found))

    def submit(self, label: str, fields: dict[str, str]) -> "RealBrowser":
        for name, text in fields.items():
            self.fill_in(name, text)
        return self.press(label)

    def stale(self) -> "RealBrowser":
        forged = "document.querySelectorAll('[name=csrf_token]').forEach((it) => { it.value = 'veraltet'; })"
        self.page.evaluate(forged)
        return self

    def _do(self, act: Callable[[], None]) -> "RealBrowser":
        """Act, and wait until the page that comes of it stands, or what is swapped into this one."""
        loads, swaps = self.loads, self.page.evaluate("window.swaps")
        with self.page.expect_event("response", _is_the_last) as answer:
            act()
        if answer.value.request.resource_type != "document":
            self.page.evaluate(SWAPPED, swaps)
            assert not (lost := self.page.evaluate(LOST)), f"after the swap the focus is on {lost}"
        elif self.loads == loads:
            self.page.wait_for_event("load")
        return self


def _is_the_last(answer: Response) -> bool:
    return answer.request.resource_type in ("document", "fetch") and answer.status not in (204, 303)
