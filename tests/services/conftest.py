"""Fixtures that several service tests use: log in, act as a clerk, use a link, ask for a new password."""

from functools import partial

import pytest
from sqlalchemy import select

from kmzportal.models import LinkKind, RecoveryRequest
from kmzportal.services import accounts, desk, recovery
from tests.people import NEW_EMAIL, password_of


@pytest.fixture
def as_clerk(backend):
    """Run a service function as a clerk with the initials `ro`."""
    return partial(backend.run, actor="clerk:1", initials="ro")


@pytest.fixture
def log_in(backend):
    """Log in with the sample password or another one; returns the token, or None."""

    def log_in(person, password=None, source=None):
        return backend.log_in(person.email, password or password_of(person), source, type(person))

    return log_in


@pytest.fixture
def login_session(backend, erika, log_in):
    return backend.session_of(log_in(erika))


@pytest.fixture
def address_link(backend, erika):
    """Erika entered NEW_EMAIL in Konto anpassen; the link that was mailed there."""
    backend.run(accounts.request_address_change, erika, NEW_EMAIL)
    return backend.links(LinkKind.ADDRESS)[-1]


@pytest.fixture
def corrected_link(as_clerk, backend, erika):
    """The desk corrected Erika's address to NEW_EMAIL; the link that was mailed there."""
    as_clerk(desk.correct_address, erika, erika.version, NEW_EMAIL, "callback", "Sekretariat")
    return backend.links(LinkKind.DESK)[-1]


@pytest.fixture
def ask(backend):
    """Ask for a new password and let the worker answer all requests; returns the outcome, None if nothing is stored."""

    def ask(typed, source="192.0.2.7", device=None):
        with backend.transaction(source=source) as tx:
            given = tx.session, tx.now, tx.settings, tx.keys, source, typed, device
            if counted := recovery.only_counted(*given):
                tx.count(counted, tx.hour)
                return None
            reference = recovery.request_link(tx, typed, device)
        with backend.transaction("worker") as tx:
            for request_id in recovery.answer_unknown(tx, recovery.unanswered(tx.session)):
                recovery.answer(tx, request_id)
            return tx.session.scalar(select(RecoveryRequest.outcome).where(RecoveryRequest.reference == reference))

    return ask
