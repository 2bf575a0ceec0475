"""Nothing is changed by looking, nor by a form without its token."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.services import links
from tests import people
from tests.house_rules.routes import at_the_desk, cast_url, log_in, rules
from tests.secret_scan import everything

pytestmark = pytest.mark.usefixtures("clock")
FIRST_OF = {Customer: LinkKind.DESK, Clerk: LinkKind.CLERK_FIRST}


@pytest.fixture
def visitors(app, backend, erika, rosa):
    """A customer and a clerk, each logged in, and on the way of a link of their own."""
    both = log_in(app, erika), at_the_desk(app, backend, rosa)
    for person, visitor in zip((erika, rosa), both, strict=True):
        link = backend.run(links.issue, FIRST_OF[type(person)], person)
        visitor.open(f"/link/{backend.keys.token(link)}")
    return both


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(app, visitors, method):
    with app.app_context():
        before = list(everything())
        for rule, path in rules(app):
            if method in rule.methods:
                for visitor in visitors:
                    visitor.client.open(path, method=method, base_url=cast_url(app))
        assert list(everything()) == before


def test_no_form_is_taken_without_its_token(app, visitors, erika, rosa, tim):
    with app.app_context():
        before = list(everything())
        for rule, path in rules(app):
            if "POST" in rule.methods:
                data = {"human": "y", "code": "AAAA-AAAA", "new": people.NEW_PASSWORD, "repeat": people.NEW_PASSWORD}
                data |= {
                    "email": erika.email,
                    "last_name": "Anders",
                    "current": people.password_of(erika),
                    "tiles": "1",
                }
                data |= {"name": "Kim Muster", "initials": "km", "password": people.password_of(rosa)}
                for visitor in visitors:
                    visitor.client.post(path, data=data, base_url=cast_url(app))
        assert list(everything()) == before


def test_looking_notes_that_one_is_there_and_no_more(app, erika, clock):
    browser = log_in(app, erika)
    clock.shift(timedelta(minutes=2))
    with app.app_context():
        before = list(everything())
        browser.open("/einstellungen")
        assert list(everything()) == before
        assert list(everything(but=())) != before
