"""Who works at the desk: let in by a first link, kept out at once, and never without anybody who decides."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import AccountLocked, LinkUnusable, WrongCode
from kmzportal.domain.second_factor import SecondFactor
from kmzportal.services import clerks, recovery
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")
NONCE = "nonce of a browser"


@pytest.fixture
def app_(deeds):
    """The app on the telephone of whoever opened a first link."""
    return SecondFactor(deeds.keys, NONCE)


def log_in(deeds, clerk, password=None):
    return deeds.log_in(clerk.email, password or cast.password_of(clerk), table=Clerk)


def use(deeds, link, code, password=cast.NEW_PASSWORD):
    return deeds.do(clerks.use_first_link, link, cast.NOW, hash_password(password), NONCE, code)


def lock_the_other(deeds, *admins):
    """Let each of two admins lock the other at the same time; return what each got."""
    pairs = iter([admins, admins[::-1]])

    def each(work):
        by, other = (work.session.get(Clerk, one.id) for one in next(pairs))
        return clerks.lock(work, other, by)

    return deeds.at_once(2, each)


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


def test_the_two_doors_count_apart(deeds, rosa, erika):
    """A customer and a clerk may have the same address."""
    with deeds.work() as work:
        work.session.get(type(erika), erika.id).move_to(rosa.email)
    for _ in range(6):
        deeds.log_in(rosa.email, "falsches passwort")
    assert deeds.log_in(rosa.email, cast.password_of(erika)) is None
    assert log_in(deeds, rosa)
    for _ in range(6):
        log_in(deeds, rosa, "falsches passwort")
    assert log_in(deeds, rosa) is None


def test_a_customer_does_not_log_in_as_a_clerk(deeds, erika):
    assert deeds.log_in(erika.email, cast.password_of(erika), table=Clerk) is None


def test_locking_ends_sessions_and_links_at_once(deeds, rosa, tim):
    link = deeds.do(clerks.first_link, tim)
    log_in(deeds, tim)
    deeds.do(clerks.lock, tim, rosa, actor=f"clerk:{rosa.id}")
    assert deeds.read(link).ended_as == "withdrawn"
    assert all(one.ended_at for one in deeds.read(select(LoginSession)))
    assert log_in(deeds, tim) is None
    with pytest.raises(AccountLocked):
        deeds.do(clerks.first_link, tim)
    assert "clerk.locked" in deeds.history()


def test_unlocked_the_password_is_the_one_from_before(deeds, rosa, tim):
    deeds.do(clerks.lock, tim, rosa)
    deeds.do(clerks.unlock, tim, rosa)
    assert log_in(deeds, tim)
    assert "clerk.unlocked" in deeds.history()


@pytest.mark.parametrize("deed", [clerks.lock, clerks.unlock, clerks.send_link])
def test_nobody_decides_on_their_own_access(deeds, rosa, tim, deed):
    with pytest.raises(clerks.Oneself):
        deeds.do(deed, rosa, rosa)
    assert deeds.read(rosa).locked_at is None
    assert deeds.mails() == []


def test_the_last_admin_cannot_be_locked(deeds, rosa, tim):
    with pytest.raises(clerks.LastAdmin):
        deeds.do(clerks.lock, rosa, tim)
    assert log_in(deeds, rosa)


@pytest.mark.parametrize("_", range(3))
def test_of_two_admins_who_lock_each_other_one_stays(deeds, rosa, tim, _):
    with deeds.work() as work:
        work.session.get(Clerk, tim.id).admin = True
    got = lock_the_other(deeds, rosa, tim)
    assert got.count(None) == 1
    assert isinstance(next(one for one in got if one), clerks.LastAdmin)
    assert len([one for one in deeds.read(select(Clerk)) if one.locked_at is None]) == 1


def test_a_colleague_is_mailed_a_new_first_link(deeds, rosa, tim):
    deeds.do(clerks.send_link, tim, rosa)
    assert [(mail.template, mail.recipient) for mail in deeds.mails()] == [("clerk_first_link", tim.email)]


def test_passwort_vergessen_knows_no_clerks(deeds, rosa):
    deeds.do(recovery.ask, rosa.email)
    with deeds.work("worker") as work:
        waiting = recovery.unanswered(work.session)
    for request in waiting:
        deeds.do(recovery.answer, request, actor="worker")
    assert deeds.mails() == []
    assert deeds.history() == ["recovery.unknown"]


def test_nobody_acts_under_the_initials_of_a_colleague(deeds):
    deeds.do(clerks.add, "aenne@kmz.example", "Änne Öhler", "ÄÖ")
    for alike in ("äö", "ÄÖ"):
        with pytest.raises(clerks.ClerkExists):
            deeds.do(clerks.add, "anders@kmz.example", "Änne Anders", alike)
