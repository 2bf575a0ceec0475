"""A link works once, until it expires, and for whoever holds it; a newer one replaces it."""

from datetime import timedelta

import pytest

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import LinkUnusable
from kmzportal.services import account_link, password
from tests import cast
from tests.services.links import open_links, set_password

pytestmark = pytest.mark.usefixtures("clock")
LIFETIMES = [(LinkKind.RECOVERY, 2), (LinkKind.DESK, 72), (LinkKind.ADDRESS, 24), (LinkKind.OBJECTION, 168)]
SECOND = timedelta(seconds=1)


def test_a_link_works_only_once(deeds, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    set_password(deeds, link)
    with pytest.raises(LinkUnusable):
        set_password(deeds, link)
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)
    assert deeds.history().count("link.redeemed") == 1


def test_of_six_who_use_it_at_once_exactly_one_wins(deeds, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    hashes = iter([hash_password(f"{cast.NEW_PASSWORD} {number}") for number in range(6)])
    results = deeds.at_once(6, lambda work, link: password.set_by_link(work, link, cast.NOW, next(hashes)), link)
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable"] * 5 + ["NoneType"]
    assert deeds.read(erika).version == erika.version + 1
    assert len(deeds.mails("password_set")) == 1
    assert deeds.history().count("link.refused") == 5


def test_two_links_of_one_person_used_at_once_do_not_wait_in_a_circle(deeds, erika, issue):
    links = [issue(LinkKind.RECOVERY, erika) for _ in range(4)]
    turns = iter(links)

    def use_the_next(work):
        link = work.session.get(AccountLink, next(turns).id)
        password.set_by_link(work, link, cast.NOW, "$argon2id$x")

    results = deeds.at_once(4, use_the_next)
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable"] * 3 + ["NoneType"]


def test_a_link_found_by_its_token_is_the_one_that_was_mailed(deeds, erika, max_, issue):
    link, _ = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    with deeds.work() as work:
        assert account_link.find(work.session, deeds.keys.token(link)).id == link.id
        for guess in ("", "x" * 43, link.token_hash, link.nonce):
            assert account_link.find(work.session, guess) is None


@pytest.mark.parametrize(("kind", "hours"), LIFETIMES)
def test_each_kind_of_link_has_its_lifetime(deeds, erika, issue, kind, hours):
    link = issue(kind, erika)
    assert link.usable(cast.NOW + timedelta(hours=hours) - SECOND)
    assert not link.usable(cast.NOW + timedelta(hours=hours) + SECOND)


def test_a_second_before_it_expires_a_link_is_good(deeds, erika, issue, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at - SECOND)
    set_password(deeds, link, arrived=link.expires_at - SECOND)


def test_a_second_later_it_is_not(deeds, erika, issue, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at + SECOND)
    with pytest.raises(LinkUnusable):
        set_password(deeds, link, arrived=link.expires_at + SECOND)
    assert deeds.read(link).state(link.expires_at + SECOND) is LinkState.EXPIRED


def test_whoever_arrived_in_time_may_finish(deeds, erika, issue, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at + timedelta(minutes=20))
    set_password(deeds, link, arrived=link.expires_at - SECOND)
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)


def test_a_newer_link_from_the_desk_replaces_the_one_before(deeds, erika, issue):
    first, second = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, erika)
    assert deeds.read(first).state(cast.NOW) is LinkState.REPLACED
    assert open_links(deeds) == [second.id]


def test_of_links_the_desk_sends_at_once_one_stays_open(deeds, erika):
    deeds.at_once(4, lambda work, erika: account_link.issue(work, LinkKind.DESK, erika), erika)
    assert len(open_links(deeds)) == 1


def test_a_link_of_one_person_ends_nobody_elses(deeds, erika, max_, issue):
    hers, his = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, max_)
    assert open_links(deeds) == [hers.id, his.id]


def test_opening_is_noted_once(deeds, erika, issue, clock):
    link = issue(LinkKind.DESK, erika)
    deeds.do(account_link.open_link, link)
    clock.shift(60)
    deeds.do(account_link.open_link, link)
    assert deeds.read(link).opened_at == cast.NOW
    assert deeds.history().count("link.opened") == 1


def test_a_clerks_first_link_sets_the_clerks_password(deeds, rosa, issue):
    link = issue(LinkKind.CLERK_FIRST, rosa)
    set_password(deeds, link)
    assert deeds.read(rosa).password_hash != rosa.password_hash
    assert deeds.mails("clerk_password_set")[0].clerk_id == rosa.id
