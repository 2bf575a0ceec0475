"""The desk's links: sent to the address on file, sent again, withdrawn, and never too many."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.audit_event import AuditEvent
from kmzportal.services import accounts, desk
from kmzportal.services.refusals import AccountLocked, LinkUnusable, TooManyMails
from tests import people
from tests.services.conftest import NEW
from tests.services.links import newest

pytestmark = pytest.mark.usefixtures("clock")


def test_a_locked_account_gets_no_link(backend, rosas, lieselotte):
    with pytest.raises(AccountLocked):
        rosas(desk.send_link, lieselotte, "ro")
    assert backend.mails() == []


def test_the_stored_address_gets_a_link_and_the_older_one_dies(backend, rosas, erika, issue):
    first = issue(LinkKind.DESK, erika)
    rosas(desk.send_link, erika, "ro", "Anruf")
    assert backend.read(first).ended_as == LinkState.REPLACED
    assert backend.mails("desk_link")[-1].recipient == erika.email
    sent = backend.read(select(AuditEvent).where(AuditEvent.action == "link.sent"))[0]
    assert (sent.details["by"], sent.remark) == ("ro", "Anruf")


def test_a_link_to_the_stored_address_ends_the_desks_own_correction(backend, rosas, erika, corrected):
    rosas(desk.send_link, erika, "ro")
    assert backend.read(erika).pending_email is None
    assert backend.read(corrected).ended_as == LinkState.WITHDRAWN


def test_but_not_a_change_that_the_customer_asked_for(backend, rosas, erika):
    backend.run(accounts.request_address_change, erika, NEW)
    rosas(desk.send_link, erika, "ro")
    assert backend.read(erika).pending_email == NEW


def test_sent_again_it_is_the_same_link_and_lives_anew(backend, rosas, erika, corrected, clock):
    clock.shift(timedelta(hours=70))
    rosas(desk.send_again, corrected)
    mails = backend.mails("desk_link")
    assert [mail.recipient for mail in mails] == [NEW, NEW]
    assert {mail.link_id for mail in mails} == {corrected.id}
    assert backend.read(corrected).expires_at == people.NOW + timedelta(hours=142)


def test_a_dead_link_is_not_sent_again(rosas, corrected, clock):
    clock.shift(timedelta(hours=73))
    with pytest.raises(LinkUnusable):
        rosas(desk.send_again, corrected)


def test_a_used_up_code_needs_a_new_link(backend, rosas, corrected):
    with backend.transaction() as tx:
        tx.session.get(AccountLink, corrected.id).code_tries = 5
    with pytest.raises(LinkUnusable):
        rosas(desk.send_again, corrected)


def test_withdrawn_it_opens_nothing_and_the_address_waits_no_longer(backend, rosas, erika, corrected):
    rosas(desk.withdraw_link, corrected)
    assert backend.read(corrected).ended_as == LinkState.WITHDRAWN
    assert backend.read(erika).pending_email is None
    with pytest.raises(LinkUnusable):
        backend.run(accounts.register, corrected, people.NOW, backend.read(erika).version, {}, "hash")


def test_the_desk_cannot_take_away_an_objection(backend, rosas, corrected):
    with pytest.raises(LinkUnusable):
        rosas(desk.withdraw_link, newest(backend, LinkKind.OBJECTION))


def test_ten_mails_a_day_are_enough_for_anybody(backend, rosas, erika):
    for _ in range(10):
        rosas(desk.send_link, erika, "ro")
    with pytest.raises(TooManyMails):
        rosas(desk.send_link, erika, "ro")
    assert len(backend.mails("desk_link")) == 10
