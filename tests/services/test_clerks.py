"""Who works at the desk: kept out at once, and never without anybody who decides."""

import pytest
from sqlalchemy import select

from kmzportal.models.clerk import Clerk
from kmzportal.models.login_session import LoginSession
from kmzportal.services import clerks, recovery
from kmzportal.services.refusals import AccountLocked
from tests import people
from tests.services.staff import log_in

pytestmark = pytest.mark.usefixtures("clock")


def lock_the_other(backend, *admins):
    """Let each of two admins lock the other at the same time; return what each got."""
    pairs = iter([admins, admins[::-1]])

    def each(tx):
        by, other = (tx.session.get(Clerk, one.id) for one in next(pairs))
        return clerks.lock(tx, other, by)

    return backend.run_concurrently(2, each)


def test_the_two_doors_count_apart(backend, rosa, erika):
    """A customer and a clerk may have the same address."""
    with backend.transaction() as tx:
        tx.session.get(type(erika), erika.id).set_email(rosa.email)
    for _ in range(6):
        backend.log_in(rosa.email, "falsches passwort")
    assert backend.log_in(rosa.email, people.password_of(erika)) is None
    assert log_in(backend, rosa)
    for _ in range(6):
        log_in(backend, rosa, "falsches passwort")
    assert log_in(backend, rosa) is None


def test_a_customer_does_not_log_in_as_a_clerk(backend, erika):
    assert backend.log_in(erika.email, people.password_of(erika), table=Clerk) is None


def test_locking_ends_sessions_and_links_at_once(backend, rosa, tim):
    link = backend.run(clerks.first_link, tim)
    log_in(backend, tim)
    backend.run(clerks.lock, tim, rosa, actor=f"clerk:{rosa.id}")
    assert backend.read(link).ended_as == "withdrawn"
    assert all(one.ended_at for one in backend.read(select(LoginSession)))
    assert log_in(backend, tim) is None
    with pytest.raises(AccountLocked):
        backend.run(clerks.first_link, tim)
    assert "clerk.locked" in backend.actions()


def test_unlocked_the_password_is_the_one_from_before(backend, rosa, tim):
    backend.run(clerks.lock, tim, rosa)
    backend.run(clerks.unlock, tim, rosa)
    assert log_in(backend, tim)
    assert "clerk.unlocked" in backend.actions()


@pytest.mark.parametrize("deed", [clerks.lock, clerks.unlock, clerks.send_link])
def test_nobody_decides_on_their_own_access(backend, rosa, tim, deed):
    with pytest.raises(clerks.OwnAccess):
        backend.run(deed, rosa, rosa)
    assert backend.read(rosa).locked_at is None
    assert backend.mails() == []


def test_the_last_admin_cannot_be_locked(backend, rosa, tim):
    with pytest.raises(clerks.LastAdmin):
        backend.run(clerks.lock, rosa, tim)
    assert log_in(backend, rosa)


@pytest.mark.both_databases
@pytest.mark.parametrize("_", range(3))
def test_of_two_admins_who_lock_each_other_one_stays(backend, rosa, tim, _):
    with backend.transaction() as tx:
        tx.session.get(Clerk, tim.id).admin = True
    got = lock_the_other(backend, rosa, tim)
    assert got.count(None) == 1
    assert isinstance(next(one for one in got if one), clerks.LastAdmin)
    assert len([one for one in backend.read(select(Clerk)) if one.locked_at is None]) == 1


def test_a_colleague_is_mailed_a_new_first_link(backend, rosa, tim):
    backend.run(clerks.send_link, tim, rosa)
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("clerk_first_link", tim.email)]


def test_passwort_vergessen_knows_no_clerks(backend, rosa):
    backend.run(recovery.request_link, rosa.email)
    with backend.transaction("worker") as tx:
        waiting = recovery.unanswered(tx.session)
    for request in waiting:
        backend.run(recovery.answer, request, actor="worker")
    assert backend.mails() == []
    assert backend.actions() == ["recovery.unknown"]


def test_nobody_acts_under_the_initials_of_a_colleague(backend):
    backend.run(clerks.add, "aenne@kmz.example", "Änne Öhler", "ÄÖ")
    for alike in ("äö", "ÄÖ"):
        with pytest.raises(clerks.ClerkExists):
            backend.run(clerks.add, "anders@kmz.example", "Änne Anders", alike)
