"""Passwort vergessen at an address that waits to be confirmed: the desk's open link decides."""

from datetime import timedelta

import pytest

from kmzportal.domain.account_link import LinkKind
from kmzportal.services import account_link, address
from tests.services.links import links

pytestmark = pytest.mark.usefixtures("clock")


def desk_link_for(deeds, juergen):
    link = deeds.do(account_link.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro", actor="clerk:1")
    return deeds.do(account_link.send, link) or link


def test_juergen_who_types_his_new_address_gets_the_desks_link_again(deeds, ask, juergen):
    link = desk_link_for(deeds, juergen)
    assert ask(juergen.pending_email) == "sent"
    assert [(mail.recipient, mail.link_id) for mail in deeds.mails()] == [(juergen.pending_email, link.id)] * 2
    assert len(links(deeds)) == 1


@pytest.mark.parametrize("over", ["expired", "withdrawn"])
def test_without_an_open_link_his_new_address_is_still_nobodys(deeds, ask, juergen, clock, over):
    desk_link_for(deeds, juergen)
    if over == "expired":
        clock.shift(timedelta(hours=72))
    else:
        deeds.do(account_link.end, juergen, over, {LinkKind.DESK})
    assert ask(juergen.pending_email) == "unknown"
    assert len(deeds.mails()) == 1


def test_his_old_address_gets_a_link_of_its_own(deeds, ask, juergen):
    desk_link_for(deeds, juergen)
    assert ask(juergen.email) == "sent"
    assert deeds.mails("recovery_link")[0].recipient == juergen.email


def test_locked_he_gets_no_link_at_his_new_address_either(deeds, ask, juergen):
    desk_link_for(deeds, juergen)
    with deeds.work("clerk:1") as work:
        work.session.get(type(juergen), juergen.id).locked_at = work.now
    assert ask(juergen.pending_email) == "locked"
    assert len(deeds.mails("desk_link")) == 1


def test_an_address_that_somebody_else_only_wished_for_does_not_block_him(deeds, ask, juergen, erika):
    """Erika entered Jürgen's new address as hers; his open link from the desk still decides."""
    deeds.do(address.ask_to_change, erika, juergen.pending_email)
    link = desk_link_for(deeds, juergen)
    assert ask(juergen.pending_email) == "sent"
    assert deeds.mails()[-1].link_id == link.id


def test_the_stored_address_goes_before_a_pending_one(deeds, ask, erika, max_):
    deeds.do(address.ask_to_change, max_, erika.email)
    ask(erika.email)
    assert deeds.mails("recovery_link")[0].customer_id == erika.id
