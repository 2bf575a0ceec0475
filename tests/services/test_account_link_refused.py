"""A link is refused for what its kind is not for, and whenever its holder is locked."""

import pytest

from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.services import accounts
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from tests import people
from tests.services.links import open_links, set_password

pytestmark = pytest.mark.usefixtures("clock")


def test_locked_lieselotte_gets_no_link(backend, lieselotte, issue):
    with pytest.raises(AccountLocked):
        issue(LinkKind.DESK, lieselotte)
    assert open_links(backend) == backend.mails() == []
    assert backend.actions() == ["link.refused"]


def test_a_lock_that_comes_later_stops_the_link_too(backend, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    with backend.transaction("clerk:1") as tx:
        tx.session.get(type(erika), erika.id).locked_at = tx.now
    with pytest.raises(AccountLocked):
        set_password(backend, link)
    assert backend.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("portal", ["postgresql"], indirect=True)  # SQLite lets no other deed begin
def test_a_lock_that_comes_while_the_deed_has_begun_counts(backend, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    with pytest.raises(AccountLocked), backend.transaction() as tx:
        mine = tx.session.get(AccountLink, link.id)
        assert mine.holder.locked_at is None
        with backend.transaction("clerk:1") as other:
            other.session.get(type(erika), erika.id).locked_at = other.now
        accounts.set_password_by_link(tx, mine, people.NOW, "$argon2id$x")
    assert backend.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("kind", [LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_a_link_that_is_not_for_passwords_sets_none(backend, erika, issue, kind):
    with pytest.raises(LinkUnusable):
        set_password(backend, issue(kind, erika))
    assert backend.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.OBJECTION])
def test_a_link_that_is_not_for_addresses_confirms_none(backend, juergen, issue, kind):
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, issue(kind, juergen, juergen.pending_email), people.NOW)
    assert backend.read(juergen).email == juergen.email


def test_a_link_that_is_not_for_objecting_locks_nobody(backend, erika, issue):
    with pytest.raises(LinkUnusable):
        backend.run(accounts.object_to_change, issue(LinkKind.RECOVERY, erika), people.NOW)
    assert backend.read(erika).locked_at is None
