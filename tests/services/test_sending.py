"""Sending: ten mails a day are enough for anybody, no cap silences the word of a new password, and each has its id."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.passwords import hash_password
from kmzportal.domain.refusals import TooManyMails
from kmzportal.services import account, account_link, password
from tests import cast

pytestmark = pytest.mark.usefixtures("clock")


def send(deeds, person, times):
    for _ in range(times):
        with deeds.work() as work:
            work.send("password_changed", person)


def test_nobody_gets_more_than_ten_mails_a_day(deeds, erika, max_, clock):
    send(deeds, erika, 10)
    with pytest.raises(TooManyMails):
        send(deeds, erika, 1)
    send(deeds, max_, 1)
    (event,) = deeds.read(select(AuditEvent))
    assert (event.deed, event.customer_id) == ("mail.capped", erika.id)
    clock.shift(timedelta(days=1))
    send(deeds, erika, 1)


def test_the_cap_counts_a_mailbox_however_it_is_spelled(deeds, erika):
    send(deeds, erika, 9)
    with deeds.work() as work:
        work.send("password_changed", erika, to=erika.email.upper())
        with pytest.raises(TooManyMails):
            work.send("password_changed", erika)


def test_over_the_cap_a_notice_is_left_out_and_the_deed_goes_on(deeds, erika):
    send(deeds, erika, 10)
    here = deeds.session_of(deeds.log_in(erika.email, cast.password_of(erika)))
    deeds.log_in(erika.email, cast.password_of(erika))
    assert deeds.do(account.end_other_sessions, erika, here) == 1
    assert "mail.capped" in deeds.history()
    assert len(deeds.mails()) == 10


def test_over_the_cap_nobody_can_silence_the_word_of_a_new_password(deeds, erika):
    send(deeds, erika, 10)
    link = deeds.do(account_link.issue, LinkKind.RECOVERY, erika)
    deeds.do(password.set_by_link, link, cast.NOW, hash_password(cast.NEW_PASSWORD))
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)
    assert len(deeds.mails("password_set")) == 1


def test_every_mail_has_an_id_of_its_own_on_the_offices_domain(deeds, erika, app, monkeypatch):
    monkeypatch.setitem(app.config, "MAIL_DEFAULT_SENDER", "Medienzentrum <support@kmz.example>")
    send(deeds, erika, 2)
    ids = {mail.message_id for mail in deeds.mails()}
    assert len(ids) == 2
    assert all(one.endswith("@kmz.example>") for one in ids)
