"""The office takes a link back while its page is open."""

import pytest
from playwright.sync_api import expect

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.services import links
from tests import people
from tests.e2e.hands import button, field, heading, whole

pytestmark = pytest.mark.browser

WARNED = 28 * 60 * 1000  # milliseconds after the page was opened


def test_after_the_link_is_dead_its_page_asks_nothing_more(page, erika, backend):
    page.clock.install()
    page.goto(f"/link/{backend.keys.token(backend.issue(LinkKind.RECOVERY, erika))}")
    whole(page, "Neues Passwort")
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.RECOVERY})
    for label in ("Passwort", "Wdh. Passwort"):
        field(page, label).fill(people.NEW_PASSWORD)
    button(page, "Passwort speichern").click()
    expect(heading(page, "Dieser Link gilt nicht mehr")).to_be_focused()
    with page.expect_response("**/sitzung"):
        page.clock.run_for(WARNED + 1000)
    expect(page.locator("#time-left")).to_have_count(0)
    expect(heading(page, "Dieser Link gilt nicht mehr")).to_be_focused()
