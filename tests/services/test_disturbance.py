"""When no mail leaves the house, the desk hears since when, and why."""

from datetime import timedelta

import pytest

from kmzportal.models.outgoing_mail import MailState
from kmzportal.services import outbox
from kmzportal.services.outbox import NO_SERVER, RESUMES, WORKER_SILENT, DeliveryResult, mail_outage
from tests.answers import DOWN
from tests.people import NOW

WITH_SERVER = {"MAIL_SERVER": "localhost"}

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def said(backend):
    """Return what the desk is told."""
    return lambda settings=WITH_SERVER: backend.run(lambda tx: mail_outage(tx.session, tx.now, settings))


@pytest.fixture
def worker(backend):
    """The worker gives a sign of life."""

    def beat():
        for loop in outbox.MAIL_LOOPS:
            backend.run(outbox.record_heartbeat, loop)

    beat()
    return beat


@pytest.fixture
def try_(backend):
    def try_(mail, answer):
        claimed = backend.run(outbox.claim, mail.id)
        backend.run(outbox.settle, mail.id, claimed.leased_until, answer)

    return try_


@pytest.fixture
def mail(backend, erika):
    return backend.run(lambda tx, one: tx.send("password_changed", one), erika)


def test_all_is_well(said, worker, mail):
    assert said() is None


def test_a_worker_that_is_silent_for_a_minute(said, worker, clock):
    clock.shift(timedelta(seconds=61))
    assert (said().since, said().why) == (NOW, WORKER_SILENT)


def test_a_worker_that_never_was(said, clock, mail):
    clock.shift(timedelta(minutes=5))
    assert (said().since, said().why) == (NOW, WORKER_SILENT)


def test_no_mail_server_is_a_disturbance_but_not_in_the_demo(said, worker, mail):
    assert (said({"MAIL_SERVER": ""}).since, said({"MAIL_SERVER": ""}).why) == (NOW, NO_SERVER)
    assert said({"MAIL_SERVER": "", "DEMO": True}) is None


def test_without_a_mail_that_waits_nobody_can_say_since_when(said, worker):
    assert said({"MAIL_SERVER": ""}).since is None


def test_a_mail_server_that_fails_since_the_first_failing_and_until_it_answers(said, worker, try_, mail, clock):
    try_(mail, DOWN)
    clock.shift(timedelta(minutes=2))
    worker()
    try_(mail, DOWN)
    assert said().since == NOW
    assert said().why == f"Der Mailserver ist nicht erreichbar. {RESUMES}"
    clock.shift(timedelta(minutes=10))
    worker()
    try_(mail, DeliveryResult(MailState.REFUSED, 550, "Adresse unbekannt"))
    assert said() is None


@pytest.mark.parametrize(
    "answer",
    [
        DeliveryResult(MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an"),
        DeliveryResult(MailState.REFUSED, reason="Das ist keine gültige E-Mail-Adresse"),
    ],
)
def test_what_one_mail_suffers_is_no_disturbance(said, worker, try_, mail, answer):
    try_(mail, answer)
    assert said() is None


def test_a_mail_that_cannot_be_written_does_not_end_the_disturbance(said, worker, try_, mail, backend, max_, clock):
    try_(mail, DOWN)
    other = backend.run(lambda tx, one: tx.send("password_changed", one), max_)
    try_(other, DeliveryResult(MailState.DEFERRED, reason="Die E-Mail konnte nicht geschrieben werden (LookupError)"))
    assert said().since == NOW
