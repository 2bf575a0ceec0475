"""Login, account and the steps of the hand-out in Firefox and WebKit, where Playwright has them."""

from pathlib import Path

import pytest

from tests.e2e.real_browser import RealBrowser
from tests.states import Scenario, account_flow, desk_link_flow, login_flow

pytestmark = [pytest.mark.browser, pytest.mark.trial]


@pytest.fixture(scope="module", params=["firefox", "webkit"])
def browser_process(playwright, request):
    browser_type = getattr(playwright, request.param)
    if not Path(browser_type.executable_path).exists():
        pytest.fail(f"nothing was checked in {request.param}: run `playwright install {request.param}`")
    browser = browser_type.launch()
    yield browser
    browser.close()


@pytest.mark.parametrize("flow", [login_flow, account_flow, desk_link_flow])
@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "without"])
def test_the_flows_of_customers_work(flow, javascript, app, new_page, backend):
    def new_browser():
        return RealBrowser(app, new_page(java_script_enabled=javascript), htmx=javascript)

    for name, browser in flow(Scenario(new_browser, backend)):
        assert browser.page.locator("h1").is_visible(), name
