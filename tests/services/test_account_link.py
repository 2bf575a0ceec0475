"""A link works once, until it expires, and for whoever holds it; a newer one replaces it."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import accounts
from kmzportal.services import links as link_service
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import LinkUnusable
from tests import people
from tests.services.links import open_links, set_password

pytestmark = pytest.mark.usefixtures("clock")
LIFETIMES = [(LinkKind.RECOVERY, 2), (LinkKind.DESK, 72), (LinkKind.ADDRESS, 24), (LinkKind.OBJECTION, 168)]
SECOND = timedelta(seconds=1)


def test_a_link_works_only_once(backend, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    set_password(backend, link)
    with pytest.raises(LinkUnusable):
        set_password(backend, link)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.actions().count("link.redeemed") == 1


@pytest.mark.both_databases
def test_of_six_who_use_it_at_once_exactly_one_wins(backend, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    hashes = iter([hash_password(f"{people.NEW_PASSWORD} {number}") for number in range(6)])
    results = backend.run_concurrently(
        6, lambda tx, link: accounts.set_password_by_link(tx, link, people.NOW, next(hashes)), link
    )
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable"] * 5 + ["NoneType"]
    assert backend.read(erika).version == erika.version + 1
    assert len(backend.mails("password_set")) == 1
    assert backend.actions().count("link.refused") == 5


@pytest.mark.both_databases
def test_two_links_of_one_person_used_at_once_do_not_wait_in_a_circle(backend, erika, issue):
    links = [issue(LinkKind.RECOVERY, erika) for _ in range(4)]
    turns = iter(links)

    def use_the_next(tx):
        link = tx.session.get(AccountLink, next(turns).id)
        accounts.set_password_by_link(tx, link, people.NOW, "$argon2id$x")

    results = backend.run_concurrently(4, use_the_next)
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable"] * 3 + ["NoneType"]


def test_a_link_found_by_its_token_is_the_one_that_was_mailed(backend, erika, max_, issue):
    link, _ = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    with backend.transaction() as tx:
        assert link_service.find(tx.session, backend.keys.token(link)).id == link.id
        for guess in ("", "x" * 43, link.token_hash, link.nonce):
            assert link_service.find(tx.session, guess) is None


@pytest.mark.parametrize(("kind", "hours"), LIFETIMES)
def test_each_kind_of_link_has_its_lifetime(backend, erika, issue, kind, hours):
    link = issue(kind, erika)
    assert link.usable(people.NOW + timedelta(hours=hours) - SECOND)
    assert not link.usable(people.NOW + timedelta(hours=hours) + SECOND)


def test_a_second_before_it_expires_a_link_is_good(backend, erika, issue, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at - SECOND)
    set_password(backend, link, arrived=link.expires_at - SECOND)


def test_a_second_later_it_is_not(backend, erika, issue, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at + SECOND)
    with pytest.raises(LinkUnusable):
        set_password(backend, link, arrived=link.expires_at + SECOND)
    assert backend.read(link).state(link.expires_at + SECOND) is LinkState.EXPIRED


def test_whoever_arrived_in_time_may_finish(backend, erika, issue, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at + timedelta(minutes=20))
    set_password(backend, link, arrived=link.expires_at - SECOND)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)


def test_a_newer_link_from_the_desk_replaces_the_one_before(backend, erika, issue):
    first, second = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, erika)
    assert backend.read(first).state(people.NOW) is LinkState.REPLACED
    assert open_links(backend) == [second.id]


@pytest.mark.both_databases
def test_of_links_the_desk_sends_at_once_one_stays_open(backend, erika):
    backend.run_concurrently(4, lambda tx, erika: link_service.issue(tx, LinkKind.DESK, erika), erika)
    assert len(open_links(backend)) == 1


def test_a_link_of_one_person_ends_nobody_elses(backend, erika, max_, issue):
    hers, his = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, max_)
    assert open_links(backend) == [hers.id, his.id]


def test_opening_is_noted_once(backend, erika, issue, clock):
    link = issue(LinkKind.DESK, erika)
    backend.run(link_service.mark_opened, link)
    clock.shift(60)
    backend.run(link_service.mark_opened, link)
    assert backend.read(link).opened_at == people.NOW
    assert backend.actions().count("link.opened") == 1


def test_a_clerks_first_link_sets_the_clerks_password(backend, rosa, issue):
    link = issue(LinkKind.CLERK_FIRST, rosa)
    set_password(backend, link)
    assert backend.read(rosa).password_hash != rosa.password_hash
    assert backend.mails("clerk_password_set")[0].clerk_id == rosa.id
