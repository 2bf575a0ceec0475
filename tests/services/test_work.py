"""One transaction a deed: all of it or nothing, a refusal stays on record, and secrets are nowhere."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.domain.account_link import LinkKind
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.customer import Customer
from kmzportal.domain.passwords import hash_password, prove
from kmzportal.domain.refusals import ChangedMeanwhile, Refusal, TooManyMails
from kmzportal.services import account, account_link, address, password, recovery
from kmzportal.unit_of_work import unit_of_work
from tests import canary, cast

pytestmark = pytest.mark.usefixtures("clock")


def test_what_is_done_is_committed(deeds, erika):
    with deeds.work("clerk:1") as work:
        work.session.get(Customer, erika.id).phone = "4711"
        work.record("data.changed", erika)
    assert deeds.read(erika).phone == "4711"
    assert deeds.history() == ["data.changed"]


def test_a_refusal_undoes_the_deed_and_stays_on_record(deeds, erika):
    with pytest.raises(Refusal), deeds.work("clerk:1", "192.0.2.7") as work:
        here = work.session.get(Customer, erika.id)
        here.phone = "4711"
        work.record("data.changed", here)
        work.send("password_changed", here)
        work.session.flush()
        raise Refusal("data.refused", here, why="Sonntag")
    assert deeds.read(erika).phone == erika.phone
    assert deeds.mails() == []
    (event,) = deeds.read(select(AuditEvent))
    assert (event.deed, event.actor, event.customer_id) == ("data.refused", "clerk:1", erika.id)
    assert (event.details, event.source) == ({"why": "Sonntag"}, "192.0.2.7")


def test_a_refusal_without_a_name_leaves_no_trace(deeds):
    with pytest.raises(Refusal), deeds.work():
        raise Refusal
    assert deeds.history() == []


def test_a_bug_undoes_everything(deeds, erika):
    with pytest.raises(ZeroDivisionError), deeds.work() as work:
        here = work.session.get(Customer, erika.id)
        here.phone = "4711"
        work.record("data.changed", here)
        work.send("password_changed", here)
        work.session.flush()
        assert 1 / 0
    assert deeds.read(erika).phone == erika.phone
    assert deeds.history() == deeds.mails() == []


def test_what_was_changed_outside_of_work_is_not_saved_with_it(deeds, app, erika):
    with app.app_context():
        db.session.get(Customer, erika.id).phone = "4711"
        with unit_of_work("visitor") as work:
            work.record("login.refused")
    assert deeds.read(erika).phone == erika.phone


def test_whoever_saves_what_another_has_saved_meanwhile_is_told(deeds, erika):
    with pytest.raises(ChangedMeanwhile), deeds.work() as work:
        here = work.session.get(Customer, erika.id)
        work.session.connection().exec_driver_sql(f"UPDATE customer SET version = 9 WHERE id = {erika.id}")  # noqa: S608
        here.phone = "4711"
    assert deeds.read(erika).phone == erika.phone


@pytest.mark.parametrize("the_read_is_over", [True, False])
def test_work_sees_what_another_committed_a_moment_ago(deeds, app, erika, the_read_is_over):
    """A page reads, somebody else writes, then the page's deed begins: it must not act on what was read."""
    with app.app_context():
        read_before = db.session.get(Customer, erika.id)
        assert read_before.phone == erika.phone
        if the_read_is_over:
            db.session.commit()
        deeds.do(account.change_data, erika, {"phone": "4711"})
        with unit_of_work("visitor"):
            assert read_before.phone == "4711"


def test_twelve_who_write_at_once_all_get_through(deeds):
    deeds.at_once(12, lambda work: work.record("login.refused"))
    assert len(deeds.history()) == 12


def test_work_happens_at_one_moment_in_utc(deeds, erika):
    with deeds.work() as work:
        assert work.now == cast.NOW
        work.record("login.refused", erika)
    (event,) = deeds.read(select(AuditEvent))
    assert event.at == cast.NOW
    assert event.at.utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_not_stored(deeds, erika):
    with pytest.raises(Exception, match="zone"), deeds.work() as work:
        work.session.get(Customer, erika.id).locked_at = cast.NOW.replace(tzinfo=None)


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


def test_no_token_no_code_and_no_password_is_anywhere_after_any_deed(deeds, app, erika, juergen, rosa):
    tokens = [deeds.log_in(erika.email, cast.password_of(erika))]
    here = deeds.session_of(tokens[0])
    desk = deeds.do(account_link.issue, LinkKind.DESK, juergen, juergen.pending_email, "ro")
    proof = prove(cast.password_of(erika), erika.password_hash)
    new, other = hash_password(cast.NEW_PASSWORD), hash_password(cast.OTHER_PASSWORD)
    walk = [
        (recovery.ask, erika.email),
        (account.prove, erika, here, proof),
        (account.change_data, erika, {"phone": "4711"}),
        (account.save, erika, here, erika.version + 1, {"phone": "4712"}, "erika@neue-schule.example", new),
        (account_link.send, desk),
        (account_link.open_link, desk),
        (account_link.check_code, desk, "AAAA-AAAA"),
        (account_link.check_code, desk, deeds.keys.code(desk)),
        (account.register, desk, cast.NOW, juergen.version, {"phone": "4713"}, other),
        (address.withdraw, erika),
        (account.end_other_sessions, erika, here),
        (account_link.issue, LinkKind.CLERK_FIRST, rosa),
    ]
    for deed, *what in walk:
        got = deeds.do(deed, *what)
        tokens += [got] if isinstance(got, str) and len(got) == 43 else []
        canary.check(app, *tokens)
    assert len(tokens) == 3


def test_the_canary_would_sing(deeds, app, erika):
    link = deeds.do(account_link.issue, LinkKind.DESK, erika)
    for secret in (deeds.keys.token(link), deeds.keys.code(link).lower(), cast.NEW_PASSWORD):
        deeds.do(account.change_data, erika, {"phone": f"tel {secret}"})
        with pytest.raises(AssertionError):
            canary.check(app)
    deeds.do(account.change_data, erika, {"phone": "4711"})
