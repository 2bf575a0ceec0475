"""The main ways on a telephone: 390 pixels, touched (WCAG 2.2, 1.4.10 and 2.5.8)."""

import pytest

from tests.e2e.accessibility import axe, run
from tests.e2e.actions import Mouse
from tests.e2e.real_browser import RealBrowser
from tests.states import (
    Scenario,
    account_flow,
    clerk_flow,
    desk_flow,
    desk_link_flow,
    login_flow,
    new_password_flow,
    support_flow,
)

pytestmark = [pytest.mark.browser, pytest.mark.trial]

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class Finger(Mouse):
    def press(self, target):
        target.tap()

    check = press


def faults(page):
    """Return what is too small for a finger, and by how much the page is wider than the screen."""
    wide = page.evaluate("document.documentElement.scrollWidth")
    scrolls = [f"{wide} pixels wide"] if wide > PHONE["viewport"]["width"] else []
    return scrolls + axe(page, ["target-size"]) + run(page, "layout", "", ["tooSmall"])


@pytest.mark.parametrize(
    "flow", [login_flow, new_password_flow, desk_link_flow, account_flow, support_flow, desk_flow, clerk_flow]
)
def test_every_state_is_reached_with_a_finger(flow, app, new_page, backend):
    scenario = Scenario(lambda: RealBrowser(app, new_page(**PHONE), Finger), backend)
    found = [f"{name}: {fault}" for name, browser in flow(scenario) for fault in faults(browser.page)]
    assert not found, "\n".join(found)
