"""A clerk's first link sets password and second factor, once, and takes neither away before."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import LinkUnusable, WrongCode
from kmzportal.domain.second_factor import SecondFactor
from kmzportal.services import clerks
from tests import cast
from tests.services.staff import log_in

pytestmark = pytest.mark.usefixtures("clock")
NONCE = "nonce of a browser"


@pytest.fixture
def app_(deeds):
    """The app on the telephone of whoever opened a first link."""
    return SecondFactor(deeds.keys, NONCE)


def use(deeds, link, code, password=cast.NEW_PASSWORD):
    return deeds.do(clerks.use_first_link, link, cast.NOW, hash_password(password), NONCE, code)


def test_password_and_factor_are_set_with_one_link_and_the_clerk_hears_of_it(deeds, rosa, app_, issue):
    log_in(deeds, rosa)
    use(deeds, issue(LinkKind.CLERK_FIRST, rosa), deeds.app_shows(app_.secret))
    assert (deeds.read(rosa).factor_nonce, deeds.read(rosa).recovery_codes_used) == (NONCE, [])
    assert log_in(deeds, rosa) is None
    assert log_in(deeds, rosa, cast.NEW_PASSWORD)
    assert [one.ended_at is None for one in deeds.read(select(LoginSession).order_by(LoginSession.id))] == [False, True]
    assert [mail.recipient for mail in deeds.mails("clerk_password_set")] == [rosa.email]
    assert deeds.history()[-4:-2] == ["password.set", "factor.set"]


@pytest.mark.parametrize("code", ["", "000000"])
def test_without_the_right_code_nothing_is_set_and_the_link_stays_good(deeds, rosa, app_, issue, code):
    old = deeds.give_factor(rosa)
    link = issue(LinkKind.CLERK_FIRST, rosa)
    with pytest.raises(WrongCode):
        use(deeds, link, code)
    assert deeds.read(rosa).password_hash == rosa.password_hash
    assert SecondFactor(deeds.keys, deeds.read(rosa).factor_nonce).secret == old.secret
    use(deeds, link, deeds.app_shows(app_.secret))


def test_where_the_factor_is_offered_it_may_be_left_out(deeds, rosa, issue, app, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")
    use(deeds, issue(LinkKind.CLERK_FIRST, rosa), "")
    assert deeds.read(rosa).factor_nonce is None
    assert not deeds.session_of(log_in(deeds, rosa, cast.NEW_PASSWORD)).awaits_code


def test_leaving_it_out_does_not_take_a_factor_away(deeds, rosa, issue, app, monkeypatch):
    """A mailbox alone must not be enough."""
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")
    deeds.give_factor(rosa)
    use(deeds, issue(LinkKind.CLERK_FIRST, rosa), "")
    assert deeds.session_of(log_in(deeds, rosa, cast.NEW_PASSWORD)).awaits_code


def test_a_first_link_works_once(deeds, rosa, app_, issue, clock):
    link = issue(LinkKind.CLERK_FIRST, rosa)
    got = deeds.at_once(2, clerks.use_first_link, link, cast.NOW, "hash", NONCE, deeds.app_shows(app_.secret))
    assert sorted(type(one) for one in got if one)[0] is LinkUnusable
    assert got.count(None) == 1


def test_a_new_link_replaces_the_one_before_and_nothing_else(deeds, rosa):
    deeds.give_factor(rosa)
    for _ in range(2):
        deeds.do(clerks.first_link, rosa)
    assert sorted(link.ended_as or "open" for link in deeds.read(select(AccountLink))) == ["open", "replaced"]
    assert deeds.session_of(log_in(deeds, rosa)).awaits_code


def test_a_clerk_whose_password_is_off_gets_in_with_a_new_link(deeds, rosa, app_, clock):
    for _ in range(101):
        log_in(deeds, rosa, "falsches passwort")
        clock.shift(timedelta(hours=1))
    assert log_in(deeds, rosa) is None
    assert [mail.recipient for mail in deeds.mails("clerk_password_disabled")] == [rosa.email]
    link = deeds.do(clerks.first_link, rosa)
    code = deeds.app_shows(app_.secret)
    deeds.do(clerks.use_first_link, link, link.issued_at, hash_password(cast.NEW_PASSWORD), NONCE, code)
    assert log_in(deeds, rosa, cast.NEW_PASSWORD)
