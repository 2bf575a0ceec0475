"""What a page weighs on the wire with everything it loads, at a first visit and afterwards."""

import re
import time
from collections import Counter

import pytest

from tests.browser import Browser
from tests.e2e.hands import cookies
from tests.states import WAYS, House

pytestmark = pytest.mark.browser

FIRST, AFTERWARDS, REQUESTS = 80_000, 10_000, 8
LONGEST = 10  # seconds that a page may take
PICTURE = re.compile(r"/konto-link/\d+/bild/")  # the puzzle's, which is another each time


#: A browser without windows asks for no icon, others ask when they please: it is asked for here, and counted once.
STANDS = """Promise.all([document.fonts.ready, fetch(document.querySelector("link[type='image/svg+xml']").href)])
  .then(() => null)"""


class Scales:
    """A browser that has never been here, as often as it is emptied, and counts what comes over the wire."""

    def __init__(self, page):
        self.page = page
        self.kept, self.asked = Counter(), {}
        self.wire = page.context.new_cdp_session(page)
        self.wire.on("Network.requestWillBeSent", self._ask)
        self.wire.on("Network.loadingFinished", self._finish)
        self.wire.on("Network.loadingFailed", self._finish)
        self.wire.send("Network.enable")

    def _ask(self, event):
        self.asked[event["requestId"]] = event["request"]["url"]

    def _finish(self, event):
        url = self.asked.pop(event["requestId"], "")
        if url and not PICTURE.search(url):
            self.kept[url] += event.get("encodedDataLength", 0)

    def empty(self, cookies):
        """Be somebody else, who has nothing but these cookies."""
        self.wire.send("Network.clearBrowserCache")
        self.page.context.clear_cookies()
        self.page.context.add_cookies(cookies)

    def weigh(self, path):
        self.kept.clear()
        self.asked.clear()
        self.page.goto(path)
        self.page.evaluate(STANDS)
        until = time.monotonic() + LONGEST
        while self.asked:  # until what is on its way has come
            assert time.monotonic() < until, f"does not come: {list(self.asked.values())}"
            self.page.evaluate("null")
        return self.kept.total(), len(self.kept)


@pytest.mark.parametrize("way", WAYS)
def test_no_page_is_heavy(way, app, backend, page):
    heavy, seen, scales = {}, set(), Scales(page)
    for name, browser in way(House(lambda: Browser(app), backend)):
        kind = re.sub(r"\d+|/link/.*", "", browser.path)
        if kind in seen or browser.status == 405:
            continue
        seen.add(kind)
        scales.empty(cookies(browser))
        first, requests = scales.weigh(browser.path)
        then, _ = scales.weigh(browser.path)
        if first > FIRST or then > AFTERWARDS or requests > REQUESTS:
            heavy[name] = first, then, requests
    assert seen and heavy == {}
