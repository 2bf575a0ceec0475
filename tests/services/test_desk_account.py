"""A new customer at the desk, and an account that is locked and opened again."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkState
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.customer import Customer
from kmzportal.services import desk
from kmzportal.services.refusals import AddressTaken
from tests import people
from tests.services.conftest import NEW

pytestmark = pytest.mark.usefixtures("clock")


def test_a_new_customer_has_no_password_and_can_be_sent_a_link(backend, rosas):
    rosas(desk.create_customer, "K-2001", "Neu@schule.example", {"last_name": "Neumann", "school": "GMS"})
    (neu,) = backend.read(select(Customer).where(Customer.number == "K-2001"))
    assert (neu.password_hash, neu.email, neu.school, neu.town) == (None, "Neu@schule.example", "GMS", "")
    rosas(desk.send_link, neu, "ro")
    assert backend.actions()[0] == "customer.created"


def test_nobody_gets_what_somebody_has(rosas, erika):
    with pytest.raises(AddressTaken):
        rosas(desk.create_customer, "K-2001", erika.email.upper(), {"last_name": "Neumann"})
    with pytest.raises(desk.NumberTaken):
        rosas(desk.create_customer, erika.number, NEW, {"last_name": "Neumann"})


def test_a_lock_ends_all_and_stands_in_history_with_its_reason(backend, rosas, erika, corrected):
    token = backend.log_in(erika.email, people.password_of(erika))
    rosas(desk.lock, erika, "Gerät gestohlen")
    assert backend.session_of(token).ended_at
    assert backend.read(corrected).ended_as == LinkState.WITHDRAWN
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    rosas(desk.unlock, erika, "Gerät gefunden")
    assert backend.log_in(erika.email, people.password_of(erika))
    events = backend.read(select(AuditEvent).where(AuditEvent.action.startswith("account.")).order_by(AuditEvent.id))
    assert [(event.label, event.remark) for event in events] == [
        ("Konto gesperrt", "Gerät gestohlen"),
        ("Konto entsperrt", "Gerät gefunden"),
    ]
