"""When no mail leaves the house, the desk hears since when, and why."""

from datetime import timedelta

import pytest

from kmzportal.domain.outgoing_mail import MailState
from kmzportal.services import heartbeat, outbox
from kmzportal.services.disturbance import BY_ITSELF, SILENT, UNSET, disturbance
from kmzportal.services.outbox import Answer
from tests.answers import DOWN
from tests.cast import NOW

WITH_SERVER = {"MAIL_SERVER": "localhost"}

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def said(deeds):
    """Return what the desk is told."""
    return lambda settings=WITH_SERVER: deeds.do(lambda work: disturbance(work.session, work.now, settings))


@pytest.fixture
def worker(deeds):
    """The worker gives a sign of life."""

    def beat():
        for loop in heartbeat.LOOPS:
            deeds.do(heartbeat.beat, loop)

    beat()
    return beat


@pytest.fixture
def try_(deeds):
    def try_(mail, answer):
        claimed = deeds.do(outbox.claim, mail.id)
        deeds.do(outbox.settle, mail.id, claimed.leased_until, answer)

    return try_


@pytest.fixture
def mail(deeds, erika):
    return deeds.do(lambda work, one: work.send("password_changed", one), erika)


def test_all_is_well(said, worker, mail):
    assert said() is None


def test_a_worker_that_is_silent_for_a_minute(said, worker, clock):
    clock.shift(timedelta(seconds=61))
    assert (said().since, said().why) == (NOW, SILENT)


def test_a_worker_that_never_was(said, clock, mail):
    clock.shift(timedelta(minutes=5))
    assert (said().since, said().why) == (NOW, SILENT)


def test_no_mail_server_is_a_disturbance_but_not_in_the_demo(said, worker, mail):
    assert (said({"MAIL_SERVER": ""}).since, said({"MAIL_SERVER": ""}).why) == (NOW, UNSET)
    assert said({"MAIL_SERVER": "", "DEMO": True}) is None


def test_without_a_mail_that_waits_nobody_can_say_since_when(said, worker):
    assert said({"MAIL_SERVER": ""}).since is None


def test_a_mail_server_that_fails_since_the_first_failing_and_until_it_answers(said, worker, try_, mail, clock):
    try_(mail, DOWN)
    clock.shift(timedelta(minutes=2))
    worker()
    try_(mail, DOWN)
    assert said().since == NOW
    assert said().why == f"Der Mailserver ist nicht erreichbar. {BY_ITSELF}"
    clock.shift(timedelta(minutes=10))
    worker()
    try_(mail, Answer(MailState.REFUSED, 550, "Adresse unbekannt"))
    assert said() is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an"),
        Answer(MailState.REFUSED, reason="Das ist keine gültige E-Mail-Adresse"),
    ],
)
def test_what_one_mail_suffers_is_no_disturbance(said, worker, try_, mail, answer):
    try_(mail, answer)
    assert said() is None


def test_a_mail_that_cannot_be_written_does_not_end_the_disturbance(said, worker, try_, mail, deeds, max_, clock):
    try_(mail, DOWN)
    other = deeds.do(lambda work, one: work.send("password_changed", one), max_)
    try_(other, Answer(MailState.DEFERRED, reason="Die E-Mail konnte nicht geschrieben werden (LookupError)"))
    assert said().since == NOW
