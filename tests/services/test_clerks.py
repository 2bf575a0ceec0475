"""Who works at the desk: kept out at once, and never without anybody who decides."""

import pytest
from sqlalchemy import select

from kmzportal.domain.clerk import Clerk
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.refusals import AccountLocked
from kmzportal.services import clerks, recovery
from tests import cast
from tests.services.staff import log_in

pytestmark = pytest.mark.usefixtures("clock")


def lock_the_other(deeds, *admins):
    """Let each of two admins lock the other at the same time; return what each got."""
    pairs = iter([admins, admins[::-1]])

    def each(work):
        by, other = (work.session.get(Clerk, one.id) for one in next(pairs))
        return clerks.lock(work, other, by)

    return deeds.at_once(2, each)


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
