"""A new mail address counts when its holder confirms it, and not too many strangers are written to."""

from datetime import timedelta

import pytest

from kmzportal.domain.account_link import LinkKind, LinkState
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import LinkUnusable, TooManyMails
from kmzportal.services import account_link, address, password
from tests import cast
from tests.services.conftest import ASKED as NEW
from tests.services.links import link_of

pytestmark = pytest.mark.usefixtures("clock")


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


def test_failed_tries_with_the_new_address_do_not_keep_erika_out(deeds, erika, asked):
    for _ in range(8):
        deeds.log_in(NEW, cast.password_of(erika))
    deeds.do(address.confirm, asked, cast.NOW)
    assert deeds.log_in(NEW, cast.password_of(erika))


def test_a_new_password_ends_a_change_that_waits(deeds, erika, asked):
    deeds.do(password.take, erika, hash_password(cast.NEW_PASSWORD))
    with pytest.raises(LinkUnusable):
        deeds.do(address.confirm, asked, cast.NOW)
