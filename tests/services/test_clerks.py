"""Clerks: added, their first link, locked and unlocked."""

import pytest
from sqlalchemy import select

from kmzportal.models import Clerk, LinkKind, LoginSession
from kmzportal.services import clerks
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import AccountLocked, WrongCode
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
    backend.run(clerks.use_first_link, link, NOW, hash_password(NEW_PASSWORD), NONCE, code)


def test_a_first_link_sets_password_and_second_factor_and_ends_sessions(backend, rosa, app_code, log_in):
    login_session = backend.session_of(log_in(rosa))
    use(backend, backend.issue(LinkKind.CLERK_FIRST, rosa), app_code())
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


def test_a_lock_ends_sessions_and_links_and_an_unlocked_clerk_keeps_password_and_factor(backend, rosa, tim, log_in):
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
    backend.run(clerks.unlock, tim, rosa)
    assert backend.session_of(log_in(tim)).awaits_code
    assert [action for action in backend.actions() if action.startswith("clerk.")] == [
        *("clerk.locked", "clerk.unlocked"),
    ]


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
