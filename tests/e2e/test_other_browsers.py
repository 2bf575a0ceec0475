"""The walk in Firefox and in WebKitGTK, which tools/browsers installs.

One flow runs in `make test`, where the browsers are there, and all in the trial, which fails without them.
"""

import os
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import LoginSession
from tests.e2e import webkit
from tests.e2e.actions import TypingMouse
from tests.e2e.real_browser import ALL_FLOWS, RealBrowser, failure_flow
from tests.states import Scenario, login_flow

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore:setting remote_server_addr:DeprecationWarning"),  # by Selenium itself
]
LATER = [pytest.param(flow, marks=pytest.mark.trial) for flow in ALL_FLOWS if flow not in (login_flow, failure_flow)]
FAIL = os.environ.get("KMZPORTAL_TEST_BROWSERS") == "all"


@pytest.fixture(scope="session")
def firefox(playwright):
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if not path:
        (pytest.fail if FAIL else pytest.skip)("Firefox ist nicht installiert: tools/browsers")
    preferences = {"intl.accept_languages": "de-DE,de"}
    browser = playwright.firefox.launch(channel="moz-firefox", executable_path=path, firefox_user_prefs=preferences)
    yield browser
    browser.close()


@pytest.fixture
def firefox_page(firefox, portal, app):
    """Return a function that opens a page in a profile of its own."""
    with ExitStack() as contexts:

        def new_page():
            context = contexts.enter_context(firefox.new_context(base_url=portal.url, locale="de-DE"))
            context.set_default_timeout(15_000)
            return context.new_page()

        yield new_page


@pytest.fixture(scope="session")
def display():
    if missing := webkit.missing():
        (pytest.fail if FAIL else pytest.skip)(f"WebKit, denn es fehlt {', '.join(missing)}: tools/browsers")
    with webkit.screen() as display:
        yield display


@pytest.fixture(params=["firefox", "webkit"])
def new_browser(request, app, portal):
    """Return a function that starts a browser with a profile of its own."""
    if request.param == "firefox":
        new_page = request.getfixturevalue("firefox_page")
        yield lambda: RealBrowser(app, new_page(), TypingMouse)
        return
    display = request.getfixturevalue("display")
    with ExitStack() as drivers:
        yield lambda: webkit.WebKitBrowser(app, drivers.enter_context(webkit.driver(display)), portal.url)


@pytest.mark.parametrize("flow", [login_flow, *LATER])
def test_every_state_is_reached(flow, new_browser, backend):
    for name, browser in flow(Scenario(new_browser, backend)):
        assert browser.read("h1"), name


@pytest.mark.trial
def test_back_after_logging_out_shows_no_data(new_browser, backend):
    scenario = Scenario(new_browser, backend)
    browser = scenario.log_in(scenario.erika).open("/einstellungen/verlauf")
    assert scenario.erika.name in browser.open("/einstellungen").text
    browser.press("Abmelden").back()
    browser.until(lambda: browser.read("h1") == "Anmelden")
    assert scenario.erika.name not in browser.text


@pytest.mark.trial
def test_a_session_that_ends_says_so(new_browser, backend):
    scenario = Scenario(new_browser, backend)
    browser = scenario.log_in(scenario.erika)
    with backend.transaction("console") as tx:
        for session in tx.session.scalars(select(LoginSession)):
            session.expires_at = datetime.now(UTC) + timedelta(seconds=8)
    browser.open("/einstellungen")
    browser.until(lambda: "Ihre Anmeldung endet bald" in browser.text)
    browser.until(lambda: browser.path == "/anmelden")  # as there was nothing to lose on the page
