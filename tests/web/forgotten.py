"""Passwort vergessen, asked and answered."""

from sqlalchemy import select

from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.services import recovery


def ask(browser, address):
    return browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": address})


def let_the_worker_answer(deeds):
    with deeds.work("worker") as work:
        waiting = recovery.unanswered(work.session)
    for request in waiting:
        deeds.do(recovery.answer, request, actor="worker")


def requests(deeds):
    return deeds.read(select(RecoveryRequest).order_by(RecoveryRequest.id))
