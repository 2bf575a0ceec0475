"""What comes out of the printer."""

import pytest
from playwright.sync_api import expect

from kmzportal.services import sessions
from tests.e2e.hands import button, come_in, heading, whole

pytestmark = pytest.mark.browser


def test_the_customers_screen_is_printed_without_its_forms(page, app, backend, erika, rosa):
    come_in(page, app, backend.run(sessions.start_session, rosa, "Firefox unter Linux").token)
    page.goto(f"/kundenservice/kunden/{erika.id}")
    whole(page, erika.name)
    expect(button(page, "Link senden")).to_be_visible()
    page.emulate_media(media="print")
    for title in ("Daten", "Links", "E-Mails", "Verlauf"):
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(heading(page, erika.name)).to_be_visible()
    expect(page.get_by_role("textbox").or_(page.get_by_role("button"))).to_have_count(0)
    expect(page.get_by_role("navigation")).to_have_count(0)
