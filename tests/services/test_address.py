"""A new mail address counts when its holder confirms it; the old one is told and can object."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import AddressTaken, LinkUnusable, TooManyMails
from kmzportal.services import account_link, address, password
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")
NEW = "Erika@neue-schule.example"


@pytest.fixture
def asked(deeds, erika):
    """Erika asked for her new address; the link that was mailed there."""
    deeds.do(address.ask_to_change, erika, NEW)
    return link_of(deeds, "address_link")


def link_of(deeds, template):
    (link,) = deeds.read(select(AccountLink).where(AccountLink.id == deeds.mails(template)[-1].link_id))
    return link


def test_until_it_is_confirmed_the_old_address_counts(deeds, erika, asked):
    here = deeds.read(erika)
    assert (here.email, here.pending_email) == (erika.email, NEW)
    assert deeds.log_in(erika.email, cast.password_of(erika))
    assert deeds.log_in(NEW, cast.password_of(erika)) is None


def test_confirmed_the_new_one_counts_as_it_was_typed(deeds, erika, asked):
    deeds.do(address.confirm, asked, cast.NOW)
    here = deeds.read(erika)
    assert (here.email, here.pending_email, here.pending_email_canonical) == (NEW, None, None)
    assert deeds.log_in(NEW.lower(), cast.password_of(erika))
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None


def test_a_link_confirms_once(deeds, asked):
    deeds.do(address.confirm, asked, cast.NOW)
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, asked, cast.NOW)


def test_of_four_clicks_at_once_one_confirms(deeds, erika, asked):
    results = deeds.at_once(4, lambda work, link: address.confirm(work, link, cast.NOW), asked)
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable"] * 3 + ["NoneType"]
    assert deeds.read(erika).email == NEW
    assert len(deeds.mails("address_changed_new")) == 1


def test_both_addresses_are_told_and_neither_mail_names_the_other(deeds, erika, asked):
    deeds.do(address.confirm, asked, cast.NOW)
    mails = {mail.template: mail for mail in deeds.mails()}
    assert mails["address_change_asked"].recipient == mails["address_changed_old"].recipient == erika.email
    assert mails["address_changed_new"].recipient == NEW
    for mail in mails.values():
        assert "@" not in str(mail.facts)
    assert link_of(deeds, "address_changed_old").kind == LinkKind.OBJECTION
    assert mails["address_changed_new"].link_id is None


def test_links_to_the_old_address_die_with_it_and_the_objection_stays(deeds, erika, asked):
    kinds = (LinkKind.RECOVERY, LinkKind.DESK)
    old = [deeds.do(account_link.issue, kind, erika) for kind in kinds]
    deeds.do(address.confirm, asked, cast.NOW)
    assert [deeds.read(link).state(cast.NOW) for link in old] == [LinkState.WITHDRAWN] * 2
    assert link_of(deeds, "address_change_asked").state(cast.NOW) is LinkState.OPEN


def test_asking_for_another_address_ends_the_link_to_the_first(deeds, erika, asked):
    deeds.do(address.ask_to_change, erika, "erika@dritte-schule.example")
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, asked, cast.NOW)
    deeds.do(address.confirm, link_of(deeds, "address_link"), cast.NOW)
    assert deeds.read(erika).email == "erika@dritte-schule.example"


def test_asking_for_the_present_address_does_nothing(deeds, erika):
    deeds.do(address.ask_to_change, erika, erika.email.upper())
    assert deeds.mails() == deeds.history() == []


def test_erika_keeps_her_address_after_all(deeds, erika, asked):
    deeds.do(address.withdraw, erika)
    assert deeds.read(erika).pending_email is None
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, asked, cast.NOW)


def test_a_day_later_the_link_is_over(deeds, erika, asked, clock):
    clock.shift(timedelta(hours=24))
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, asked, cast.NOW + timedelta(hours=24))
    assert deeds.read(erika).email == erika.email


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


def test_das_war_ich_nicht_locks_the_account_and_ends_its_sessions(deeds, erika, asked):
    token = deeds.log_in(erika.email, cast.password_of(erika))
    recovery = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    deeds.do(address.object_to, link_of(deeds, "address_change_asked"), cast.NOW)
    here = deeds.read(erika)
    assert (here.locked_at, here.pending_email) == (cast.NOW, None)
    assert not deeds.session_of(token).alive(cast.NOW)
    assert [deeds.read(link).state(cast.NOW) for link in (asked, recovery)] == [LinkState.WITHDRAWN] * 2
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert deeds.history().count("address.objected") == 1


def test_it_works_a_week_long_after_the_change_too(deeds, erika, asked, clock):
    deeds.do(address.confirm, asked, cast.NOW)
    later = cast.NOW + timedelta(days=7, seconds=-1)
    clock.move_to(later)
    deeds.do(address.object_to, link_of(deeds, "address_changed_old"), later)
    assert deeds.read(erika).locked_at == later
    assert deeds.log_in(NEW, cast.password_of(erika)) is None


def test_who_objects_twice_is_locked_since_the_first_time(deeds, erika, asked, clock):
    deeds.do(address.confirm, asked, cast.NOW)
    deeds.do(address.object_to, link_of(deeds, "address_changed_old"), cast.NOW)
    clock.shift(60)
    deeds.do(address.object_to, link_of(deeds, "address_change_asked"), cast.NOW)
    assert deeds.read(erika).locked_at == cast.NOW


def test_an_objection_and_a_confirmation_at_once_never_leave_the_thief_inside(deeds, erika, asked):
    objection = link_of(deeds, "address_change_asked")
    turns = iter([(address.confirm, asked), (address.object_to, objection)])

    def the_next(work):
        deed, link = next(turns)
        deed(work, work.session.get(AccountLink, link.id), cast.NOW)

    deeds.at_once(2, the_next)
    assert deeds.read(erika).locked_at


def test_nobody_writes_to_more_than_ten_strangers_a_day(deeds, erika, clock):
    for number in range(10):
        deeds.do(address.ask_to_change, erika, f"erika{number}@neue-schule.example")
    with pytest.raises(TooManyMails):
        deeds.do(address.ask_to_change, erika, NEW)
    assert deeds.read(erika).pending_email == "erika9@neue-schule.example"
    assert len(deeds.mails("address_link")) == 10
    clock.shift(timedelta(days=1))
    deeds.do(address.ask_to_change, erika, NEW)


def test_a_mailbox_that_had_its_mails_for_today_gets_no_more_and_nobody_is_told(deeds, erika, max_):
    for _ in range(10):
        deeds.do(address.ask_to_change, max_, NEW)
    deeds.do(address.ask_to_change, erika, NEW)
    assert deeds.read(erika).pending_email == NEW
    assert {mail.customer_id for mail in deeds.mails("address_link")} == {max_.id}


def test_other_mails_do_not_silence_the_warning_to_the_old_address(deeds, erika):
    with deeds.work() as work:
        for _ in range(10):
            work.send("password_changed", erika)
    deeds.do(address.ask_to_change, erika, NEW)
    deeds.do(address.confirm, link_of(deeds, "address_link"), cast.NOW)
    assert len(deeds.mails("address_change_asked", "address_changed_old")) == 2


def test_failed_tries_with_the_new_address_do_not_keep_erika_out(deeds, erika, asked):
    for _ in range(8):
        deeds.log_in(NEW, cast.password_of(erika))
    deeds.do(address.confirm, asked, cast.NOW)
    assert deeds.log_in(NEW, cast.password_of(erika))


def test_a_new_password_ends_a_change_that_waits(deeds, erika, asked):
    deeds.do(password.take, erika, hash_password(cast.NEW_PASSWORD))
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, asked, cast.NOW)
