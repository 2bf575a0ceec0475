"""Sending: ten mails a day are enough for anybody, no cap silences the word of a new password, and each has its id."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import LinkKind
from kmzportal.models.audit_event import AuditEvent
from kmzportal.services import accounts, links
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import TooManyMails
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


def send(backend, person, times):
    for _ in range(times):
        with backend.transaction() as tx:
            tx.send("password_changed", person)


def test_nobody_gets_more_than_ten_mails_a_day(backend, erika, max_, clock):
    send(backend, erika, 10)
    with pytest.raises(TooManyMails):
        send(backend, erika, 1)
    send(backend, max_, 1)
    (event,) = backend.read(select(AuditEvent))
    assert (event.action, event.customer_id) == ("mail.capped", erika.id)
    clock.shift(timedelta(days=1))
    send(backend, erika, 1)


def test_the_cap_counts_a_mailbox_however_it_is_spelled(backend, erika):
    send(backend, erika, 9)
    with backend.transaction() as tx:
        tx.send("password_changed", erika, to=erika.email.upper())
        with pytest.raises(TooManyMails):
            tx.send("password_changed", erika)


def test_over_the_cap_a_notice_is_left_out_and_the_deed_goes_on(backend, erika):
    send(backend, erika, 10)
    login_session = backend.session_of(backend.log_in(erika.email, people.password_of(erika)))
    backend.log_in(erika.email, people.password_of(erika))
    assert backend.run(accounts.end_other_sessions, erika, login_session) == 1
    assert "mail.capped" in backend.actions()
    assert len(backend.mails()) == 10


def test_over_the_cap_nobody_can_silence_the_word_of_a_new_password(backend, erika):
    send(backend, erika, 10)
    link = backend.run(links.issue, LinkKind.RECOVERY, erika)
    backend.run(accounts.set_password_by_link, link, people.NOW, hash_password(people.NEW_PASSWORD))
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert len(backend.mails("password_set")) == 1


def test_every_mail_has_an_id_of_its_own_on_the_offices_domain(backend, erika, app, monkeypatch):
    monkeypatch.setitem(app.config, "MAIL_DEFAULT_SENDER", "Medienzentrum <support@kmz.example>")
    send(backend, erika, 2)
    ids = {mail.message_id for mail in backend.mails()}
    assert len(ids) == 2
    assert all(one.endswith("@kmz.example>") for one in ids)
