"""While no mail leaves, the customer who asks for a link and the clerk at the desk read so."""

import pytest

from kmzportal.mail.smtp import SENT
from kmzportal.services import outbox
from tests.answers import DOWN
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


@pytest.mark.parametrize("down", [False, True])
def test_what_a_request_for_an_account_does_to_the_mails_does_not_change_what_anyone_reads(
    app, backend, desk, erika, max_, clock, monkeypatch, down
):
    """Only an address with an account causes a mail that fails, or that ends an outage by being sent."""
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)
    with backend.transaction() as tx:
        outbox.record_result(tx, outbox.SERVER_LOOP, "Der Mailserver ist nicht erreichbar" if down else None)
    anyone = Browser(app).open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": "x@kmz.example"})
    assert ("Der E-Mail-Versand ist gerade gestört" in anyone.text) is down
    mail = backend.run(lambda tx, one: tx.send("password_changed", one), max_)
    with backend.transaction() as tx:
        claimed = outbox.claim(tx, mail.id)
        outbox.settle(tx, mail.id, claimed.tries, SENT if down else DOWN)
    assert ("Mailversand gestört" in desk.open("/kundenservice/postausgang").text) is not down
    assert ("Der E-Mail-Versand ist gerade gestört" in anyone.open("/passwort-vergessen/gesendet").text) is down
