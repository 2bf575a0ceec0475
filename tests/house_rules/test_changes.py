"""Nothing is changed by looking, nor by a form without its token."""

from datetime import timedelta

import pytest

from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.services import account_link
from tests import cast
from tests.canary import everything
from tests.house_rules.routes import at_the_desk, cast_url, log_in, rules

pytestmark = [pytest.mark.usefixtures("clock", "portal"), pytest.mark.parametrize("portal", ["sqlite"], indirect=True)]
FIRST_OF = {Customer: LinkKind.DESK, Clerk: LinkKind.CLERK_FIRST}


@pytest.fixture
def visitors(app, deeds, erika, rosa):
    """A customer and a clerk, each logged in, and on the way of a link of their own."""
    both = log_in(app, erika), at_the_desk(app, deeds, rosa)
    for person, visitor in zip((erika, rosa), both, strict=True):
        link = deeds.do(account_link.issue, FIRST_OF[type(person)], person)
        visitor.open(f"/link/{deeds.keys.token(link)}")
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
                data = {"human": "y", "code": "AAAA-AAAA", "new": cast.NEW_PASSWORD, "repeat": cast.NEW_PASSWORD}
                data |= {"email": erika.email, "last_name": "Anders", "current": cast.password_of(erika), "tiles": "1"}
                data |= {"name": "Kim Muster", "initials": "km", "password": cast.password_of(rosa)}
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
