"""A link that is over is renewed at one click, three times at most, and only where it was sent."""

from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.refusals import LinkUnusable
from kmzportal.services import account_link
from tests.services.links import newest, set_password

pytestmark = pytest.mark.usefixtures("clock")


def test_after_five_wrong_codes_a_fresh_link_with_another_code_is_one_click_away(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    for _ in range(5):
        deeds.do(account_link.check_code, link, "AAAA-AAAA")
    deeds.do(account_link.renew, link)
    (fresh,) = deeds.read(select(AccountLink).where(AccountLink.ended_at.is_(None)))
    assert (fresh.email, fresh.initials, fresh.code_tries) == (link.email, "ro", 0)
    assert deeds.mails()[-1].link_id == fresh.id
    assert deeds.do(account_link.check_code, fresh, deeds.keys.code(fresh))


def test_an_expired_link_is_renewed_three_times_at_most(deeds, erika, issue, clock):
    issue(LinkKind.DESK, erika)
    for _ in range(3):
        clock.shift(timedelta(hours=73))
        deeds.do(account_link.renew, newest(deeds))
    clock.shift(timedelta(hours=73))
    with pytest.raises(LinkUnusable):
        deeds.do(account_link.renew, newest(deeds))


def test_pressing_old_and_new_links_in_turn_gives_no_more_than_three(deeds, erika, issue, clock):
    issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    for _ in range(4):
        for link in deeds.read(select(AccountLink)):
            with suppress(LinkUnusable):
                deeds.do(account_link.renew, link)
    assert len(deeds.mails("desk_link")) == 1 + 3


def test_two_clicks_at_once_renew_once(deeds, erika, issue, clock):
    link = issue(LinkKind.DESK, erika)
    for _ in range(2):
        clock.shift(timedelta(hours=73))
        deeds.do(account_link.renew, link)
    clock.shift(timedelta(hours=73))
    results = deeds.at_once(3, account_link.renew, link)
    assert [type(result) for result in results].count(LinkUnusable) == 2
    assert len(deeds.mails("desk_link")) == 1 + 3


@pytest.mark.parametrize("tries", [0, 5])
def test_a_withdrawn_link_is_not_renewed(deeds, erika, issue, tries):
    link = issue(LinkKind.DESK, erika)
    for _ in range(tries):
        deeds.do(account_link.check_code, link, "AAAA-AAAA")
    deeds.do(account_link.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK})
    with pytest.raises(LinkUnusable):
        deeds.do(account_link.renew, link)
    with pytest.raises(LinkUnusable):
        set_password(deeds, link)


def test_a_link_that_went_to_a_former_address_is_not_renewed(deeds, juergen, issue, clock):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    clock.shift(timedelta(hours=73))
    with deeds.work("clerk:1") as work:
        work.session.get(type(juergen), juergen.id).await_confirmation_of("j.gross@dritte-schule.example")
    with pytest.raises(LinkUnusable):
        deeds.do(account_link.renew, link)
