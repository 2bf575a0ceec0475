"""What a page weighs on the wire with everything it loads, at a first visit and afterwards."""

import re

import pytest

from tests.browser import Browser
from tests.e2e.real_browser import cookies
from tests.states import WAYS, House

pytestmark = pytest.mark.browser

FIRST, AFTERWARDS, REQUESTS = 80_000, 10_000, 8
PICTURE = re.compile(r"/konto-link/\d+/bild/")  # the puzzle's, which is another each time


class Scales:
    """A browser that has never been here, and counts what comes over the wire."""

    def __init__(self, page):
        self.page = page
        self.kept = {}
        wire = page.context.new_cdp_session(page)
        wire.on("Network.responseReceived", self._start)
        wire.on("Network.loadingFinished", self._finish)
        wire.send("Network.enable")

    def _start(self, event):
        if not PICTURE.search(event["response"]["url"]):
            self.kept[event["requestId"]] = 0

    def _finish(self, event):
        if event["requestId"] in self.kept:
            self.kept[event["requestId"]] = event["encodedDataLength"]

    def weigh(self, path, until):
        self.kept.clear()
        self.page.goto(path, wait_until=until)
        return sum(self.kept.values()), len(self.kept)


@pytest.mark.parametrize("way", WAYS)
def test_no_page_is_heavy(way, app, deeds, computer):
    heavy, seen = {}, set()
    for name, browser in way(House(lambda: Browser(app), deeds)):
        page = re.sub(r"\d+|/link/.*", "", browser.path)
        if page in seen or browser.status == 405:
            continue
        seen.add(page)
        scales = Scales(computer(storage_state={"cookies": cookies(browser)}))
        first, requests = scales.weigh(browser.path, "networkidle")
        then, _ = scales.weigh(browser.path, "load")
        if first > FIRST or then > AFTERWARDS or requests > REQUESTS:
            heavy[name] = first, then, requests
        scales.page.close()
    assert seen and heavy == {}
