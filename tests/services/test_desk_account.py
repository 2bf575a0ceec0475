"""A new customer at the desk, and an account that is locked and opened again."""

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import LinkState
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.customer import Customer
from kmzportal.domain.refusals import AddressTaken
from kmzportal.services import desk
from tests import cast
from tests.services.conftest import NEW

pytestmark = pytest.mark.usefixtures("clock")


def test_a_new_customer_has_no_password_and_can_be_sent_a_link(deeds, rosas):
    rosas(desk.create, "K-2001", "Neu@schule.example", {"last_name": "Neumann", "school": "GMS"})
    (neu,) = deeds.read(select(Customer).where(Customer.number == "K-2001"))
    assert (neu.password_hash, neu.email, neu.school, neu.town) == (None, "Neu@schule.example", "GMS", "")
    rosas(desk.send_link, neu, "ro")
    assert deeds.history()[0] == "customer.created"


def test_nobody_gets_what_somebody_has(rosas, erika):
    with pytest.raises(AddressTaken):
        rosas(desk.create, "K-2001", erika.email.upper(), {"last_name": "Neumann"})
    with pytest.raises(desk.NumberTaken):
        rosas(desk.create, erika.number, NEW, {"last_name": "Neumann"})


def test_a_lock_ends_all_and_stands_in_history_with_its_reason(deeds, rosas, erika, corrected):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    rosas(desk.lock, erika, "Gerät gestohlen")
    assert deeds.session_of(token).ended_at
    assert deeds.read(corrected).ended_as == LinkState.WITHDRAWN
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    rosas(desk.unlock, erika, "Gerät gefunden")
    assert deeds.log_in(erika.email, cast.password_of(erika))
    events = deeds.read(select(AuditEvent).where(AuditEvent.deed.startswith("account.")).order_by(AuditEvent.id))
    assert [(event.in_german, event.remark) for event in events] == [
        ("Konto gesperrt", "Gerät gestohlen"),
        ("Konto entsperrt", "Gerät gefunden"),
    ]
