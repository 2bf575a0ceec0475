"""What somebody did before: Rosa at the desk, Erika in her account, the office with its list."""

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.recovery_request import RecoveryRequest
from kmzportal.services import address, desk, recovery
from tests import cast
from tests.office import Office, counts, customer, row
from tests.services.links import link_of, newest
from tests.services.worker import Outbox

NEW, ASKED = "erika@neue-schule.example", "Erika@neue-schule.example"


@pytest.fixture
def rosas(deeds):
    """Let Rosa do a deed, as the web does it on her behalf."""

    def do(deed, *what, now=None):
        with deeds.work("clerk:1") as work:
            work.initials = "ro"
            return deed(work, *(work.session.get(type(one), one.id) if hasattr(one, "id") else one for one in what))

    return do


@pytest.fixture
def corrected(rosas, deeds, erika):
    """Rosa corrected Erika's address; the link that was mailed to the new one."""
    rosas(desk.correct_address, erika, erika.version, NEW, "callback", "Sekretariat")
    return newest(deeds, LinkKind.DESK)


@pytest.fixture
def asked(deeds, erika):
    """Erika asked for her new address; the link that was mailed there."""
    deeds.do(address.ask_to_change, erika, ASKED)
    return link_of(deeds, "address_link")


@pytest.fixture
def ask(deeds):
    """Ask for a new password and let the worker answer; return what came of it."""

    def asked(typed, source="192.0.2.7"):
        reference = deeds.do(recovery.ask, typed, source=source)
        with deeds.app.app_context(), deeds.work("worker") as work:
            for request_id in recovery.unanswered(work.session):
                recovery.answer(work, request_id)
        (request,) = deeds.read(select(RecoveryRequest).where(RecoveryRequest.reference == reference))
        return request.outcome

    return asked


@pytest.fixture
def here(deeds, erika):
    """The session in which Erika sits."""
    return deeds.session_of(deeds.log_in(erika.email, cast.password_of(erika)))


@pytest.fixture
def box(deeds, clock, erika):
    return Outbox(deeds, erika)


@pytest.fixture
def office(deeds, tmp_path):
    return Office(deeds, tmp_path)


@pytest.fixture
def known(office):
    """Anneliese, as the last import brought her."""
    assert counts(office.sends(row())) == {"Neu": 1}
    return customer(office)
