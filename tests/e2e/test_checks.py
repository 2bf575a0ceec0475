"""The checks of every page detect what they are for; otherwise the walk through all states proves nothing."""

import pytest

from tests.e2e.accessibility import axe, faults, faults_of_other_looks

pytestmark = pytest.mark.browser


def test_accessibility_faults_are_detected(page):
    for spoilt, expected in [
        (
            ("document.documentElement.lang = ''", "document.querySelector('label').remove()"),
            {"html-has-lang", "label"},
        ),
        (("document.querySelector('h1').style.color = '#ccc'",), {"color-contrast"}),
        (("document.querySelector('h1').style.color = '#171a2b'",), {"color-contrast"}),  # in dark only
        (
            (
                "document.querySelector('h1').style.width = '400px'",
                "document.querySelector('main button').style.cssText = 'min-height: 0; height: 20px'",
            ),
            {"too wide", "too small"},
        ),
        (
            (
                "document.querySelector('h1').style.cssText = 'overflow: hidden; height: 1.5rem'",
                "document.querySelector('main button').style.setProperty('border', '0', 'important')",
            ),
            {"cut off", "invisible"},
        ),
    ]:
        page.goto("/anmelden")
        for script in spoilt:
            page.evaluate(script)
        assert {fault.partition(":")[0] for fault in faults(page) + faults_of_other_looks(page)} == expected, spoilt


def test_the_style_sheet_of_all_pages_allows_both_orientations(page):
    page.goto("/anmelden")
    assert axe(page, ["css-orientation-lock"], preload=True) == []


@pytest.mark.parametrize(("script", "expected"), [
    ("new Image().src = 'https://elsewhere.example/x.png'", "Content Security Policy"),
    ("setTimeout(() => { throw new Error('broken') })", "broken"),
    ("localStorage.name = 'Erika'", "stored in the browser"),
    ("sessionStorage.name = 'Erika'", "stored in the browser"),
    ("document.cookie = 'tracker=1; max-age=99'", "tracker"),
])  # fmt: skip
def test_what_no_page_may_do_is_detected(page, script, expected):
    page.goto("/anmelden")
    page.evaluate(script)
    page.wait_for_load_state()
    with pytest.raises(AssertionError, match=expected):
        page.monitor.check()
    page.monitor.faults.clear()
    page.context.clear_cookies(name="tracker")
    page.evaluate("localStorage.clear(); sessionStorage.clear()")


def test_a_request_to_another_site_is_detected(page):
    page.context.route("https://elsewhere.example/", lambda route: route.fulfill(body="Hallo"))
    page.goto("https://elsewhere.example/")
    with pytest.raises(AssertionError, match="requests another site"):
        page.monitor.check()
    page.monitor.faults.clear()
