"""One transaction an act: committed or rolled back as a whole, with its audit records and mails; the cap of mails."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.models import AuditEvent, Customer, LinkKind, LinkState, MailState
from kmzportal.services import accounts, deletion, links
from kmzportal.services.passwords import hash_password
from kmzportal.services.refusals import ChangedMeanwhile, Refusal, TooManyMails
from kmzportal.services.transaction import transaction
from tests.people import NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")


class Bug(Exception):
    def __init__(self, *given, **details):
        super().__init__()


@pytest.mark.parametrize("error", [Refusal, Bug])
def test_an_exception_rolls_back_and_only_a_refusal_is_recorded(backend, erika, error):
    with pytest.raises(error), backend.transaction("clerk:1", "192.0.2.7") as tx:
        customer = tx.session.get(Customer, erika.id)
        customer.phone = "4711"
        tx.record("data.changed", customer)
        tx.send("password_changed", customer)
        tx.session.flush()
        raise error("address.refused", customer, why="Sonntag")
    with pytest.raises(Refusal), backend.transaction():
        raise Refusal  # without an action to record
    assert backend.read(erika).phone == erika.phone
    assert backend.mails() == []
    events = backend.read(select(AuditEvent))
    assert [(event.action, event.actor, event.customer_id, event.details, event.source) for event in events] == [
        ("address.refused", "clerk:1", erika.id, {"why": "Sonntag"}, "192.0.2.7"),
    ][: error is Refusal]


def test_a_transaction_within_a_transaction_is_refused(backend, app, erika):
    """Its first statement would roll back, without a word, what the outer one has done."""
    with app.app_context():
        with pytest.raises(RuntimeError), transaction("visitor"), transaction("visitor"):
            pass
        with transaction("visitor") as tx:
            tx.record("login.refused")
    assert backend.actions() == ["login.refused"]


def test_a_change_made_before_the_transaction_is_not_saved_with_it(backend, app, erika):
    with app.app_context():
        db.session.get(Customer, erika.id).phone = "4711"
        with transaction("visitor") as tx:
            tx.record("login.refused")
    assert backend.read(erika).phone == erika.phone
    assert backend.actions() == ["login.refused"]


@pytest.mark.parametrize("read_is_over", [True, False])
def test_a_transaction_sees_what_was_committed_after_the_page_had_read(backend, app, erika, read_is_over):
    with app.app_context():
        customer = db.session.get(Customer, erika.id)
        assert customer.phone == erika.phone
        if read_is_over:
            db.session.commit()
        backend.run(accounts.change_data, erika, {"phone": "4711"})
        with transaction("visitor"):
            assert customer.phone == "4711"


def test_saving_a_row_that_another_transaction_saved_first_is_refused(backend, erika):
    with pytest.raises(ChangedMeanwhile), backend.transaction() as tx:
        customer = tx.session.get(Customer, erika.id)
        tx.session.connection().exec_driver_sql("UPDATE customer SET version = 9")
        customer.phone = "4711"
    assert backend.read(erika).phone == erika.phone


def test_times_are_utc_and_one_without_a_zone_is_not_stored(backend, erika):
    backend.run(lambda tx: tx.record("login.refused"))
    (event,) = backend.read(select(AuditEvent))
    assert (event.at, event.at.utcoffset()) == (NOW, timedelta(0))
    with pytest.raises(Exception, match="zone"):
        backend.update(erika, locked_at=NOW.replace(tzinfo=None))


# The cap of mails


@pytest.fixture
def send(backend):
    def send(person, times, to=None):
        for _ in range(times):
            backend.run(lambda tx, person: tx.send("password_changed", person, to=to), person)

    return send


def test_a_mailbox_gets_ten_mails_a_day_however_its_address_is_spelled(backend, erika, max_, send, clock):
    send(erika, 9)
    send(erika, 1, to=erika.email.upper())
    with pytest.raises(TooManyMails):
        send(erika, 1)
    send(max_, 1)
    (event,) = backend.read(select(AuditEvent))
    assert (event.action, event.customer_id) == ("mail.capped", erika.id)
    clock.shift(timedelta(days=1))
    send(erika, 1)


def test_the_desk_has_mails_of_its_own_and_is_told_who_used_them_up(backend, erika, send):
    send(erika, 10)
    with backend.transaction("clerk:1") as tx:
        for _ in range(10):
            tx.send("case_question", None, to=erika.email)
    with pytest.raises(TooManyMails) as refused, backend.transaction("clerk:1") as tx:
        tx.send("case_question", None, to=erika.email)
    assert "hat der Kundenservice heute schon 10 E-Mails gesendet" in refused.value.message


@pytest.mark.parametrize(
    ("state", "link", "counts"),
    [
        (MailState.SENT, {"ended_at": NOW, "ended_as": LinkState.WITHDRAWN}, True),
        (MailState.BOUNCED, {}, True),
        (MailState.DEFERRED, {}, True),
        (MailState.QUEUED, {"ended_at": NOW, "ended_as": LinkState.WITHDRAWN}, False),
        (MailState.QUEUED, {"expires_at": NOW}, False),
        (MailState.CANCELLED, {}, False),
        (MailState.REFUSED, {}, False),
        (MailState.EXPIRED, {}, False),
    ],
)
def test_a_mail_counts_that_left_or_waits_with_a_link_that_works(
    backend, erika, app, monkeypatch, send, state, link, counts
):
    monkeypatch.setitem(app.config, "MAILS_PER_DAY", 1)
    mailed = backend.run(links.issue, LinkKind.RECOVERY, erika)
    backend.run(links.send, mailed)
    backend.update(mailed, **link)
    backend.update(backend.mails()[0], state=state)
    with pytest.raises(TooManyMails) if counts else nullcontext():
        send(erika, 1)


def test_over_the_cap_only_what_anyone_can_cause_has_no_notice(backend, erika, send, log_in, login_session):
    """Whoever asks for ten mails must not silence what an intruder does in the account."""
    send(erika, 10)
    backend.run(lambda tx, person: tx.notify("account_locked", person), erika)
    assert "mail.capped" in backend.actions() and len(backend.mails()) == 10
    log_in(erika)
    assert backend.run(accounts.end_other_sessions, erika, login_session) == 1
    new = hash_password(NEW_PASSWORD)
    backend.run(accounts.save_account, erika, login_session, erika.version, {}, None, new)
    backend.run(deletion.request, erika)
    assert [mail.template for mail in backend.mails()[10:]] == [
        "sessions_ended",
        "password_changed",
        "deletion_requested",
    ]


def test_every_mail_has_an_id_of_its_own_in_the_offices_domain(backend, erika, app, monkeypatch, send):
    monkeypatch.setitem(app.config, "MAIL_DEFAULT_SENDER", ("Medienzentrum", "support@kmz.example"))
    send(erika, 2)
    first, second = (mail.message_id for mail in backend.mails())
    assert first != second and first.endswith("@kmz.example>") and second.endswith("@kmz.example>")
