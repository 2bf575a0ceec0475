"""A teacher whose account a stranger attacks all day: she logs in from her own device and gets a link of her own."""

from datetime import timedelta

import pytest

from kmzportal.models import LinkKind, MailState
from kmzportal.services import outbox, recovery
from kmzportal.services.outbox import DeliveryResult
from tests.browser import Browser
from tests.people import NEW_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
STRANGERS = ("198.51.100.1", "198.51.100.2", "203.0.113.7")


@pytest.fixture
def worker(backend):
    """Answer what was asked for and hand all mails over, as the background worker does."""

    def worker():
        with backend.transaction("worker") as tx:
            waiting = recovery.unanswered(tx.session)
        for request in waiting:
            backend.run(recovery.answer, request, actor="worker")
        for mail in backend.mails():
            if mail.state == MailState.QUEUED and (claimed := backend.run(outbox.claim, mail.id)):
                backend.run(outbox.settle, mail.id, claimed.tries, DeliveryResult(MailState.SENT))

    return worker


def test_a_stranger_who_tries_all_day_keeps_her_neither_from_her_device_nor_from_a_link(
    app, backend, erika, clock, worker, newest_link, mailed
):
    own = Browser(app).log_in(erika)
    own.press("Abmelden")
    strangers = [Browser(app) for _ in STRANGERS]
    for stranger, address in zip(strangers, STRANGERS, strict=True):
        stranger.client.environ_base["REMOTE_ADDR"] = address
    for _ in range(9):
        for stranger in strangers:
            for _ in range(3):
                stranger.log_in(erika, "geraten geraten geraten")
                stranger.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": erika.email})
        worker()
        clock.shift(timedelta(hours=1))

    assert own.log_in(erika).heading == "Einstellungen"
    own.press("Abmelden")
    own.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": erika.email})
    assert own.heading == "Schauen Sie in Ihr Postfach"
    worker()
    link = newest_link(kind=LinkKind.RECOVERY)
    own.open(mailed(link)).submit("Passwort speichern", {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD})
    assert own.heading == "Fertig"
    new_device = Browser(app)
    new_device.client.environ_base["REMOTE_ADDR"] = "192.0.2.77"
    assert new_device.log_in(erika, NEW_PASSWORD).heading == "Einstellungen"
    mails = [mail for mail in backend.mails() if mail.recipient == erika.email]
    assert len(mails) <= app.config["MAILS_PER_DAY"] + 5, "and her mailbox is not flooded"
