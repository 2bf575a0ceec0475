"""Whoever wants the address of somebody else learns nothing, and the first to confirm gets it."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.services import accounts
from kmzportal.services.refusals import AddressTaken
from tests import people
from tests.services.conftest import ASKED as NEW
from tests.services.links import link_of

pytestmark = pytest.mark.usefixtures("clock")


def test_to_a_taken_address_goes_only_a_notice_to_its_owner(backend, erika, max_):
    backend.run(accounts.request_address_change, erika, max_.email.upper())
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [
        ("address_taken", max_.email),
        ("address_change_asked", erika.email),
    ]
    assert backend.read(select(AccountLink).where(AccountLink.kind == LinkKind.ADDRESS)) == []


def test_who_asks_for_a_taken_address_learns_nothing(backend, erika, max_, anneliese):
    """Erika asks for a free address and Anneliese for a taken one: the same for both, as far as they can see."""
    backend.run(accounts.request_address_change, erika, "frei@schule.example")
    backend.run(accounts.request_address_change, anneliese, max_.email)
    events = [event for event in backend.actions() if event != "link.issued"]
    assert events == ["address.change_asked"] * 2
    assert backend.read(erika).pending_email
    assert backend.read(anneliese).pending_email == max_.email


def test_of_two_who_want_one_address_the_first_to_confirm_gets_it(backend, erika, max_, asked):
    backend.run(accounts.request_address_change, max_, NEW)
    his = link_of(backend, "address_link")
    backend.run(accounts.confirm_address, his, people.NOW)
    with pytest.raises(AddressTaken):
        backend.run(accounts.confirm_address, asked, people.NOW)
    login_session = backend.read(erika)
    assert (login_session.email, login_session.pending_email) == (erika.email, NEW)
    assert backend.read(asked).ended_at is None
    assert backend.actions()[-1] == "address.refused"


@pytest.mark.both_databases
def test_at_the_same_moment_too(backend, erika, max_, asked):
    backend.run(accounts.request_address_change, max_, NEW)
    turns = iter([asked, link_of(backend, "address_link")])

    def confirm_the_next(tx):
        accounts.confirm_address(tx, tx.session.get(AccountLink, next(turns).id), people.NOW)

    results = backend.run_concurrently(2, confirm_the_next)
    assert sorted(type(result).__name__ for result in results) == ["AddressTaken", "NoneType"]
    assert sorted([backend.read(erika).email == NEW, backend.read(max_).email == NEW]) == [False, True]
