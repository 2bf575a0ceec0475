"""Contrast of every control in every state, in light, dark and forced colours (WCAG 2.2, 1.4.3 and 1.4.11).

axe sees a page as it rests. Here each control is hovered, focused, pressed and disabled, and the colours that the
browser computes are compared, over all backgrounds below them.
"""

from pathlib import Path

import pytest

from tests.e2e.accessibility import NORMAL
from tests.e2e.real_browser import ALL_FLOWS, RealBrowser
from tests.states import Scenario, login_flow

pytestmark = pytest.mark.browser

CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
LOOKS = {"light": {}, "dark": {"color_scheme": "dark"}, "forced colours": {"forced_colors": "active"}}
STATES = {"hovered": ["hover"], "pressed": ["hover", "focus", "active"]}


class Probe:
    """Measures the controls of the pages it is given; those that look like one it has measured are left out."""

    def __init__(self):
        self.seen = set()

    def faults(self, page):
        """Return the faults of the page, with the controls as they are and toggled; the page is left as it was."""
        page.keyboard.press("Shift")  # from now on the browser shows the focus
        found = self._new_faults(page)
        run(page, "toggle")
        found += self._new_faults(page)
        run(page, "toggle")
        page.emulate_media(**NORMAL)
        return found

    def _new_faults(self, page):
        looks = run(page, "collect")
        numbers = [number for number, look in enumerate(looks) if look not in self.seen and looks.index(look) == number]
        self.seen.update(looks)
        return [fault for look in LOOKS for fault in in_look(page, look, numbers)] if numbers else []


def in_look(page, look, numbers):
    page.emulate_media(**NORMAL | LOOKS[look])
    found = run(page, "measure", numbers, f"at rest, {look}") + run(page, "focused", numbers, f"focused, {look}")
    found += run(page, "disabled", numbers, f"disabled, {look}")
    tools = page.context.new_cdp_session(page)
    tools.send("DOM.enable")
    tools.send("CSS.enable")
    root = tools.send("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
    selector = ",".join(f"[data-probe='{number}'], :has(> select[data-probe='{number}'])" for number in numbers)
    nodes = tools.send("DOM.querySelectorAll", {"nodeId": root, "selector": selector})["nodeIds"]
    for state, classes in STATES.items():
        for node in nodes:
            tools.send("CSS.forcePseudoState", {"nodeId": node, "forcedPseudoClasses": classes})
        found += run(page, "measure", numbers, f"{state}, {look}")
    tools.detach()
    return found


def run(page, function, *arguments):
    return page.evaluate(f"(args) => ({CONTRAST}).{function}(...args)", arguments)


@pytest.mark.parametrize(
    "flow", [flow if flow is login_flow else pytest.param(flow, marks=pytest.mark.trial) for flow in ALL_FLOWS]
)
def test_every_control_has_contrast_in_every_state(flow, app, new_page, backend):
    scenario, probe = Scenario(lambda: RealBrowser(app, new_page()), backend), Probe()
    found = [f"{name}: {fault}" for name, browser in flow(scenario) for fault in probe.faults(browser.page)]
    assert not found, "\n".join(found)
