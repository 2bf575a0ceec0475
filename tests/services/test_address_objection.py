"""The old address is told, and can object: Das war ich nicht."""

from datetime import timedelta

import pytest

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import account_link, address
from tests import cast
from tests.services.conftest import ASKED as NEW
from tests.services.links import link_of

pytestmark = pytest.mark.usefixtures("clock")


def test_das_war_ich_nicht_locks_the_account_and_ends_its_sessions(deeds, erika, asked):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    recovery = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    deeds.do(address.object_to, link_of(deeds, "address_change_asked"), cast.NOW)
    here = deeds.read(erika)
    assert (here.locked_at, here.pending_email) == (cast.NOW, None)
    assert not deeds.session_of(token).alive(cast.NOW)
    assert [deeds.read(link).state(cast.NOW) for link in (asked, recovery)] == [LinkState.WITHDRAWN] * 2
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert deeds.history().count("address.objected") == 1


def test_it_works_a_week_long_after_the_change_too(deeds, erika, asked, clock):
    deeds.do(address.confirm, asked, cast.NOW)
    later = cast.NOW + timedelta(days=7, seconds=-1)
    clock.move_to(later)
    deeds.do(address.object_to, link_of(deeds, "address_changed_old"), later)
    assert deeds.read(erika).locked_at == later
    assert deeds.log_in(NEW, cast.password_of(erika)) is None


def test_who_objects_twice_is_locked_since_the_first_time(deeds, erika, asked, clock):
    deeds.do(address.confirm, asked, cast.NOW)
    deeds.do(address.object_to, link_of(deeds, "address_changed_old"), cast.NOW)
    clock.shift(60)
    deeds.do(address.object_to, link_of(deeds, "address_change_asked"), cast.NOW)
    assert deeds.read(erika).locked_at == cast.NOW


def test_an_objection_and_a_confirmation_at_once_never_leave_the_thief_inside(deeds, erika, asked):
    objection = link_of(deeds, "address_change_asked")
    turns = iter([(address.confirm, asked), (address.object_to, objection)])

    def the_next(work):
        deed, link = next(turns)
        deed(work, work.session.get(AccountLink, link.id), cast.NOW)

    deeds.at_once(2, the_next)
    assert deeds.read(erika).locked_at


def test_other_mails_do_not_silence_the_warning_to_the_old_address(deeds, erika):
    with deeds.work() as work:
        for _ in range(10):
            work.send("password_changed", erika)
    deeds.do(address.ask_to_change, erika, NEW)
    deeds.do(address.confirm, link_of(deeds, "address_link"), cast.NOW)
    assert len(deeds.mails("address_change_asked", "address_changed_old")) == 2
