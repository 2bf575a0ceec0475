"""A new mail address counts when its holder confirms it, and not too many strangers are written to."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.services import accounts, links
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import LinkUnusable, TooManyMails
from tests import people
from tests.services.conftest import ASKED as NEW
from tests.services.links import link_of

pytestmark = pytest.mark.usefixtures("clock")


def test_until_it_is_confirmed_the_old_address_counts(backend, erika, asked):
    login_session = backend.read(erika)
    assert (login_session.email, login_session.pending_email) == (erika.email, NEW)
    assert backend.log_in(erika.email, people.password_of(erika))
    assert backend.log_in(NEW, people.password_of(erika)) is None


def test_confirmed_the_new_one_counts_as_it_was_typed(backend, erika, asked):
    backend.run(accounts.confirm_address, asked, people.NOW)
    login_session = backend.read(erika)
    assert (login_session.email, login_session.pending_email, login_session.pending_email_canonical) == (
        NEW,
        None,
        None,
    )
    assert backend.log_in(NEW.lower(), people.password_of(erika))
    assert backend.log_in(erika.email, people.password_of(erika)) is None


def test_a_link_confirms_once(backend, asked):
    backend.run(accounts.confirm_address, asked, people.NOW)
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, asked, people.NOW)


@pytest.mark.both_databases
def test_of_four_clicks_at_once_one_confirms(backend, erika, asked):
    results = backend.run_concurrently(4, lambda tx, link: accounts.confirm_address(tx, link, people.NOW), asked)
    assert sorted(type(result).__name__ for result in results) == ["LinkUnusable"] * 3 + ["NoneType"]
    assert backend.read(erika).email == NEW
    assert len(backend.mails("address_changed_new")) == 1


def test_both_addresses_are_told_and_neither_mail_names_the_other(backend, erika, asked):
    backend.run(accounts.confirm_address, asked, people.NOW)
    mails = {mail.template: mail for mail in backend.mails()}
    assert mails["address_change_asked"].recipient == mails["address_changed_old"].recipient == erika.email
    assert mails["address_changed_new"].recipient == NEW
    for mail in mails.values():
        assert "@" not in str(mail.facts)
    assert link_of(backend, "address_changed_old").kind == LinkKind.OBJECTION
    assert mails["address_changed_new"].link_id is None


def test_links_to_the_old_address_die_with_it_and_the_objection_stays(backend, erika, asked):
    kinds = (LinkKind.RECOVERY, LinkKind.DESK)
    old = [backend.run(links.issue, kind, erika) for kind in kinds]
    backend.run(accounts.confirm_address, asked, people.NOW)
    assert [backend.read(link).state(people.NOW) for link in old] == [LinkState.WITHDRAWN] * 2
    assert link_of(backend, "address_change_asked").state(people.NOW) is LinkState.OPEN


def test_asking_for_another_address_ends_the_link_to_the_first(backend, erika, asked):
    backend.run(accounts.request_address_change, erika, "erika@dritte-schule.example")
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, asked, people.NOW)
    backend.run(accounts.confirm_address, link_of(backend, "address_link"), people.NOW)
    assert backend.read(erika).email == "erika@dritte-schule.example"


def test_asking_for_the_present_address_does_nothing(backend, erika):
    backend.run(accounts.request_address_change, erika, erika.email.upper())
    assert backend.mails() == backend.actions() == []


def test_erika_keeps_her_address_after_all(backend, erika, asked):
    backend.run(accounts.withdraw_address_change, erika)
    assert backend.read(erika).pending_email is None
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, asked, people.NOW)


def test_a_day_later_the_link_is_over(backend, erika, asked, clock):
    clock.shift(timedelta(hours=24))
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, asked, people.NOW + timedelta(hours=24))
    assert backend.read(erika).email == erika.email


def test_nobody_writes_to_more_than_ten_strangers_a_day(backend, erika, clock):
    for number in range(10):
        backend.run(accounts.request_address_change, erika, f"erika{number}@neue-schule.example")
    with pytest.raises(TooManyMails):
        backend.run(accounts.request_address_change, erika, NEW)
    assert backend.read(erika).pending_email == "erika9@neue-schule.example"
    assert len(backend.mails("address_link")) == 10
    clock.shift(timedelta(days=1))
    backend.run(accounts.request_address_change, erika, NEW)


def test_a_mailbox_that_had_its_mails_for_today_gets_no_more_and_nobody_is_told(backend, erika, max_):
    for _ in range(10):
        backend.run(accounts.request_address_change, max_, NEW)
    backend.run(accounts.request_address_change, erika, NEW)
    assert backend.read(erika).pending_email == NEW
    assert {mail.customer_id for mail in backend.mails("address_link")} == {max_.id}


def test_failed_tries_with_the_new_address_do_not_keep_erika_out(backend, erika, asked):
    for _ in range(8):
        backend.log_in(NEW, people.password_of(erika))
    backend.run(accounts.confirm_address, asked, people.NOW)
    assert backend.log_in(NEW, people.password_of(erika))


def test_a_new_password_ends_a_change_that_waits(backend, erika, asked):
    backend.run(accounts.set_password, erika, hash_password(people.NEW_PASSWORD))
    with pytest.raises(LinkUnusable):
        backend.run(accounts.confirm_address, asked, people.NOW)
