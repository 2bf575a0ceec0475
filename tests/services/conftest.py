"""What somebody did before: Rosa at the desk, Erika in her account."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkKind
from kmzportal.models.recovery_request import RecoveryRequest
from kmzportal.services import accounts, desk, recovery
from tests import people
from tests.services.links import link_of, newest
from tests.services.worker import Outbox

NEW, ASKED = "erika@neue-schule.example", "Erika@neue-schule.example"


@pytest.fixture
def rosas(backend):
    """Let Rosa do a deed, as the web does it on her behalf."""

    def do(deed, *what, now=None):
        with backend.transaction("clerk:1") as tx:
            tx.initials = "ro"
            return deed(tx, *(tx.session.get(type(one), one.id) if hasattr(one, "id") else one for one in what))

    return do


@pytest.fixture
def corrected(rosas, backend, erika):
    """Rosa corrected Erika's address; the link that was mailed to the new one."""
    rosas(desk.correct_address, erika, erika.version, NEW, "callback", "Sekretariat")
    return newest(backend, LinkKind.DESK)


@pytest.fixture
def asked(backend, erika):
    """Erika asked for her new address; the link that was mailed there."""
    backend.run(accounts.request_address_change, erika, ASKED)
    return link_of(backend, "address_link")


@pytest.fixture
def ask(backend):
    """Ask for a new password and let the worker answer; return what came of it."""

    def asked(typed, source="192.0.2.7"):
        reference = backend.run(recovery.request_link, typed, source=source)
        with backend.app.app_context(), backend.transaction("worker") as tx:
            for request_id in recovery.unanswered(tx.session):
                recovery.answer(tx, request_id)
        (request,) = backend.read(select(RecoveryRequest).where(RecoveryRequest.reference == reference))
        return request.outcome

    return asked


@pytest.fixture
def login_session(backend, erika):
    """The session in which Erika sits."""
    return backend.session_of(backend.log_in(erika.email, people.password_of(erika)))


@pytest.fixture
def box(backend, clock, erika):
    return Outbox(backend, erika)
