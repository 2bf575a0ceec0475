"""A link works once, until it expires, for whoever holds it; a code has five tries."""

from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import AccountLocked, LinkUnusable
from kmzportal.services import account, account_link, address, password
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")
LIFETIMES = [(LinkKind.RECOVERY, 2), (LinkKind.DESK, 72), (LinkKind.ADDRESS, 24), (LinkKind.OBJECTION, 168)]
SECOND = timedelta(seconds=1)


def set_password(deeds, link, arrived=cast.NOW):
    deeds.do(password.set_by_link, link, arrived, hash_password(cast.NEW_PASSWORD))


def open_links(deeds):
    still_open = select(AccountLink).where(AccountLink.ended_at.is_(None)).order_by(AccountLink.id)
    return [link.id for link in deeds.read(still_open)]


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


def test_locked_lieselotte_gets_no_link(deeds, lieselotte, issue):
    with pytest.raises(AccountLocked):
        issue(LinkKind.DESK, lieselotte)
    assert open_links(deeds) == deeds.mails() == []
    assert deeds.history() == ["link.refused"]


def test_a_lock_that_comes_later_stops_the_link_too(deeds, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    with deeds.work("clerk:1") as work:
        work.session.get(type(erika), erika.id).locked_at = work.now
    with pytest.raises(AccountLocked):
        set_password(deeds, link)
    assert deeds.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("portal", ["postgresql"], indirect=True)  # SQLite lets no other deed begin
def test_a_lock_that_comes_while_the_deed_has_begun_counts(deeds, erika, issue):
    link = issue(LinkKind.RECOVERY, erika)
    with pytest.raises(AccountLocked), deeds.work() as work:
        mine = work.session.get(AccountLink, link.id)
        assert mine.holder.locked_at is None
        with deeds.work("clerk:1") as other:
            other.session.get(type(erika), erika.id).locked_at = other.now
        password.set_by_link(work, mine, cast.NOW, "$argon2id$x")
    assert deeds.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("kind", [LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_a_link_that_is_not_for_passwords_sets_none(deeds, erika, issue, kind):
    with pytest.raises(LinkUnusable):
        set_password(deeds, issue(kind, erika))
    assert deeds.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.OBJECTION])
def test_a_link_that_is_not_for_addresses_confirms_none(deeds, juergen, issue, kind):
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, issue(kind, juergen, juergen.pending_email), cast.NOW)
    assert deeds.read(juergen).email == juergen.email


def test_a_link_that_is_not_for_objecting_locks_nobody(deeds, erika, issue):
    with pytest.raises(LinkUnusable):
        deeds.do(address.object_to, issue(LinkKind.RECOVERY, erika), cast.NOW)
    assert deeds.read(erika).locked_at is None


def test_opening_is_noted_once(deeds, erika, issue, clock):
    link = issue(LinkKind.DESK, erika)
    deeds.do(account_link.open_link, link)
    clock.shift(60)
    deeds.do(account_link.open_link, link)
    assert deeds.read(link).opened_at == cast.NOW
    assert deeds.history().count("link.opened") == 1


def test_the_code_from_the_mail_opens_the_link(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    assert deeds.do(account_link.check_code, link, deeds.keys.code(link).lower().replace("-", " "))


def test_after_five_wrong_codes_the_right_one_comes_too_late(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    assert [deeds.do(account_link.check_code, link, "AAAA-AAAA") for _ in range(5)] == [False] * 5
    assert not deeds.do(account_link.check_code, link, deeds.keys.code(link))
    assert deeds.read(link).code_tries == 5
    assert deeds.history().count("link.code_wrong") == 6


def test_the_fifth_try_may_still_be_right(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    for _ in range(4):
        deeds.do(account_link.check_code, link, "AAAA-AAAA")
    assert deeds.do(account_link.check_code, link, deeds.keys.code(link))


def test_ten_codes_tried_at_once_are_five_tries(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    deeds.at_once(10, lambda work, link: account_link.check_code(work, link, "AAAA-AAAA"), link)
    assert deeds.read(link).code_tries == 5


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


def newest(deeds):
    return deeds.read(select(AccountLink).order_by(AccountLink.id))[-1]


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


def test_a_puzzle_is_answered_once(deeds):
    answered = [deeds.do(account_link.use_puzzle, "puzzle", cast.NOW) for _ in range(3)]
    assert answered == [True, False, False]


def test_of_answers_to_one_puzzle_at_once_one_counts(deeds):
    answered = deeds.at_once(6, lambda work: account_link.use_puzzle(work, "puzzle", cast.NOW))
    assert sorted(answered) == [False] * 5 + [True]


def test_registering_sets_data_password_and_the_address_the_desk_corrected(deeds, juergen, issue):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    data = {"last_name": "Groß-Klein", "phone": "07051 4711"}
    deeds.do(account.register, link, cast.NOW, juergen.version, data, hash_password(cast.NEW_PASSWORD))
    here = deeds.read(juergen)
    assert (here.last_name, here.phone, here.email) == ("Groß-Klein", "07051 4711", juergen.pending_email)
    assert here.pending_email is None
    assert deeds.log_in(juergen.pending_email, cast.NEW_PASSWORD)
    assert deeds.log_in(juergen.email, cast.NEW_PASSWORD) is None


def test_he_may_have_tried_his_new_address_in_vain_before(deeds, juergen, issue):
    for _ in range(8):
        deeds.log_in(juergen.pending_email, "falsches passwort")
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    deeds.do(account.register, link, cast.NOW, juergen.version, {}, hash_password(cast.NEW_PASSWORD))
    assert deeds.log_in(juergen.pending_email, cast.NEW_PASSWORD)


def test_registering_twice_changes_data_once(deeds, erika, issue):
    link = issue(LinkKind.DESK, erika)
    deeds.do(account.register, link, cast.NOW, erika.version, {"phone": "1"}, hash_password(cast.NEW_PASSWORD))
    now = deeds.read(erika).version
    with pytest.raises(LinkUnusable):
        deeds.do(account.register, link, cast.NOW, now, {"phone": "2"}, hash_password(cast.OTHER_PASSWORD))
    assert deeds.read(erika).phone == "1"
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)


def test_a_clerks_first_link_sets_the_clerks_password(deeds, rosa, issue):
    link = issue(LinkKind.CLERK_FIRST, rosa)
    set_password(deeds, link)
    assert deeds.read(rosa).password_hash != rosa.password_hash
    assert deeds.mails("clerk_password_set")[0].clerk_id == rosa.id
