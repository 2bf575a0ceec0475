"""A clerk's first link sets password and second factor, once, and takes neither away before."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.models.login_session import LoginSession
from kmzportal.services import clerks
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import LinkUnusable, WrongCode
from kmzportal.services.second_factor import SecondFactor
from tests import people
from tests.services.staff import log_in

pytestmark = pytest.mark.usefixtures("clock")
NONCE = "nonce of a browser"


@pytest.fixture
def app_(backend):
    """The app on the telephone of whoever opened a first link."""
    return SecondFactor(backend.keys, NONCE)


def use(backend, link, code, password=people.NEW_PASSWORD):
    return backend.run(clerks.use_first_link, link, people.NOW, hash_password(password), NONCE, code)


def test_password_and_factor_are_set_with_one_link_and_the_clerk_hears_of_it(backend, rosa, app_, issue):
    log_in(backend, rosa)
    use(backend, issue(LinkKind.CLERK_FIRST, rosa), backend.totp_code(app_.secret))
    assert (backend.read(rosa).factor_nonce, backend.read(rosa).recovery_codes_used) == (NONCE, [])
    assert log_in(backend, rosa) is None
    assert log_in(backend, rosa, people.NEW_PASSWORD)
    assert [one.ended_at is None for one in backend.read(select(LoginSession).order_by(LoginSession.id))] == [
        False,
        True,
    ]
    assert [mail.recipient for mail in backend.mails("clerk_password_set")] == [rosa.email]
    assert backend.actions()[-4:-2] == ["password.set", "factor.set"]


@pytest.mark.parametrize("code", ["", "000000"])
def test_without_the_right_code_nothing_is_set_and_the_link_stays_good(backend, rosa, app_, issue, code):
    old = backend.add_second_factor(rosa)
    link = issue(LinkKind.CLERK_FIRST, rosa)
    with pytest.raises(WrongCode):
        use(backend, link, code)
    assert backend.read(rosa).password_hash == rosa.password_hash
    assert SecondFactor(backend.keys, backend.read(rosa).factor_nonce).secret == old.secret
    use(backend, link, backend.totp_code(app_.secret))


def test_where_the_factor_is_offered_it_may_be_left_out(backend, rosa, issue, app, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")
    use(backend, issue(LinkKind.CLERK_FIRST, rosa), "")
    assert backend.read(rosa).factor_nonce is None
    assert not backend.session_of(log_in(backend, rosa, people.NEW_PASSWORD)).awaits_code


def test_leaving_it_out_does_not_take_a_factor_away(backend, rosa, issue, app, monkeypatch):
    """A mailbox alone must not be enough."""
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")
    backend.add_second_factor(rosa)
    use(backend, issue(LinkKind.CLERK_FIRST, rosa), "")
    assert backend.session_of(log_in(backend, rosa, people.NEW_PASSWORD)).awaits_code


@pytest.mark.both_databases
def test_a_first_link_works_once(backend, rosa, app_, issue, clock):
    link = issue(LinkKind.CLERK_FIRST, rosa)
    got = backend.run_concurrently(
        2, clerks.use_first_link, link, people.NOW, "hash", NONCE, backend.totp_code(app_.secret)
    )
    assert sorted(type(one) for one in got if one)[0] is LinkUnusable
    assert got.count(None) == 1


def test_a_new_link_replaces_the_one_before_and_nothing_else(backend, rosa):
    backend.add_second_factor(rosa)
    for _ in range(2):
        backend.run(clerks.first_link, rosa)
    assert sorted(link.ended_as or "open" for link in backend.read(select(AccountLink))) == ["open", "replaced"]
    assert backend.session_of(log_in(backend, rosa)).awaits_code


def test_a_clerk_whose_password_is_off_gets_in_with_a_new_link(backend, rosa, app_, clock):
    for _ in range(101):
        log_in(backend, rosa, "falsches passwort")
        clock.shift(timedelta(hours=1))
    assert log_in(backend, rosa) is None
    assert [mail.recipient for mail in backend.mails("clerk_password_disabled")] == [rosa.email]
    link = backend.run(clerks.first_link, rosa)
    code = backend.totp_code(app_.secret)
    backend.run(clerks.use_first_link, link, link.issued_at, hash_password(people.NEW_PASSWORD), NONCE, code)
    assert log_in(backend, rosa, people.NEW_PASSWORD)
