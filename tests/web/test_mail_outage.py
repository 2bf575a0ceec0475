"""While no mail leaves, the customer who asks for a link and the clerk at the desk read so."""

import pytest

from kmzportal.services import outbox
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.parametrize("outage", [False, True])
def test_an_outage_is_shown_to_customers_and_clerks_alike(app, backend, desk, erika, clock, monkeypatch, outage):
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)
    clock.shift(61 if outage else 60)
    customer = Browser(app).open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": erika.email})
    assert ("Der E-Mail-Versand ist gerade gestört" in customer.text) is outage
    assert ("bekommen Sie gleich eine E-Mail" in customer.text) is not outage
    assert ("Mailversand gestört" in desk.open("/kundenservice/postausgang").text) is outage
