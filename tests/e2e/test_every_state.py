"""Every page in every state in a real browser: by keyboard, accessible, without JavaScript, and within its weight."""

import re
import time
from collections import Counter

import pytest

from tests.browser import Browser
from tests.e2e.accessibility import faults, faults_of_other_looks
from tests.e2e.actions import Keyboard, Mouse, cookies
from tests.e2e.real_browser import ALL_FLOWS, RealBrowser, failure_flow
from tests.states import FLOWS, Scenario, desk_flow, login_flow

pytestmark = pytest.mark.browser

FIRST_VISIT, NEXT_VISIT, REQUESTS = 80_000, 10_000, 8  # bytes on the network, bytes, number
REQUESTS_OF_OTHERS = 9  # than the login page: icons, and the offer of a passkey
OF_DESK, REQUESTS_OF_DESK = 90_000, 12  # clerks come every day, and their pages have more icons
LOADED_WITHIN = 10  # seconds
PICTURE = re.compile(r"/bild/|/handreichung/")  # of the puzzle, another one each time; for paper
#: A browser without windows requests no icon, others at any time: it is requested here and counted once.
LOAD_ALL = """Promise.all([document.fonts.ready, fetch(document.querySelector("link[type='image/svg+xml']").href)])
  .then(() => null)"""


#: One way of customers and one of the desk are in `make test`, all by keyboard in the trial: Tab is pressed often.
LATER = [(flow, Keyboard) for flow in ALL_FLOWS if flow is not login_flow]


@pytest.mark.parametrize(
    ("flow", "hands"),
    [(login_flow, Keyboard), (desk_flow, Mouse)] + [pytest.param(*later, marks=pytest.mark.trial) for later in LATER],
)
def test_every_state_is_reached_and_is_accessible(flow, hands, app, new_page, backend):
    scenario = Scenario(lambda: RealBrowser(app, new_page(), hands), backend)
    found = {name: faults(browser.page) for name, browser in flow(scenario)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


#: The looks come from one style sheet: in `make test` one flow, in the trial all.
@pytest.mark.parametrize(
    "flow",
    [flow if flow is login_flow else pytest.param(flow, marks=pytest.mark.trial) for flow in ALL_FLOWS],
)
def test_every_state_is_accessible_in_every_look(flow, app, new_page, backend):
    scenario = Scenario(lambda: RealBrowser(app, new_page()), backend)
    found = {name: faults_of_other_looks(browser.page) for name, browser in flow(scenario)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


#: The others are in the trial: the tests of tests/web use every page without JavaScript.
WITHOUT_JAVASCRIPT = (login_flow, failure_flow)


@pytest.mark.parametrize(
    "flow", [flow if flow in WITHOUT_JAVASCRIPT else pytest.param(flow, marks=pytest.mark.trial) for flow in ALL_FLOWS]
)
def test_every_state_is_reached_without_javascript(flow, app, new_page, backend):
    scenario = Scenario(lambda: RealBrowser(app, new_page(java_script_enabled=False), htmx=False), backend)
    for _, browser in flow(scenario):
        assert browser.page.locator("h1").is_visible()


class Transfer:
    """Counts the bytes and the requests of a page through the developer tools' protocol."""

    def __init__(self, page):
        self.page = page
        self.bytes, self.open_requests = Counter(), {}
        self.network = page.context.new_cdp_session(page)
        self.network.on("Network.requestWillBeSent", self._start)
        self.network.on("Network.loadingFinished", self._finish)
        self.network.on("Network.loadingFailed", self._finish)
        self.network.send("Network.enable")

    def _start(self, event):
        self.open_requests[event["requestId"]] = event["request"]["url"]

    def _finish(self, event):
        url = self.open_requests.pop(event["requestId"], "")
        if url and not PICTURE.search(url):
            self.bytes[url] += event.get("encodedDataLength", 0)

    def forget(self, cookies):
        """Empty the cache and have only these cookies."""
        self.network.send("Network.clearBrowserCache")
        self.page.context.clear_cookies()
        self.page.context.add_cookies(cookies)

    def measure(self, path):
        """Open the page; return the bytes and the number of URLs."""
        self.bytes.clear()
        self.open_requests.clear()
        self.page.goto(path)
        self.page.evaluate(LOAD_ALL)
        deadline = time.monotonic() + LOADED_WITHIN
        while self.open_requests:
            assert time.monotonic() < deadline, f"not loaded: {list(self.open_requests.values())}"
            self.page.evaluate("null")
        return self.bytes.total(), len(self.bytes)


@pytest.mark.parametrize(
    "flow", [login_flow, *(pytest.param(flow, marks=pytest.mark.trial) for flow in FLOWS if flow is not login_flow)]
)
def test_no_page_transfers_more_than_its_limit(flow, app, backend, page):
    heavy, seen, transfer = {}, set(), Transfer(page)
    for name, browser in flow(Scenario(lambda: Browser(app), backend)):
        kind = re.sub(r"\d+|/link/.*", "", browser.path)
        if kind in seen or browser.status == 405:
            continue
        seen.add(kind)
        transfer.forget(cookies(browser))
        first, requests = transfer.measure(browser.path)
        following, _ = transfer.measure(browser.path)
        of_desk = browser.path.startswith("/kundenservice/") or "/zugang/" in browser.path
        requests_allowed = REQUESTS if browser.path == "/anmelden" else REQUESTS_OF_OTHERS
        most = (OF_DESK, NEXT_VISIT, REQUESTS_OF_DESK) if of_desk else (FIRST_VISIT, NEXT_VISIT, requests_allowed)
        if any(found > limit for found, limit in zip((first, following, requests), most, strict=True)):
            heavy[name] = first, following, requests
    assert seen and heavy == {}
