"""Whoever wants the address of somebody else learns nothing, and the first to confirm gets it."""

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.refusals import AddressTaken
from kmzportal.services import address
from tests import cast
from tests.services.conftest import ASKED as NEW
from tests.services.links import link_of

pytestmark = pytest.mark.usefixtures("clock")


def test_to_a_taken_address_goes_only_a_notice_to_its_owner(deeds, erika, max_):
    deeds.do(address.ask_to_change, erika, max_.email.upper())
    assert [(mail.template, mail.recipient) for mail in deeds.mails()] == [
        ("address_taken", max_.email),
        ("address_change_asked", erika.email),
    ]
    assert deeds.read(select(AccountLink).where(AccountLink.kind == LinkKind.ADDRESS)) == []


def test_who_asks_for_a_taken_address_learns_nothing(deeds, erika, max_, anneliese):
    """Erika asks for a free address and Anneliese for a taken one: the same for both, as far as they can see."""
    deeds.do(address.ask_to_change, erika, "frei@schule.example")
    deeds.do(address.ask_to_change, anneliese, max_.email)
    events = [event for event in deeds.history() if event != "link.issued"]
    assert events == ["address.change_asked"] * 2
    assert deeds.read(erika).pending_email
    assert deeds.read(anneliese).pending_email == max_.email


def test_of_two_who_want_one_address_the_first_to_confirm_gets_it(deeds, erika, max_, asked):
    deeds.do(address.ask_to_change, max_, NEW)
    his = link_of(deeds, "address_link")
    deeds.do(address.confirm, his, cast.NOW)
    with pytest.raises(AddressTaken):
        deeds.do(address.confirm, asked, cast.NOW)
    here = deeds.read(erika)
    assert (here.email, here.pending_email) == (erika.email, NEW)
    assert deeds.read(asked).ended_at is None
    assert deeds.history()[-1] == "address.refused"


def test_at_the_same_moment_too(deeds, erika, max_, asked):
    deeds.do(address.ask_to_change, max_, NEW)
    turns = iter([asked, link_of(deeds, "address_link")])

    def confirm_the_next(work):
        address.confirm(work, work.session.get(AccountLink, next(turns).id), cast.NOW)

    results = deeds.at_once(2, confirm_the_next)
    assert sorted(type(result).__name__ for result in results) == ["AddressTaken", "NoneType"]
    assert sorted([deeds.read(erika).email == NEW, deeds.read(max_).email == NEW]) == [False, True]
