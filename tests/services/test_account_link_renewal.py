"""A link that is over is renewed at one click, three times at most, and only where it was sent."""

from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.services import links
from kmzportal.services.refusals import LinkUnusable
from tests.services.links import newest, set_password

pytestmark = pytest.mark.usefixtures("clock")


def test_after_five_wrong_codes_a_fresh_link_with_another_code_is_one_click_away(backend, erika, issue):
    link = issue(LinkKind.DESK, erika)
    for _ in range(5):
        backend.run(links.check_code, link, "AAAA-AAAA")
    backend.run(links.renew, link)
    (fresh,) = backend.read(select(AccountLink).where(AccountLink.ended_at.is_(None)))
    assert (fresh.email, fresh.initials, fresh.code_tries) == (link.email, "ro", 0)
    assert backend.mails()[-1].link_id == fresh.id
    assert backend.run(links.check_code, fresh, backend.keys.code(fresh))


def test_an_expired_link_is_renewed_three_times_at_most(backend, erika, issue, clock):
    issue(LinkKind.DESK, erika)
    for _ in range(3):
        clock.shift(timedelta(hours=73))
        backend.run(links.renew, newest(backend))
    clock.shift(timedelta(hours=73))
    with pytest.raises(LinkUnusable):
        backend.run(links.renew, newest(backend))


def test_pressing_old_and_new_links_in_turn_gives_no_more_than_three(backend, erika, issue, clock):
    issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    for _ in range(4):
        for link in backend.read(select(AccountLink)):
            with suppress(LinkUnusable):
                backend.run(links.renew, link)
    assert len(backend.mails("desk_link")) == 1 + 3


@pytest.mark.both_databases
def test_two_clicks_at_once_renew_once(backend, erika, issue, clock):
    link = issue(LinkKind.DESK, erika)
    for _ in range(2):
        clock.shift(timedelta(hours=73))
        backend.run(links.renew, link)
    clock.shift(timedelta(hours=73))
    results = backend.run_concurrently(3, links.renew, link)
    assert [type(result) for result in results].count(LinkUnusable) == 2
    assert len(backend.mails("desk_link")) == 1 + 3


@pytest.mark.parametrize("tries", [0, 5])
def test_a_withdrawn_link_is_not_renewed(backend, erika, issue, tries):
    link = issue(LinkKind.DESK, erika)
    for _ in range(tries):
        backend.run(links.check_code, link, "AAAA-AAAA")
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK})
    with pytest.raises(LinkUnusable):
        backend.run(links.renew, link)
    with pytest.raises(LinkUnusable):
        set_password(backend, link)


def test_a_link_that_went_to_a_former_address_is_not_renewed(backend, juergen, issue, clock):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    clock.shift(timedelta(hours=73))
    with backend.transaction("clerk:1") as tx:
        tx.session.get(type(juergen), juergen.id).set_pending_email("j.gross@dritte-schule.example")
    with pytest.raises(LinkUnusable):
        backend.run(links.renew, link)
