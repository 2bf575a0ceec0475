"""Protokoll, for admins: each event in German with actor and account."""

import re

import pytest
from sqlalchemy import select

from kmzportal.models import ACTIONS, CustomerAccess, LinkKind
from tests.browser import words

pytestmark = pytest.mark.usefixtures("clock")
PAGE = "/kundenservice/protokoll"


@pytest.fixture
def record(backend):
    def record(action, person=None, actor="worker", times=1, **details):
        with backend.transaction(actor) as tx:
            for _ in range(times):
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
    record("data.changed", erika, "console", note="<script>alert(1)</script>", fields=["{{7*7}}", "<b>"])
    assert rows(desk.open(PAGE)) == [
        "Verwaltung Daten geändert Erika Mustermann (K-1001) "
        "Anmerkung: <script>alert(1)</script> · Felder: {{7*7}}, <b>",
        "mit dem Link aus der E-Mail Bilderrätsel gelöst Erika Mustermann (K-1001)",
        "Verwaltung Zugang zum Kundenservice angelegt Rosa Otto (ro) Admin: ja",
        "automatisch E-Mail vom Mailserver abgelehnt Erika Mustermann (K-1001) "
        "E-Mail: Ihr Link zum Konto · Antwort des Mailservers: 550",
        "Rosa Otto (ro) Neue E-Mail-Adresse durch den Kundenservice eingetragen Erika Mustermann (K-1001) "
        "Geprüft: Rückruf",
        "Rosa Otto (ro) Link zum Konto erstellt Erika Mustermann (K-1001) Link: Link zum Konto",
        "Erika Mustermann (K-1001) Daten geändert Erika Mustermann (K-1001) Felder: Telefon, Schule",
    ]
    assert [words(one) for one in desk.page.iter("a") if one.get("aria-current") == "page"] == ["Protokoll"]


def test_who_reads_the_events_of_one_customer_has_seen_the_account(desk, record, erika, backend):
    record("data.changed", erika, fields=["phone"])
    desk.open(PAGE)
    assert backend.read(select(CustomerAccess)) == []
    desk.press("Anzeigen", Person=erika.number)
    assert [seen.customer_id for seen in backend.read(select(CustomerAccess))] == [erika.id]


def test_events_are_filtered_by_action_person_and_day(desk, record, erika, max_, prove):
    record("logout", erika)
    record("logout", max_)
    record("password.set", erika)
    desk.open(PAGE).choose("Vorgang", ACTIONS["logout"]).press("Anzeigen", Person="K-1001")
    assert rows(desk) == ["automatisch Abgemeldet Erika Mustermann (K-1001)"]
    assert desk.value("Person") == "K-1001"
    assert rows(desk.open(PAGE).press("Anzeigen", Von="2026-11-24")) == []
    assert "Keine Einträge" in desk.text
    # With the events of each day in turn a stolen session would get all of them.
    assert desk.open(PAGE).press("Anzeigen", Bis="2026-11-23").path == "/kundenservice/bestaetigen"
    asked = desk.open(PAGE).choose("Vorgang", ACTIONS["logout"]).press("Anzeigen")
    assert asked.path == "/kundenservice/bestaetigen"
    prove()
    assert len(rows(desk.open(PAGE).press("Anzeigen", Von="2026-11-23", Bis="2026-11-23"))) == 3


@pytest.mark.parametrize(
    "query",
    ["von=gestern", "von=0001-01-01", "bis=9999-12-31", "person=a%00b", "vorgang=x", "von=%3Cb%3E&bis=2026-02-30"],
)
def test_an_invalid_filter_is_refused(desk, query):
    desk.open(f"{PAGE}?{query}")
    assert (desk.status, desk.title.startswith("Fehler: ")) == (422, True)
    assert "<b>" not in desk.answer.text


@pytest.mark.parametrize("before", ["x", "0", "-1", "9" * 30, "2147483647"])
def test_an_unknown_page_key_is_ignored(desk, record, erika, before, prove):
    prove()
    record("logout", erika)
    assert desk.open(f"{PAGE}?vor={before}").status == 200


@pytest.mark.parametrize("extra", ["", "&endpoint=x", "&_scheme=javascript&_external=1", "&_method=POST", "&_anchor=x"])
def test_older_events_are_on_the_next_page_of_the_same_filter_and_of_nothing_else(
    desk, record, erika, max_, extra, prove
):
    record("logout", erika, times=52)
    record("password.set", max_, times=52)
    desk.open(f"{PAGE}?person=K-1001{extra}")
    assert len(rows(desk)) == 50
    [older] = [link.get("href") for link in desk.page.iter("a") if words(link) == "Ältere Einträge"]
    assert re.fullmatch(rf"{PAGE}\?person=K-1001&vor=\d+", older)
    prove()
    assert rows(desk.follow("Ältere Einträge")) == ["automatisch Abgemeldet Erika Mustermann (K-1001)"] * 2
