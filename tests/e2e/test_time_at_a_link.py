"""Two minutes before the visit to a link ends its holder is asked, as in a session."""

import re

import pytest
from playwright.sync_api import expect

from kmzportal.models.account_link import LinkKind
from tests.e2e.hands import button, field, whole
from tests.e2e.question import WARNED, dialog
from tests.e2e.suits import faults

pytestmark = pytest.mark.browser


@pytest.fixture
def visit(page, erika, backend):
    """Erika has opened a link, typed half of her new password, and is interrupted."""
    page.clock.install()
    page.goto(f"/link/{backend.keys.token(backend.issue(LinkKind.RECOVERY, erika))}")
    whole(page, "Neues Passwort")
    field(page, "Passwort").fill("lampe")
    return page


@pytest.fixture
def rest_here(app):
    """Let the visit in this browser rest for so many seconds: its times stand in the signed cookie."""

    def rest_here(page, seconds):
        signer = app.session_interface.get_signing_serializer(app)
        [cookie] = page.context.cookies()
        session = signer.loads(cookie["value"])
        links = {key: [arrived, seen - seconds, checked] for key, (arrived, seen, checked) in session["links"].items()}
        page.context.add_cookies([cookie | {"value": signer.dumps(session | {"links": links})}])
        page.clock.run_for((WARNED + 5) * 1000)

    return rest_here


def test_who_opened_a_link_is_asked_and_stays_with_one_key(visit, rest_here):
    for _ in range(2):
        rest_here(visit, WARNED)
        expect(dialog(visit)).to_have_accessible_name("Sind Sie noch da?")
        expect(dialog(visit)).to_have_accessible_description(re.compile("Um ..:.. Uhr schließen wir diese Seite."))
        expect(button(visit, "Hier weitermachen")).to_be_focused()
        assert faults(visit) == []
        visit.keyboard.press("Enter")
        expect(dialog(visit)).to_have_count(0)
        expect(field(visit, "Passwort")).to_be_focused()
        expect(field(visit, "Passwort")).to_have_value("lampe")


def test_who_rested_too_long_over_a_link_is_told_to_open_it_again(visit, rest_here):
    rest_here(visit, 31 * 60)
    expect(dialog(visit)).to_have_accessible_name("Die Zeit für diese Seite ist um")
    assert faults(visit) == []
    visit.keyboard.press("Enter")
    button(visit, "Passwort speichern").click()
    expect(visit.locator("#meldung")).to_contain_text("Öffnen Sie bitte den Link in der E-Mail noch einmal.")
