"""Clerks: added, their first link, locked and unlocked."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import AuditEvent, Clerk, KnownDevice, LinkKind, LinkVisit, LoginSession
from kmzportal.services import clerks, devices
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import AccountLocked, ChangedMeanwhile, WrongCode
from kmzportal.services.second_factor import SecondFactor
from tests import people
from tests.people import NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")
ROBIN = ("robin@kmz.example", "Robin Ostermann", "ob")
NONCE = "nonce of a browser"

# Added


@pytest.mark.parametrize("admin", [True, False])
def test_all_unlocked_admins_are_mailed_about_a_new_clerk_despite_the_daily_cap(backend, rosa, tim, admin):
    for initials, locked_at in (("lo", people.LONG_AGO), ("se", None)):
        other = {"initials": initials, "email": f"{initials}@kmz.example", "admin": True, "locked_at": locked_at}
        backend.add(people.person(people.TIM | other))
    for _ in range(10):
        backend.run(lambda tx, to: tx.send("test", to), rosa)
    backend.run(clerks.add, *ROBIN, admin, actor=f"clerk:{rosa.id}")
    notices = [(mail.recipient, mail.facts) for mail in backend.mails("clerk_added")]
    assert notices == [(rosa.email, {"initials": "ob"}), ("se@kmz.example", {"initials": "ob"})]


def test_the_other_admins_are_mailed_about_a_clerk_who_comes_back_and_about_a_new_admin(backend, rosa, tim):
    """A stolen session of an admin must gain nobody a right unnoticed, as it adds nobody unnoticed."""
    backend.run(clerks.leave, tim, rosa)
    backend.run(clerks.bring_back, tim, rosa)
    backend.run(clerks.change, tim, rosa, "Tim Neu", "tb", True)
    backend.run(clerks.change, tim, rosa, "Tim", "tb", True)
    notices = [(mail.recipient, mail.facts) for mail in backend.mails("clerk_added")]
    assert notices == [(rosa.email, {"initials": "tb", "act": act}) for act in ("returned", "promoted")]


@pytest.mark.parametrize(("act", "told"), [(clerks.lock, "locked"), (clerks.leave, "left"), ("change", "demoted")])
def test_who_loses_access_or_the_right_to_manage_and_all_admins_are_mailed_once(backend, rosa, tim, act, told):
    """A stolen session of an admin must not first shut out those who would be mailed about a new clerk."""
    backend.update(tim, admin=True)
    backend.add(people.person(people.TIM | {"initials": "lo", "email": "lo@kmz.example", "locked_at": people.LONG_AGO}))
    for _ in range(2):
        if act == "change":
            backend.run(clerks.change, tim, rosa, tim.name, tim.initials, False)
        else:
            backend.run(act, tim, rosa)
    notices = sorted((mail.recipient, mail.facts) for mail in backend.mails("clerk_limited"))
    assert notices == [(email, {"initials": "tb", "act": told}) for email in sorted([rosa.email, tim.email])]


def test_a_clerk_without_that_right_is_mailed_about_the_lock_as_well(backend, rosa, tim):
    backend.run(clerks.lock, tim, rosa)
    assert {mail.recipient for mail in backend.mails("clerk_limited")} == {rosa.email, tim.email}


@pytest.mark.parametrize("initials", ["äö", "ÄÖ"])
def test_initials_and_address_are_unique_whatever_their_case(backend, initials):
    backend.run(clerks.add, "aenne@kmz.example", "Änne Öhler", "ÄÖ")
    with pytest.raises(clerks.ClerkExists):
        backend.run(clerks.add, "anders@kmz.example", "Änne Anders", initials)
    with pytest.raises(clerks.ClerkExists):
        backend.run(clerks.add, "AENNE@kmz.example", "Änne Anders", "an")


# The first link


@pytest.fixture
def app_code(backend):
    """Return the code that the app shows which was set up with a first link."""
    return lambda: backend.totp_code(SecondFactor(backend.factor_keys, NONCE).secret)


def use(backend, link, code):
    """Use the link in a visit in which the new password was accepted."""
    times = {"started_at": NOW, "last_seen": NOW, "idle_after": 900, "expires_at": NOW + timedelta(hours=1)}
    waiting = {"factor_nonce": NONCE, "password_hash": hash_password(NEW_PASSWORD)}
    visit = backend.add(LinkVisit(token_hash=f"{link.id} {code}", link_id=link.id, **times, **waiting))
    codes, ended = backend.run(clerks.use_first_link, link, visit, code)
    assert backend.read(visit).password_hash is None
    return codes, ended


def test_a_first_link_sets_password_and_second_factor_and_ends_sessions(backend, rosa, app_code, log_in):
    login_session = backend.session_of(log_in(rosa))
    codes, ended = use(backend, backend.issue(LinkKind.CLERK_FIRST, rosa), app_code())
    assert (codes, ended) == (SecondFactor(backend.factor_keys, NONCE).recovery_codes, 1)
    saved = backend.read(rosa)
    assert (saved.factor_nonce, saved.recovery_codes_used) == (NONCE, [])
    assert backend.read(login_session).ended_at == NOW
    assert log_in(rosa) is None and log_in(rosa, NEW_PASSWORD)
    assert [mail.recipient for mail in backend.mails("clerk_password_set")] == [rosa.email]
    assert [action for action in backend.actions() if action.endswith(".set")] == ["password.set", "factor.set"]


@pytest.mark.parametrize("code", ["", "000000"])
def test_without_the_right_code_nothing_is_set_and_the_link_stays_open(backend, rosa, factor, app_code, code):
    link = backend.issue(LinkKind.CLERK_FIRST, rosa)
    with pytest.raises(WrongCode):
        use(backend, link, code)
    saved = backend.read(rosa)
    assert saved.password_hash == rosa.password_hash
    assert SecondFactor(backend.factor_keys, saved.factor_nonce).secret == factor.secret
    use(backend, link, app_code())


@pytest.mark.parametrize("has_factor", [False, True])
def test_where_the_factor_is_offered_it_may_be_left_out_and_an_existing_one_stays(
    backend, rosa, app, monkeypatch, log_in, has_factor
):
    """The mailbox alone must not take a second factor away."""
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")
    if has_factor:
        backend.add_second_factor(rosa)
    use(backend, backend.issue(LinkKind.CLERK_FIRST, rosa), "")
    assert backend.session_of(log_in(rosa, NEW_PASSWORD)).awaits_code is has_factor


# Locked and unlocked


def test_a_lock_ends_sessions_and_links_and_an_unlocked_clerk_needs_a_new_first_link(backend, rosa, tim, log_in):
    """Password, app and recovery codes may be those of an intruder, against whom the lock was."""
    backend.add_second_factor(tim)
    backend.run(clerks.send_link, tim, rosa)
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("clerk_first_link", tim.email)]
    assert log_in(tim) and backend.read(tim).factor_nonce
    backend.run(clerks.lock, tim, rosa)
    assert [link.ended_as for link in backend.links()] == ["withdrawn"]
    assert all(one.ended_at for one in backend.read(select(LoginSession)))
    assert log_in(tim) is None
    with pytest.raises(AccountLocked):
        backend.run(clerks.first_link, tim)
    assert backend.read(tim).password_hash and backend.read(tim).factor_nonce, (
        "a stolen session may lock, but end nothing"
    )
    backend.run(clerks.unlock, tim, rosa)
    saved = backend.read(tim)
    assert (log_in(tim), saved.password_hash, saved.factor_nonce, saved.recovery_nonce) == (None,) * 4
    backend.run(clerks.send_link, tim, rosa)
    assert [action for action in backend.actions() if action.startswith("clerk.")] == [
        *("clerk.locked", "clerk.unlocked"),
    ]


def test_who_is_not_locked_is_not_unlocked(backend, rosa, tim, log_in):
    """A page that stands open since the lock still shows the button; it would silently lock a colleague out."""
    with pytest.raises(ChangedMeanwhile):
        backend.run(clerks.unlock, tim, rosa)
    assert log_in(tim)


@pytest.mark.parametrize("act", [clerks.lock, clerks.unlock, clerks.send_link])
def test_admins_cannot_change_their_own_access_and_the_last_one_cannot_be_locked(backend, rosa, tim, act):
    with pytest.raises(clerks.OwnAccess):
        backend.run(act, rosa, rosa)
    with pytest.raises(clerks.LastAdmin):
        backend.run(clerks.lock, rosa, tim)
    assert backend.read(rosa).locked_at is None
    assert backend.mails() == []


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_admins_who_lock_each_other_concurrently_one_stays(backend, rosa, tim, attempt):
    backend.update(tim, admin=True)
    pairs = iter([(rosa, tim), (tim, rosa)])

    def lock_the_other(tx):
        by, other = (tx.session.get(Clerk, one.id) for one in next(pairs))
        clerks.lock(tx, other, by)

    results = backend.run_concurrently(2, lock_the_other)
    assert sorted(type(result).__name__ for result in results) == ["LastAdmin", "NoneType"]
    assert [one.locked_at for one in backend.read(select(Clerk))].count(None) == 1


# Changed, left and back


def test_a_clerk_who_left_has_no_access_of_any_kind_and_returns_only_by_a_first_link(backend, rosa, tim, log_in):
    backend.add_second_factor(tim)
    backend.update(tim, admin=True)
    backend.run(clerks.send_link, tim, rosa)
    backend.run(devices.remember, tim, "Firefox")
    assert log_in(tim)
    backend.run(clerks.leave, tim, rosa, actor=f"clerk:{rosa.id}")
    gone = backend.read(tim)
    assert (gone.left_at, gone.locked_at, gone.admin) == (NOW, NOW, False)
    assert (gone.password_hash, gone.factor_nonce) == (None, None)
    assert [link.ended_as for link in backend.links()] == ["withdrawn"]
    assert all(one.ended_at for one in backend.read(select(LoginSession)))
    assert backend.read(select(KnownDevice)) == [] and log_in(tim) is None
    for act in (clerks.unlock, clerks.send_link):
        with pytest.raises((clerks.HasLeft, AccountLocked)):
            backend.run(act, tim, rosa)
    with pytest.raises(clerks.HasLeft):
        backend.run(clerks.change, tim, rosa, "Tim", "tb", True)
    backend.run(clerks.bring_back, tim, rosa)
    back = backend.read(tim)
    assert (back.left_at, back.locked_at, back.admin, back.password_hash) == (None, None, False, None)
    assert [link.kind for link in backend.links() if not link.ended_at] == [LinkKind.CLERK_FIRST]
    assert [action for action in backend.actions() if action.startswith("clerk.")] == ["clerk.left", "clerk.returned"]


def test_name_initials_and_right_change_and_the_audit_names_what_changed(backend, rosa, tim):
    backend.run(clerks.change, tim, rosa, "Tim Neu", "TN", True)
    assert (backend.read(tim).name, backend.read(tim).initials, backend.read(tim).admin) == ("Tim Neu", "TN", True)
    backend.run(clerks.change, tim, rosa, "Tim Neu", "tn", True)
    with pytest.raises(clerks.ClerkExists):
        backend.run(clerks.change, tim, rosa, "Tim Neu", "RO", True)
    with pytest.raises(clerks.OwnAccess):
        backend.run(clerks.change, rosa, rosa, "Rosa", "ro", False)
    events = backend.read(select(AuditEvent).order_by(AuditEvent.id))
    recorded = [event.details["fields"] for event in events if event.action == "clerk.changed"]
    assert recorded == [["name", "initials", "admin"], ["initials"]]


def test_the_last_admin_neither_loses_the_right_nor_leaves(backend, rosa, tim):
    """Two admins who take the right from each other at the same time, or the second of whom was locked."""
    for act in (lambda tx, *who: clerks.change(tx, *who, "Rosa", "ro", False), clerks.leave, clerks.lock):
        with pytest.raises(clerks.LastAdmin):
            backend.run(act, rosa, tim)
    assert backend.read(rosa).admin and backend.read(rosa).left_at is None
