"""The watch over every page: it must bark, or all these tests prove nothing of what it watches."""

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("deed", "blamed"),
    [
        ("new Image().src = 'https://elsewhere.example/x.png'", "Content Security Policy"),
        ("setTimeout(() => { throw new Error('broken') })", "broken"),
        ("localStorage.name = 'Erika'", "stored in the browser"),
        ("sessionStorage.name = 'Erika'", "stored in the browser"),
        ("document.cookie = 'tracker=1; max-age=99'", "tracker"),
    ],
)
def test_the_watch_barks(page, deed, blamed):
    page.goto("/anmelden")
    page.evaluate(deed)
    page.wait_for_load_state()
    with pytest.raises(AssertionError, match=blamed):
        page.watch.check()
    page.watch.faults.clear()
    page.context.clear_cookies(name="tracker")
    page.evaluate("localStorage.clear(); sessionStorage.clear()")


def test_the_watch_barks_at_another_site(page):
    page.context.route("https://elsewhere.example/", lambda route: route.fulfill(body="Hallo"))
    page.goto("https://elsewhere.example/")
    with pytest.raises(AssertionError, match="asks elsewhere"):
        page.watch.check()
    page.watch.faults.clear()
