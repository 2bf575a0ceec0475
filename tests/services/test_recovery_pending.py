"""Passwort vergessen at an address that waits to be confirmed: the desk's open link decides."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.services import accounts
from kmzportal.services import links as link_service
from tests.services.links import links

pytestmark = pytest.mark.usefixtures("clock")


def desk_link_for(backend, juergen):
    link = backend.run(link_service.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro", actor="clerk:1")
    return backend.run(link_service.send, link) or link


def test_juergen_who_types_his_new_address_gets_the_desks_link_again(backend, ask, juergen):
    link = desk_link_for(backend, juergen)
    assert ask(juergen.pending_email) == "sent"
    assert [(mail.recipient, mail.link_id) for mail in backend.mails()] == [(juergen.pending_email, link.id)] * 2
    assert len(links(backend)) == 1


@pytest.mark.parametrize("over", ["expired", "withdrawn"])
def test_without_an_open_link_his_new_address_is_still_nobodys(backend, ask, juergen, clock, over):
    desk_link_for(backend, juergen)
    if over == "expired":
        clock.shift(timedelta(hours=72))
    else:
        backend.run(link_service.end, juergen, over, {LinkKind.DESK})
    assert ask(juergen.pending_email) == "unknown"
    assert len(backend.mails()) == 1


def test_his_old_address_gets_a_link_of_its_own(backend, ask, juergen):
    desk_link_for(backend, juergen)
    assert ask(juergen.email) == "sent"
    assert backend.mails("recovery_link")[0].recipient == juergen.email


def test_locked_he_gets_no_link_at_his_new_address_either(backend, ask, juergen):
    desk_link_for(backend, juergen)
    with backend.transaction("clerk:1") as tx:
        tx.session.get(type(juergen), juergen.id).locked_at = tx.now
    assert ask(juergen.pending_email) == "locked"
    assert len(backend.mails("desk_link")) == 1


def test_an_address_that_somebody_else_only_wished_for_does_not_block_him(backend, ask, juergen, erika):
    """Erika entered Jürgen's new address as hers; his open link from the desk still decides."""
    backend.run(accounts.request_address_change, erika, juergen.pending_email)
    link = desk_link_for(backend, juergen)
    assert ask(juergen.pending_email) == "sent"
    assert backend.mails()[-1].link_id == link.id


def test_the_stored_address_goes_before_a_pending_one(backend, ask, erika, max_):
    backend.run(accounts.request_address_change, max_, erika.email)
    ask(erika.email)
    assert backend.mails("recovery_link")[0].customer_id == erika.id
