"""What the office's list does to addresses: a new one counts, a confirmed one stays, and nobody gets another's."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkKind
from kmzportal.models.customer import Customer
from kmzportal.services import accounts
from kmzportal.services import links as link_service
from tests.office import awaits, counts, customer, links, number, row


def test_a_new_address_counts_and_the_links_to_the_old_one_die(office, known):
    with office.backend.transaction() as tx:
        link_service.issue(tx, LinkKind.RECOVERY, tx.session.get(Customer, known.id))
        used = link_service.issue(tx, LinkKind.RECOVERY, tx.session.get(Customer, known.id))
        used.ended_at, used.ended_as = tx.now, "redeemed"
    assert counts(office.sends(row(email="Anneliese@BW-Schule.example"))) == {"Geändert": 1}
    assert customer(office).email == "Anneliese@bw-schule.example"
    assert customer(office).email_canonical == "anneliese@bw-schule.example"
    assert [link.ended_as for link in links(office)] == ["withdrawn", "redeemed"]


def test_another_spelling_of_her_address_kills_no_link(office, known):
    with office.backend.transaction() as tx:
        link_service.issue(tx, LinkKind.RECOVERY, tx.session.get(Customer, known.id))
    assert counts(office.sends(row(email="Anneliese@schule.example"))) == {"Geändert": 1}
    assert [link.ended_as for link in links(office)] == [None]


def test_an_address_she_confirmed_here_is_not_undone(office, known):
    awaits(office, known, "neu@schule.example")
    with office.backend.transaction() as tx:
        accounts.move_email(tx, tx.session.get(Customer, known.id))
    assert counts(office.sends(row())) == {"Unverändert": 1}
    assert counts(office.sends(row(email="dritte@schule.example"))) == {"Konflikt": 1}
    assert customer(office).email == "neu@schule.example"


def test_an_address_that_waits_for_its_holder_is_not_overtaken(office, known):
    awaits(office, known, "neu@schule.example")
    assert counts(office.sends(row(email="neu@schule.example"))) == {"Unverändert": 1}
    assert "hier „neu@schule.example“" in office.sends(row(email="dritte@schule.example"))["Konflikt"][0].text
    assert customer(office).email == "anneliese@schule.example"


@pytest.mark.parametrize("taken", ["max.mustermann@gms-musterstadt.example", "Max.Mustermann@GMS-Musterstadt.example"])
def test_nobody_gets_an_address_that_belongs_to_another(office, known, max_, taken):
    reason = [f"2: E-Mail gehört schon zu Kundennummer {max_.number}"]
    assert office.is_refused(row(email=taken)) == reason
    assert office.is_refused(number(7, email=taken), number(8)) == reason
    assert len(office.backend.read(select(Customer))) == 2


def test_two_may_swap_their_addresses_and_a_third_take_one_that_is_left(office):
    office.sends(number(1), number(2), number(3))
    person = [f"person{n}@schule.example" for n in range(5)]
    owners = {1: 2, 2: 1, 3: 4, 4: 3}
    list_ = [number(n, email=person[other]) for n, other in owners.items()]
    assert counts(office.sends(*list_)) == {"Geändert": 3, "Neu": 1}
    assert [customer(office, str(1000 + n)).email_canonical for n in owners] == [person[n] for n in owners.values()]
