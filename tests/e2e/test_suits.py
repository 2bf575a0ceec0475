"""The look at every page: it must bark, or the walk through all states proves nothing of what it looks for."""

import pytest

from tests.e2e.suits import faults

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("spoil", "blamed"),
    [
        ("document.documentElement.lang = ''", "html-has-lang"),
        ("document.querySelector('label').remove()", "label"),
        ("document.querySelector('h1').style.color = '#ccc'", "color-contrast"),
        ("document.querySelector('h1').style.width = '400px'", "too wide"),
        ("document.querySelector('main button').style.cssText = 'min-height: 0; height: 20px'", "too small"),
        ("document.querySelector('h1').style.cssText = 'overflow: hidden; height: 1.5rem'", "cut off"),
        ("document.querySelector('main button').style.setProperty('border', '0', 'important')", "unseen"),
    ],
)
def test_the_look_barks(page, spoil, blamed):
    page.goto("/anmelden")
    page.evaluate(spoil)
    assert {fault.partition(":")[0] for fault in faults(page)} == {blamed}


def test_the_look_barks_at_what_can_be_read_by_daylight_only(page):
    page.goto("/anmelden")
    page.evaluate("document.querySelector('h1').style.color = '#171a2b'")
    assert {fault.partition(":")[0] for fault in faults(page)} == {"color-contrast"}
