"""Protokoll, for admins: each event in German with actor and account; reading it writes nothing."""

import re

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.models.audit_event import ACTIONS
from kmzportal.services import audit, sessions
from tests.browser import Browser, words
from tests.secret_scan import everything

pytestmark = pytest.mark.usefixtures("clock")

PAGE = "/kundenservice/protokoll"


@pytest.fixture
def record(backend):
    def record(action, person=None, actor="worker", **details):
        with backend.transaction(actor) as tx:
            tx.record(action, tx.session.get(type(person), person.id) if person else None, **details)

    return record


def rows(desk):
    found = [words(row) for body in desk.page.iter("tbody") for row in body.iter("tr")]
    return [row.removeprefix("14:05 ") for row in found]


def test_each_event_is_shown_with_actor_account_and_details(desk, record, rosa, erika):
    record("data.changed", erika, f"customer:{erika.id}", fields=["phone", "school"])
    record("link.issued", erika, f"clerk:{rosa.id}", kind=LinkKind.DESK, by="ro")
    record("address.corrected", erika, f"clerk:{rosa.id}", check="callback", note="", by="ro")
    record("mail.refused", erika, template="desk_link", code=550)
    record("clerk.added", rosa, "console", admin=True)
    record("puzzle.solved", erika, "link:3")
    assert rows(desk.open(PAGE)) == [
        "Über den Link Bilderrätsel gelöst Erika Mustermann (K-1001)",
        "Verwaltung Zugang zum Kundenservice angelegt Rosa Otto (ro) Admin: ja",
        "Das Portal E-Mail vom Mailserver abgelehnt Erika Mustermann (K-1001) "
        "E-Mail: Ihr Link zum Konto · Antwort des Mailservers: 550",
        "Rosa Otto (ro) Neue E-Mail-Adresse durch den Kundenservice eingetragen Erika Mustermann (K-1001) "
        "Geprüft: Rückruf",
        "Rosa Otto (ro) Link zum Konto erstellt Erika Mustermann (K-1001) Link: Link zum Konto",
        "Erika Mustermann (K-1001) Daten geändert Erika Mustermann (K-1001) Felder: Telefon, Schule",
    ]


def test_events_are_filtered_by_action_person_and_day(desk, record, erika, max_):
    record("logout", erika)
    record("logout", max_)
    record("password.set", erika)
    desk.open(PAGE).choose("Vorgang", ACTIONS["logout"]).press("Anzeigen", Person="K-1001")
    assert rows(desk) == ["Das Portal Abgemeldet Erika Mustermann (K-1001)"]
    assert desk.value("Person") == "K-1001"
    assert len(rows(desk.open(PAGE).press("Anzeigen", Von="2026-11-23", Bis="2026-11-23"))) == 3
    assert rows(desk.open(PAGE).press("Anzeigen", Von="2026-11-24")) == []
    assert "Keine Einträge" in desk.text


@pytest.mark.parametrize(
    "query",
    ["von=gestern", "von=0001-01-01", "bis=9999-12-31", "person=a%00b", "vorgang=x", "von=%3Cb%3E&bis=2026-02-30"],
)
def test_an_invalid_filter_is_refused(desk, record, erika, query):
    record("logout", erika)
    desk.open(f"{PAGE}?{query}")
    assert desk.status == 422
    assert "Bitte prüfen Sie Ihre Eingaben" in desk.text and "<b>" not in desk.answer.text


@pytest.mark.parametrize("before", ["x", "0", "-1", "9" * 30, "2147483647"])
def test_an_unknown_page_key_is_ignored(desk, record, erika, before):
    record("logout", erika)
    assert desk.open(f"{PAGE}?vor={before}").status == 200


def test_older_events_are_on_the_next_page_of_the_same_filter(desk, backend, erika, max_):
    def many(tx, one, other):
        for _ in range(52):
            tx.record("logout", one)
            tx.record("logout", other)

    backend.run(many, erika, max_)
    desk.open(f"{PAGE}?person=K-1001")
    assert len(rows(desk)) == 50
    assert rows(desk.follow("Ältere Einträge")) == ["Unbekannt Abgemeldet Erika Mustermann (K-1001)"] * 2


@pytest.mark.parametrize(
    "extra", ["endpoint=x", "_scheme=javascript&_external=1", "_scheme=x", "_method=POST", "_anchor=x", "fremd=1"]
)
def test_the_link_to_older_events_contains_only_the_filter(desk, backend, rosa, extra):
    with backend.transaction() as tx:
        for _ in range(audit.EVENTS_SHOWN + 1):
            tx.record("logout", rosa)
    desk.open(f"{PAGE}?person=ro&{extra}")
    [older] = [link.get("href") for link in desk.page.iter("a") if words(link) == "Ältere Einträge"]
    assert re.fullmatch(rf"{PAGE}\?person=ro&vor=\d+", older)


def test_a_clerk_who_is_no_admin_sees_neither_page_nor_link(app, backend, tim):
    desk = Browser(app).come_in(backend.run(sessions.start_session, tim, "Firefox unter Linux").token)
    assert desk.open(PAGE).status == 403
    desk.open("/kundenservice/anfragen")
    [nav] = [one for one in desk.page.iter("nav") if one.get("aria-label") == "Kundenservice"]
    assert words(nav) == "Anfragen Kunden Postausgang Abmelden"


def test_the_navigation_marks_the_current_page(desk):
    desk.open(PAGE)
    [current] = [words(one) for one in desk.page.iter("a") if one.get("aria-current") == "page"]
    assert current == "Protokoll"


def test_reading_writes_nothing(app, desk, record, erika):
    record("logout", erika)
    with app.app_context():
        before = list(everything())
        desk.open(f"{PAGE}?person=K-1001&vorgang=logout&von=2026-01-01")
        assert list(everything()) == before


def test_hostile_details_are_escaped(desk, record, erika):
    record("data.changed", erika, note="<script>alert(1)</script>", fields=["{{7*7}}", "<b>"])
    desk.open(PAGE)
    assert "<script>alert(1)</script>" in desk.text and "{{7*7}}, <b>" in desk.text
    assert "<script>alert" not in desk.answer.text
