"""GET and HEAD change nothing, and neither does a form without its CSRF token."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from kmzportal.db import db
from kmzportal.models import Clerk, ClerkDay, CustomerAccess, LinkKind
from kmzportal.services import sessions
from tests import people
from tests.secret_scan import everything
from tests.site_wide.routes import routes

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def browsers(scenario):
    """A customer and a clerk, each logged in, and two who have opened a link."""
    links = scenario.issue(LinkKind.DESK, scenario.erika), scenario.issue(LinkKind.CLERK_FIRST, scenario.rosa)
    return scenario.log_in(scenario.erika), scenario.desk_browser(scenario.rosa), *map(scenario.open_link, links)


@pytest.fixture
def rows(app):
    """Return a function that reads all rows of all tables."""

    def rows(**options):
        with app.app_context():
            return list(everything(**options))

    return rows


@pytest.mark.parametrize(("method", "seen"), [("GET", 1), ("HEAD", 0)])
def test_get_and_head_write_nothing_but_that_a_clerk_saw_a_customer(app, browsers, rows, method, seen):
    before = rows()
    for route in routes(app, method):
        for browser in browsers:
            browser.client.open(route.path, method=method, base_url=browser.site)
    with app.app_context():
        accesses = db.session.scalars(select(CustomerAccess)).all()
        for access in accesses:
            db.session.delete(access)
        db.session.execute(delete(ClerkDay).where(ClerkDay.act == "seen", ClerkDay.number == len(accesses)))
        db.session.commit()
    assert len(accesses) <= seen  # none where the customer of the path has another id
    assert rows() == before


def test_the_requests_of_a_session_that_has_ended_write_nothing(app, backend, scenario, rows):
    """With a copied cookie, each of them would fill the database."""
    browser = scenario.desk_browser(scenario.rosa).open("/kundenservice/kunden")
    with backend.transaction("console") as tx:
        sessions.end_all(tx, tx.session.get(Clerk, scenario.rosa.id))
    copied, before = browser.cookie, rows()
    for route in routes(app, "GET"):
        browser.cookie = copied
        browser.client.get(route.path, base_url=browser.site)
    assert rows() == before
    browser.cookie = copied
    assert "abgemeldet" in browser.open("/kundenservice/kunden").text


def test_no_form_is_accepted_without_its_csrf_token(app, scenario, browsers, rows):
    fields = {"human": "y", "code": "AAAA-AAAA", "new": people.NEW_PASSWORD, "repeat": people.NEW_PASSWORD}
    fields |= {"email": scenario.erika.email, "last_name": "Anders", "current": people.password_of(scenario.erika)}
    fields |= {"name": "Kim Muster", "initials": "km", "password": people.password_of(scenario.rosa), "tiles": "1"}
    before = rows()
    for route in routes(app, "POST"):
        for browser in browsers:
            browser.client.post(route.path, data=fields, base_url=browser.site)
    assert rows() == before


def test_a_request_updates_only_the_time_of_the_session(app, scenario, rows, clock):
    browser = scenario.log_in(scenario.erika)
    clock.shift(timedelta(minutes=2))
    before, before_with_times = rows(), rows(but=())
    browser.open("/einstellungen")
    assert rows() == before and rows(but=()) != before_with_times
