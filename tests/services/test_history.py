"""Verlauf: the events of an account by day; what belongs to one link is one line."""

from datetime import timedelta

import pytest

from kmzportal.models import LinkKind
from kmzportal.services import accounts, audit, history, links
from kmzportal.services.passwords import hash_password
from tests.people import NEW_EMAIL, NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def record(backend, clock):
    """Record an action of Erika's account, a minute after the last one."""

    def record(action, erika, actor="worker", **details):
        clock.shift(timedelta(minutes=1))
        backend.run(lambda tx, person: tx.record(action, person, **details), erika, actor=actor)

    return record


@pytest.fixture
def lines(backend, erika):
    """Return the text of each line of each day."""

    def lines():
        with backend.transaction() as tx:
            found = history.by_day(audit.history(tx.session, erika))
            return {day.day: [line.text for line in lines] for day, lines in found}

    return lines


def test_what_belongs_to_one_link_is_one_line(backend, record, lines, clock, erika):
    link = {"actor": "link:5", "kind": LinkKind.RECOVERY}
    clock.shift(timedelta(minutes=1))

    def send_link(tx, person):
        tx.record("link.issued", person, kind=LinkKind.RECOVERY)
        tx.record("recovery.sent", person)

    backend.run(send_link, erika, actor="worker")
    record("mail.sent", erika, template="recovery_link")
    record("logout", erika, f"customer:{erika.id}")
    for action in ("link.opened", "link.redeemed", "password.set"):
        record(action, erika, **link)
    assert lines() == {23: ["Passwort vergessen: Link gesendet, geöffnet, Passwort gesetzt", "Abgemeldet"]}
    with backend.transaction() as tx:
        [(_, [line, _])] = history.by_day(audit.history(tx.session, erika))
        assert (line.since, line.until) == (NOW + timedelta(minutes=1), NOW + timedelta(minutes=6))
        assert line.actors == ["automatisch", "mit dem Link aus der E-Mail"]
        assert len(audit.all_data(tx.session, erika)["Verlauf"]) == 7, "the data export has each event"


def test_a_second_link_and_a_second_day_begin_a_line_of_their_own(record, lines, clock, erika):
    for why in ("Anruf", "Sonstiges"):
        record("link.sent", erika, "clerk:1", why=why)
        record("link.opened", erika, "link:5", kind=LinkKind.DESK)
    clock.shift(timedelta(days=1))
    record("link.code_right", erika, "link:5")
    record("password.set", erika, "link:5", kind=LinkKind.DESK)
    opened = "Link zum Konto: gesendet, geöffnet"
    assert lines() == {24: ["Link zum Konto: Code eingegeben, Passwort gesetzt"], 23: [opened, opened]}


def test_equal_events_one_after_another_are_counted_and_name_the_device(backend, record, lines, erika):
    for _ in range(3):
        record("login.refused", erika, "visitor", device="Firefox unter Windows")
    record("login.refused", erika, "visitor", device="Safari unter iOS")
    assert lines() == {23: ["Anmeldung abgelehnt", "Anmeldung abgelehnt (3-mal)"]}
    with backend.transaction() as tx:
        [(_, found)] = history.by_day(audit.history(tx.session, erika))
    assert [line.remark for line in found] == ["Safari unter iOS", "Firefox unter Windows"]


def test_a_refused_login_is_recorded_with_its_device(backend, erika):
    backend.log_in(erika.email, "falsches passwort")
    with backend.transaction() as tx:
        [event] = audit.history(tx.session, erika)
    assert event.action == "login.refused" and event.remark == event.details["device"] != ""


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        (LinkKind.RECOVERY, "Link für ein neues Passwort erstellt"),
        (LinkKind.DESK, "Link zum Konto erstellt"),
        (LinkKind.ADDRESS, "Link zum Bestätigen der E-Mail-Adresse erstellt"),
        (LinkKind.OBJECTION, "Link „Das war ich nicht“ erstellt"),
        (LinkKind.LETTER, "Zugangsbrief erstellt"),
    ],
)
def test_the_kind_of_a_link_is_named(backend, lines, erika, kind, label):
    backend.run(links.issue, kind, erika)
    assert lines() == {23: [label]}


def test_a_new_address_is_one_line_from_its_entry_to_its_confirmation(backend, lines, erika, clock):
    backend.run(accounts.request_address_change, erika, NEW_EMAIL, actor=f"customer:{erika.id}")
    [line] = lines()[23]
    assert line == "Neue E-Mail-Adresse eingetragen", "its two links are no lines of their own"


def test_a_password_by_a_letter_names_the_letter(backend, lines, erika, clock):
    letter = backend.run(links.issue, LinkKind.LETTER, erika)
    clock.shift(timedelta(minutes=1))
    password = hash_password(NEW_PASSWORD)
    data = erika.data() | {"phone": "07051 999"}
    backend.run(accounts.register, letter, NOW, erika.version, data, password, actor=f"link:{letter.id}")
    with backend.transaction() as tx:
        [(_, [line])] = history.by_day(audit.history(tx.session, erika))
    assert "Passwort gesetzt" in line.text and "mit dem Zugangsbrief" in line.actors
    assert "mit dem Link aus der E-Mail" not in line.actors
