"""Passwort vergessen, asked and answered."""

from sqlalchemy import select

from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.services import recovery


def ask(browser, address):
    return browser.open("/passwort-vergessen").submit("Link anfordern", {"E-Mail-Adresse": address})


def let_the_worker_answer(backend):
    with backend.transaction("worker") as tx:
        waiting = recovery.unanswered(tx.session)
    for request in waiting:
        backend.run(recovery.answer, request, actor="worker")


def requests(backend):
    return backend.read(select(RecoveryRequest).order_by(RecoveryRequest.id))
