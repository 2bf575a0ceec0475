"""WebKitGTK with the methods of tests/e2e/real_browser.py.

It is driven by WebDriver (W3C), because Playwright drives only builds of its own.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from selenium.webdriver import WebKitGTK
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

from tests.browser import Browser
from tests.e2e.actions import cookies

MINI_BROWSER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser"
WAIT = 15  # seconds
#: Counts the swaps of htmx but for those of polls; a new page has no such number.
COUNT = """if (window.swaps === undefined) addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.sourceElement.id !== "time-left" && ctx.sourceEvent?.type !== "every") window.swaps += 1; });
window.swaps = 0;"""
ANSWERED = "return document.readyState === 'complete' && (window.swaps === undefined || window.swaps > 0)"
LABELLED = """const [text] = arguments;
for (const label of document.querySelectorAll("label")) {
  const own = [...label.childNodes].filter((it) => !it.matches?.("input")).map((it) => it.textContent).join("");
  if (own.trim() === text && label.control) return label.control; }"""
UNFOLD = "document.querySelectorAll('details').forEach((it) => { it.open = true; })"


@contextmanager
def screen() -> Iterator[str]:
    """Yield the name of a virtual X screen: WebKitGTK has no mode without windows."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    try:
        with os.fdopen(read) as numbers:
            yield f":{numbers.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def missing() -> list[str]:
    """Return the programs that are not there."""
    return [name for name in ("Xvfb", "WebKitWebDriver", MINI_BROWSER) if not shutil.which(name)]


@contextmanager
def driver(display: str) -> Iterator[WebKitGTK]:
    """Yield a browser with a profile of its own."""
    options = Options()
    options.binary_location = MINI_BROWSER
    options.add_argument("--automation")
    environment = os.environ | {"DISPLAY": display, "LANGUAGE": "de"}
    started = WebKitGTK(options=options, service=Service(shutil.which("WebKitWebDriver"), env=environment))
    try:
        yield started
    finally:
        started.quit()


class WebKitBrowser:
    htmx = True

    def __init__(self, app: Flask, driver: WebKitGTK, site: str):
        self.app, self.driver, self.site = app, driver, site

    @property
    def path(self) -> str:
        return urlsplit(self.driver.current_url).path

    @property
    def text(self) -> str:
        """What is visible on the page."""
        return self.driver.find_element("tag name", "body").text

    def open(self, path: str) -> "WebKitBrowser":
        self.driver.get(self.site + path)
        return self

    def back(self) -> "WebKitBrowser":
        self.driver.back()
        return self

    def follow(self, label: str) -> "WebKitBrowser":
        return self._press(self._named("a", label))

    def press(self, label: str) -> "WebKitBrowser":
        return self._press(self._named("button", label))

    def fill_in(self, label: str, text: str) -> "WebKitBrowser":
        found = self._labelled(label)
        sends = found.get_attribute("hx-get") or self._form_of(found).get_attribute("hx-get")

        def fill() -> None:
            self._bring_into_view(found)
            found.clear()
            if text:
                found.send_keys(text)

        if sends:
            return self._do(fill)
        fill()
        return self

    def check(self, label: str) -> "WebKitBrowser":
        box = self._labelled(label)
        if "change" in (self._form_of(box).get_attribute("hx-trigger") or ""):
            return self._press(box)
        self._click(box)
        return self

    def submit(self, label: str, fields: dict[str, str]) -> "WebKitBrowser":
        for name, text in fields.items():
            self.fill_in(name, text)
        return self.press(label)

    def read(self, tag: str) -> str:
        return self.driver.find_element("css selector", tag).text

    def come_in(self, token: str) -> "WebKitBrowser":
        """Use the login session with this token. WebDriver sets cookies only for the page that is open."""
        self.open("/leichte-sprache")
        for cookie in cookies(Browser(self.app).come_in(token)):
            cookie.pop("expires")
            self.driver.add_cookie(cookie)
        return self

    def stale(self) -> "WebKitBrowser":
        self.driver.execute_script(
            "document.querySelectorAll('[name=csrf_token]').forEach((it) => { it.value = 'x'; })"
        )
        return self

    def until(self, met: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, WAIT).until(lambda _: met())

    def _labelled(self, label: str) -> WebElement:
        found = self.driver.execute_script(LABELLED, label)
        assert found, f"no field {label} on {self.path}"
        if not found.is_displayed():
            self.driver.execute_script(UNFOLD)
        return found

    def _named(self, tag: str, label: str) -> WebElement:
        found = self.driver.find_elements("xpath", f"//{tag}[normalize-space()='{label}']")
        assert found, f"no {label} on {self.path}"
        if not found[0].is_displayed():
            self.driver.execute_script(UNFOLD)
        return found[0]

    def _form_of(self, field: WebElement) -> WebElement:
        return field.find_element("xpath", "ancestor::form")

    def _bring_into_view(self, target: WebElement) -> None:
        """The driver does not scroll; a button may be disabled for a minute after a mail was sent."""
        script = "arguments[0].disabled = false; arguments[0].scrollIntoView({ block: 'center', behavior: 'instant' })"
        self.driver.execute_script(script, target)

    def _click(self, target: WebElement) -> None:
        self._bring_into_view(target)
        target.click()

    def _press(self, target: WebElement) -> "WebKitBrowser":
        return self._do(lambda: self._click(target))

    def _do(self, act: Callable[[], None]) -> "WebKitBrowser":
        """Act, and wait until the next page is loaded or a fragment is swapped into this one."""
        self.driver.execute_script(COUNT)
        act()
        self.until(lambda: self.driver.execute_script(ANSWERED))
        return self
