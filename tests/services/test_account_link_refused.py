"""A link is refused for what its kind is not for, and whenever its holder is locked."""

import pytest

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.refusals import AccountLocked, LinkUnusable
from kmzportal.services import address, password
from tests import cast
from tests.services.links import open_links, set_password

pytestmark = pytest.mark.usefixtures("clock")


def test_locked_lieselotte_gets_no_link(deeds, lieselotte, issue):
    with pytest.raises(AccountLocked):
        issue(LinkKind.DESK, lieselotte)
    assert open_links(deeds) == deeds.mails() == []
    assert deeds.history() == ["link.refused"]


def test_a_lock_that_comes_later_stops_the_link_too(deeds, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    with deeds.work("clerk:1") as work:
        work.session.get(type(erika), erika.id).locked_at = work.now
    with pytest.raises(AccountLocked):
        set_password(deeds, link)
    assert deeds.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("portal", ["postgresql"], indirect=True)  # SQLite lets no other deed begin
def test_a_lock_that_comes_while_the_deed_has_begun_counts(deeds, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    with pytest.raises(AccountLocked), deeds.work() as work:
        mine = work.session.get(AccountLink, link.id)
        assert mine.holder.locked_at is None
        with deeds.work("clerk:1") as other:
            other.session.get(type(erika), erika.id).locked_at = other.now
        password.set_by_link(work, mine, cast.NOW, "$argon2id$x")
    assert deeds.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("kind", [LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_a_link_that_is_not_for_passwords_sets_none(deeds, erika, issue, kind):
    with pytest.raises(LinkUnusable):
        set_password(deeds, issue(kind, erika))
    assert deeds.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.OBJECTION])
def test_a_link_that_is_not_for_addresses_confirms_none(deeds, juergen, issue, kind):
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, issue(kind, juergen, juergen.pending_email), cast.NOW)
    assert deeds.read(juergen).email == juergen.email


def test_a_link_that_is_not_for_objecting_locks_nobody(deeds, erika, issue):
    with pytest.raises(LinkUnusable):
        deeds.do(address.object_to, issue(LinkKind.RECOVERY, erika), cast.NOW)
    assert deeds.read(erika).locked_at is None
