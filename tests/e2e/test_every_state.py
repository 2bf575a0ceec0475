"""Every page in every state, in a real browser: by keyboard, without JavaScript, and for every eye."""

import pytest

from tests.e2e.breakdowns import ALL_WAYS
from tests.e2e.hands import Keyboard
from tests.e2e.real_browser import RealBrowser
from tests.e2e.suits import faults
from tests.states import House

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("way", ALL_WAYS)]


def test_every_state_is_reached_by_keyboard_and_suits_everybody(way, app, computer, backend):
    house = House(lambda: RealBrowser(app, computer(), Keyboard), backend)
    found = {name: faults(browser.page) for name, browser in way(house)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_every_state_is_reached_without_javascript(way, app, computer, backend):
    house = House(lambda: RealBrowser(app, computer(java_script_enabled=False), htmx=False), backend)
    for _, browser in way(house):
        assert browser.page.locator("h1").is_visible()
