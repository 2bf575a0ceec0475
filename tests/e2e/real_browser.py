"""A real browser with the methods of the simulated one in tests/browser.py, so that both can run the flows."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from flask import Flask
from playwright.sync_api import Error, Page, Response, expect

from tests import people
from tests.e2e.actions import Keyboard, Mouse, add_session, button, field, link
from tests.states import FLOWS, Scenario, State, mailbox_outage_flow

#: Counts the swaps of htmx, but for those of polls; added before any script of the page runs.
COUNT_SWAPS = """window.swaps = 0; addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.sourceElement.id === "time-left" || ctx.sourceEvent?.type === "every") return;
  window.swaps += 1; dispatchEvent(new Event("swapped")); })"""
SWAPPED = """(before) => new Promise((done) => {
  if (window.swaps > before) done(); else addEventListener("swapped", done, { once: true }); })"""
LOST = """() => { const it = document.activeElement, outcome = document.querySelector("[data-outcome]");
  return it === document.body || !it.checkVisibility() || (outcome && it !== outcome) ? it.outerHTML : ""; }"""

#: While a reader types, the focus stays in the field.
STOLEN = "() => document.activeElement.matches('input') ? '' : document.activeElement.outerHTML"


class RealBrowser:
    def __init__(self, app: Flask, page: Page, hands: type[Mouse] | type[Keyboard] = Mouse, htmx: bool = True):
        self.app = app
        self.page = page
        self.hands = hands(page)
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

    @property
    def text(self) -> str:
        """What is visible on the page."""
        return self.page.locator("body").inner_text()

    def back(self) -> "RealBrowser":
        self.page.go_back()
        return self

    def until(self, met: Callable[[], bool], within: float = 15) -> None:
        """Wait until the condition is met, at most `within` seconds."""
        deadline = time.monotonic() + within
        while not met():
            assert time.monotonic() < deadline, self.text
            self.page.wait_for_timeout(100)

    def follow(self, label: str) -> "RealBrowser":
        return self._do(lambda: self.hands.press(link(self.page, label)))

    def fill_in(self, label: str, text: str) -> "RealBrowser":
        found = field(self.page, label)
        if not found.is_visible():
            self._unfold()
        if self.htmx and found.locator(sent_at("input")).count():
            self._do(lambda: found.fill(text), STOLEN)  # in one go, so that htmx sends one request
            return self
        self.hands.fill(found, text)
        return self

    def check(self, label: str) -> "RealBrowser":
        box = field(self.page, label)
        if self.htmx and box.locator(sent_at("change")).count():
            return self._do(lambda: self.hands.check(box))
        self.hands.check(box)
        return self

    def press(self, label: str) -> "RealBrowser":
        found = button(self.page, label)
        if not found.count():
            self._unfold()
        if found.is_disabled():  # for a minute after a mail was sent
            return self._do(lambda: found.evaluate("(it) => { it.disabled = false; it.click(); }"))
        return self._do(lambda: self.hands.press(found))

    def submit(self, label: str, fields: dict[str, str]) -> "RealBrowser":
        for name, text in fields.items():
            self.fill_in(name, text)
        return self.press(label)

    def read(self, tag: str) -> str:
        return self.page.locator(tag).first.inner_text()

    def come_in(self, token: str) -> "RealBrowser":
        add_session(self.page, self.app, token)
        return self

    def stale(self) -> "RealBrowser":
        forged = "document.querySelectorAll('[name=csrf_token]').forEach((it) => { it.value = 'veraltet'; })"
        self.page.evaluate(forged)
        return self

    def _is_loaded(self) -> bool:
        """Return whether another page than that of the last act is loaded."""
        with suppress(Error):  # while the browser changes from one to the other
            return bool(self.page.evaluate("!window.left && document.readyState === 'complete'"))
        return False

    def _unfold(self) -> None:
        folded = self.page.locator("details:not([open]) > summary")
        while folded.count():
            folded.first.click()

    def _do(self, act: Callable[[], None], wrong_focus: str = LOST) -> "RealBrowser":
        """Act, and wait until the next page is loaded or a fragment is swapped into this one."""
        loads, swaps = self.loads, self.page.evaluate("window.left = true; window.swaps")
        with self.page.expect_event("response", _is_the_last) as answer:
            act()
        if answer.value.request.resource_type != "document":
            self.page.evaluate(SWAPPED, swaps)
            assert not (lost := self.page.evaluate(wrong_focus)), f"after the swap the focus is on {lost}"
        elif self.loads == loads:  # Firefox does not always tell of the load
            self.until(self._is_loaded)
        return self


def sent_at(event: str) -> str:
    """Return the XPath from a field to itself or its form, if htmx sends it at this event."""
    return f"xpath=ancestor-or-self::*[self::form or self::input][contains(@hx-trigger, '{event}')]"


def _is_the_last(answer: Response) -> bool:
    poll = answer.url.partition("?")[0].endswith(("/sitzung", "/liste"))  # polls of the page
    return answer.request.resource_type in ("document", "fetch") and answer.status not in (204, 303) and not poll


def failure_flow(scenario: Scenario) -> Iterator[State]:
    """States that only a real browser in front of a served portal reaches: no network, and an error of the server."""
    browser = scenario.new_browser().open("/passwort-vergessen")
    if browser.htmx:  # without JavaScript the browser shows a page of its own
        browser.fill_in("E-Mail-Adresse", scenario.erika.email)
        browser.page.context.set_offline(True)
        browser.hands.press(button(browser.page, "Link anfordern"))
        expect(browser.page.locator("#meldung")).to_contain_text("Keine Verbindung.")
        yield "passwort-vergessen/offline", browser
    browser = scenario.log_in(scenario.erika).open("/einstellungen/daten")
    browser.submit("Weiter", {"Aktuelles Passwort": people.password_of(scenario.erika)})
    mail = scenario.backend.run(lambda tx, person: tx.send("password_changed", person), scenario.erika)
    scenario.set(mail, state="no state that exists")
    yield "fehler/500", browser.open("/einstellungen/daten")


ALL_FLOWS = (*(flow for flow in FLOWS if flow is not mailbox_outage_flow), failure_flow)
