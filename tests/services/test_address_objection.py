"""The old address is told, and can object: Das war ich nicht."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import accounts, links
from tests import people
from tests.services.conftest import ASKED as NEW
from tests.services.links import link_of

pytestmark = pytest.mark.usefixtures("clock")


def test_das_war_ich_nicht_locks_the_account_and_ends_its_sessions(backend, erika, asked):
    token = backend.log_in(erika.email, people.password_of(erika))
    recovery = backend.run(links.issue, LinkKind.RECOVERY, erika)
    backend.run(accounts.object_to_change, link_of(backend, "address_change_asked"), people.NOW)
    login_session = backend.read(erika)
    assert (login_session.locked_at, login_session.pending_email) == (people.NOW, None)
    assert not backend.session_of(token).alive(people.NOW)
    assert [backend.read(link).state(people.NOW) for link in (asked, recovery)] == [LinkState.WITHDRAWN] * 2
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    assert backend.actions().count("address.objected") == 1


def test_it_works_a_week_long_after_the_change_too(backend, erika, asked, clock):
    backend.run(accounts.confirm_address, asked, people.NOW)
    later = people.NOW + timedelta(days=7, seconds=-1)
    clock.move_to(later)
    backend.run(accounts.object_to_change, link_of(backend, "address_changed_old"), later)
    assert backend.read(erika).locked_at == later
    assert backend.log_in(NEW, people.password_of(erika)) is None


def test_who_objects_twice_is_locked_since_the_first_time(backend, erika, asked, clock):
    backend.run(accounts.confirm_address, asked, people.NOW)
    backend.run(accounts.object_to_change, link_of(backend, "address_changed_old"), people.NOW)
    clock.shift(60)
    backend.run(accounts.object_to_change, link_of(backend, "address_change_asked"), people.NOW)
    assert backend.read(erika).locked_at == people.NOW


@pytest.mark.both_databases
def test_an_objection_and_a_confirmation_at_once_never_leave_the_thief_inside(backend, erika, asked):
    objection = link_of(backend, "address_change_asked")
    turns = iter([(accounts.confirm_address, asked), (accounts.object_to_change, objection)])

    def the_next(tx):
        deed, link = next(turns)
        deed(tx, tx.session.get(AccountLink, link.id), people.NOW)

    backend.run_concurrently(2, the_next)
    assert backend.read(erika).locked_at


def test_other_mails_do_not_silence_the_warning_to_the_old_address(backend, erika):
    with backend.transaction() as tx:
        for _ in range(10):
            tx.send("password_changed", erika)
    backend.run(accounts.request_address_change, erika, NEW)
    backend.run(accounts.confirm_address, link_of(backend, "address_link"), people.NOW)
    assert len(backend.mails("address_change_asked", "address_changed_old")) == 2
