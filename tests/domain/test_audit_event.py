"""Who did it, in the words of whoever reads it."""

import pytest

from kmzportal.models.audit_event import AuditEvent


@pytest.mark.parametrize(("actor", "details", "to_the_customer", "at_the_desk"), [
    ("customer:12", {}, "Sie selbst", "Kundin oder Kunde"),
    ("clerk:3", {"by": "ro"}, "Kundenservice (ro)", "Kundenservice (ro)"),
    ("link:5", {}, "Über den Link", "Über den Link"),
])  # fmt: skip
def test_only_her_own_history_says_you(actor, details, to_the_customer, at_the_desk):
    event = AuditEvent(action="data.changed", actor=actor, details=details)
    assert (event.actor_label, event.actor_label_for_desk) == (to_the_customer, at_the_desk)
