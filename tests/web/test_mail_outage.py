"""While no mail leaves, the customer who asks for a link and the clerk at the desk are told the same."""

import pytest

from kmzportal.models.outgoing_mail import MailState
from kmzportal.services import outbox, sessions
from kmzportal.services.outbox import DeliveryResult
from tests.browser import Browser

OUTAGE = "Der E-Mail-Versand ist gerade gestört"
PROMISE = "bekommen Sie gleich eine E-Mail"
REFUSED = DeliveryResult(MailState.DEFERRED, 535, "Der Mailserver nimmt unsere Anmeldung nicht an", server_failed=True)


@pytest.fixture
def heartbeat(backend, clock):
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)


@pytest.fixture
def pages(app, backend, erika, rosa):
    """Return whether the customer's page and the desk's each say that mail does not leave; never only one of them."""

    def pages():
        customer = Browser(app).open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": erika.email})
        desk = Browser(app).come_in(backend.run(sessions.start_session, rosa, "Firefox").token)
        assert (OUTAGE in customer.text) != (PROMISE in customer.text)
        return OUTAGE in customer.text, "Mailversand gestört" in desk.open("/kundenservice/postausgang").text

    return pages


@pytest.fixture
def server(app, monkeypatch):
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")


def test_no_outage_while_worker_and_mail_server_work(server, heartbeat, pages):
    assert pages() == (False, False)


def test_without_a_mail_server(heartbeat, pages):
    assert pages() == (True, True)


def test_a_worker_is_silent_after_sixty_seconds_without_a_heartbeat(server, heartbeat, pages, clock):
    clock.shift(60)
    assert pages() == (False, False)
    clock.shift(1)
    assert pages() == (True, True)


def test_a_heartbeat_of_only_one_loop(server, backend, clock, pages):
    backend.run(outbox.record_heartbeat, outbox.REQUESTS_LOOP)
    assert pages() == (True, True)


def test_a_mail_server_that_refuses_every_mail(server, heartbeat, pages, backend, erika):
    with backend.transaction("worker") as tx:
        mail = tx.send("password_changed", erika)
        tx.session.flush()
        claimed = outbox.claim(tx, mail.id)
        outbox.settle(tx, mail.id, claimed.leased_until, REFUSED)
    assert pages() == (True, True)
