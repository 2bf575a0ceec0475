"""Das Protokoll is for admins: who did what to whom, in German, and reading it writes nothing."""

import pytest

from kmzportal.models.account_link import LinkKind
from kmzportal.models.audit_event import ACTIONS
from kmzportal.services import sessions
from kmzportal.web.audit import DETAILS
from tests.browser import Browser, words
from tests.house_rules.records import recorded_details
from tests.secret_scan import everything

pytestmark = pytest.mark.usefixtures("clock")

PAGE = "/kundenservice/protokoll"


@pytest.fixture
def happen(backend):
    def happen(deed, person=None, actor="worker", **details):
        with backend.transaction(actor) as tx:
            tx.record(deed, tx.session.get(type(person), person.id) if person else None, **details)

    return happen


def rows(desk):
    found = [words(row) for body in desk.page.iter("tbody") for row in body.iter("tr")]
    return [row.removeprefix("14:05 ") for row in found]


def test_each_deed_says_who_did_what_to_whom(desk, happen, rosa, erika):
    happen("data.changed", erika, f"customer:{erika.id}", fields=["phone", "school"])
    happen("link.issued", erika, f"clerk:{rosa.id}", kind=LinkKind.DESK, by="ro")
    happen("mail.refused", erika, template="desk_link", code=550)
    happen("clerk.added", rosa, "console", admin=True)
    happen("puzzle.solved", erika, "link:3")
    assert rows(desk.open(PAGE)) == [
        "Über den Link Bilderrätsel gelöst Erika Mustermann (K-1001)",
        "Verwaltung Zugang zum Kundenservice angelegt Rosa Otto (ro) Admin: ja",
        "Das Portal E-Mail vom Mailserver abgelehnt Erika Mustermann (K-1001) "
        "E-Mail: Ihr Link zum Konto · Antwort des Mailservers: 550",
        "Rosa Otto (ro) Link zum Konto erstellt Erika Mustermann (K-1001) Link: Link zum Konto",
        "Erika Mustermann (K-1001) Daten geändert Erika Mustermann (K-1001) Felder: Telefon, Schule",
    ]


def test_every_detail_that_is_recorded_has_a_word():
    assert set(recorded_details()) - {"by"} <= set(DETAILS)
    assert {"template", "fields", "kind"} <= set(recorded_details())


def test_it_is_filtered_by_what_whom_and_when(desk, happen, erika, max_):
    happen("logout", erika)
    happen("logout", max_)
    happen("password.set", erika)
    desk.open(PAGE).choose("Vorgang", ACTIONS["logout"]).press("Anzeigen", Person="K-1001")
    assert rows(desk) == ["Das Portal Abgemeldet Erika Mustermann (K-1001)"]
    assert desk.value("Person") == "K-1001"
    assert len(rows(desk.open(PAGE).press("Anzeigen", Von="2026-11-23", Bis="2026-11-23"))) == 3
    assert rows(desk.open(PAGE).press("Anzeigen", Von="2026-11-24")) == []
    assert "Keine Einträge" in desk.text


@pytest.mark.parametrize(
    "asked",
    ["von=gestern", "von=0001-01-01", "bis=9999-12-31", "person=a%00b", "vorgang=x", "von=%3Cb%3E&bis=2026-02-30"],
)
def test_what_cannot_be_meant_is_said_and_breaks_nothing(desk, happen, erika, asked):
    happen("logout", erika)
    desk.open(f"{PAGE}?{asked}")
    assert desk.status == 422
    assert "Bitte prüfen Sie Ihre Eingaben" in desk.text and "<b>" not in desk.answer.text


@pytest.mark.parametrize("before", ["x", "0", "-1", "9" * 30, "2147483647"])
def test_a_key_that_is_none_breaks_nothing(desk, happen, erika, before):
    happen("logout", erika)
    assert desk.open(f"{PAGE}?vor={before}").status == 200


def test_older_deeds_are_one_click_away_and_the_filter_stays(desk, backend, erika, max_):
    def much(tx, one, other):
        for _ in range(52):
            tx.record("logout", one)
            tx.record("logout", other)

    backend.run(much, erika, max_)
    desk.open(f"{PAGE}?person=K-1001")
    assert len(rows(desk)) == 50
    assert rows(desk.follow("Ältere Einträge")) == ["Unbekannt Abgemeldet Erika Mustermann (K-1001)"] * 2


def test_a_clerk_who_is_no_admin_neither_sees_it_nor_the_way_there(app, backend, tim):
    desk = Browser(app).come_in(backend.run(sessions.start_session, tim, "Firefox unter Linux"))
    assert desk.open(PAGE).status == 403
    desk.open("/kundenservice/anfragen")
    [nav] = [one for one in desk.page.iter("nav") if one.get("aria-label") == "Kundenservice"]
    assert words(nav) == "Anfragen Kunden Postausgang Abmelden"


def test_the_present_page_is_marked(desk):
    desk.open(PAGE)
    [present] = [words(one) for one in desk.page.iter("a") if one.get("aria-current") == "page"]
    assert present == "Protokoll"


def test_reading_writes_nothing(app, desk, happen, erika):
    happen("logout", erika)
    with app.app_context():
        before = list(everything())
        desk.open(f"{PAGE}?person=K-1001&vorgang=logout&von=2026-01-01")
        assert list(everything()) == before


def test_hostile_details_are_text(desk, happen, erika):
    happen("data.changed", erika, note="<script>alert(1)</script>", fields=["{{7*7}}", "<b>"])
    desk.open(PAGE)
    assert "<script>alert(1)</script>" in desk.text and "{{7*7}}, <b>" in desk.text
    assert "<script>alert" not in desk.answer.text
