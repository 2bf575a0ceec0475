"""Alarms: who is mailed, how often, and that no two transactions wait for each other."""

import logging
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.models import AuditEvent, RequestCount
from kmzportal.services import alarms, guesses, links, sessions
from kmzportal.services.alarms import raise_alarm
from tests import people

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def alarm(backend):
    """Raise an alarm in a transaction of its own."""

    def alarm(kind="recovery_flood", **facts):
        backend.run(lambda tx: raise_alarm(tx, kind, **(facts or {"number": 400})))

    return alarm


def test_every_unlocked_admin_is_mailed_and_the_alarm_is_recorded(backend, alarm, rosa, tim):
    for initials, locked_at in (("lo", people.LONG_AGO), ("se", None)):
        other = {"initials": initials, "email": f"{initials}@kmz.example", "admin": True, "locked_at": locked_at}
        backend.add(people.person(people.TIM | other))
    alarm("spraying", number=250, sources=3)
    mails = backend.mails("alarm_spraying")
    assert [(mail.recipient, mail.facts["number"]) for mail in mails] == [(rosa.email, 250), ("se@kmz.example", 250)]
    event = backend.read(select(AuditEvent))[0]
    assert (event.action, event.details) == ("alarm.raised", {"alarm": "spraying", "number": 250, "sources": 3})


def test_an_hour_brings_one_mail_and_the_next_one_counts_what_was_left_out(backend, alarm, clock, rosa):
    for _ in range(4):
        alarm()
        clock.shift(timedelta(minutes=19))
    assert [mail.facts["suppressed"] for mail in backend.mails()] == [0]
    alarm()
    assert [mail.facts["suppressed"] for mail in backend.mails()] == [0, 3]
    assert backend.actions() == ["alarm.raised"] * 2


def test_kinds_and_clerks_are_told_apart(backend, alarm, rosa):
    alarm()
    alarm("link_guesses", number=9)
    for initials in ("ro", "ti"):
        alarm("desk_volume", initials=initials, what="Link gesendet", number=50)
    assert len(backend.mails()) == 4
    with backend.app.app_context():
        assert alarms.of_last_day(db.session(), people.NOW) == [
            "Ungewöhnlich viel in einem Zugang zum Kundenservice (ro, Link gesendet)",
            "Ungewöhnlich viel in einem Zugang zum Kundenservice (ti, Link gesendet)",
            "Viele Links oder Codes, die es nicht gibt",
            "Sehr viele Anfragen „Passwort vergessen“",
        ]
        assert alarms.of_last_day(db.session(), people.NOW + timedelta(days=2)) == []


def test_a_clock_that_was_in_the_future_silences_no_alarm(backend, alarm, clock, rosa):
    clock.shift(timedelta(days=300))
    alarm()
    clock.shift(timedelta(days=-300))
    alarm()
    assert len(backend.mails()) == 2


def test_alarms_use_up_no_ones_daily_mails(backend, alarm, clock, rosa):
    for _ in range(12):
        alarm()
        clock.shift(timedelta(hours=1))
    backend.run(lambda tx, to: tx.send("test", to), rosa)
    assert len(backend.mails("test")) == 1


def test_of_six_at_once_one_is_mailed(backend, rosa):
    assert backend.run_concurrently(6, lambda tx: raise_alarm(tx, "link_guesses", number=9)) == [None] * 6
    assert len(backend.mails()) == 1


def test_an_office_without_an_admin_finds_it_in_the_log(alarm, caplog, tim):
    with caplog.at_level(logging.ERROR):
        alarm()
    wanted = "Alarm: Sehr viele Anfragen „Passwort vergessen“. So viele Admins bekommen eine E-Mail: 0."
    assert [record.getMessage() for record in caplog.records] == [wanted]


def test_facts_that_the_mail_does_not_show_are_refused(alarm):
    with pytest.raises(ValueError, match="spraying takes"):
        alarm("spraying", number=5)


@pytest.mark.postgresql
def test_an_alarm_waits_for_no_other_transaction(backend, alarm, clock, rosa):
    alarm()
    clock.shift(timedelta(hours=1))
    with backend.transaction() as tx:
        raise_alarm(tx, "recovery_flood", number=500)
        tx.session.flush()
        other = threading.Thread(target=alarm, daemon=True)
        other.start()
        other.join(5)
        assert not other.is_alive()
    assert len(backend.mails()) == 2


# Where alarms come from


@pytest.fixture
def fail(backend):
    """Fail to log in at so many made-up accounts, each from the source that `source` makes of its number."""

    def fail(number, source):
        for each in range(number):
            backend.run(sessions.count_failure, f"account {each}", None, source=source(each))

    return fail


def test_one_source_that_fails_at_many_accounts_is_reported(app, backend, fail, rosa):
    fail(app.config["THROTTLE_SOURCE_ACCOUNTS"] - 1, lambda n: "203.0.113.7")
    assert backend.mails() == []
    fail(app.config["THROTTLE_SOURCE_ACCOUNTS"], lambda n: "203.0.113.7")
    (mail,) = backend.mails("alarm_spraying")
    assert (mail.facts["number"], mail.facts["sources"]) == (app.config["THROTTLE_SOURCE_ACCOUNTS"], 1)


def test_many_sources_that_each_fail_a_little_are_reported(backend, clock, fail, rosa):
    fail(sessions.SPRAYED - 1, lambda n: f"203.0.113.{n}")
    assert backend.mails() == []
    clock.shift(sessions.SOURCE_WINDOW)
    fail(sessions.SPRAYED - 1, lambda n: f"203.0.113.{n}")
    assert backend.mails() == []
    backend.run(sessions.count_failure, "account", None, source="198.51.100.1")
    (mail,) = backend.mails("alarm_spraying")
    assert (mail.facts["number"], mail.facts["sources"]) == (sessions.SPRAYED, sessions.SPRAYED)


def test_guesses_of_all_sources_together_are_reported_and_recorded_as_one_number(backend, clock, rosa):
    for number in range(guesses.ALARM_AT):
        backend.run(guesses.count, source=f"203.0.113.{number}")
    (mail,) = backend.mails("alarm_link_guesses")
    assert mail.facts["number"] == guesses.ALARM_AT
    clock.shift(timedelta(hours=3))
    backend.run(guesses.close_counters)
    backend.run(guesses.close_counters)
    event = backend.read(select(AuditEvent).where(AuditEvent.action == "flood.counted"))[0]
    assert event.details["number"] == guesses.ALARM_AT
    assert event.details["what"] == "Links und Codes, die es nicht gibt, in der Stunde ab 23.11.2026, 14:00 Uhr"
    assert backend.actions() == ["alarm.raised", "flood.counted"]


def test_a_wrong_code_of_a_letter_counts_as_a_guess(backend, erika):
    backend.run(links.find_letter, erika.number, "ABCD-EFGH-JKLM", source="203.0.113.7")
    guessed = select(RequestCount).where(RequestCount.counted.startswith("guess"))
    assert [row.number for row in backend.read(guessed)] == [1, 1]
