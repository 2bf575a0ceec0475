"""Diagnose: the latest results for admins, with and without JavaScript."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import Diagnosis
from kmzportal.services import diagnosis
from kmzportal.services.diagnosis import Result
from tests.states import session_token

PAGE = "/kundenservice/diagnose"
RESULTS = [
    Result("wal", "Datenbank", "ok"),
    Result("spf", "Absender im DNS", "warn", "0 SPF-Einträge.", "E-Mails landen im Spam.", "Legen Sie einen an."),
    Result("disk", "Dateien", "fail", "Nur 12 MB frei.", "Nichts wird gespeichert.", "Löschen Sie: b@kmz.example"),
]


@pytest.fixture
def desk(browser, backend, rosa):
    return browser.come_in(session_token(backend, rosa))


@pytest.mark.with_and_without_htmx
def test_an_admin_reads_the_latest_results_and_asks_for_new_ones(desk, backend, clock):
    assert (
        "Noch hat kein Arbeitsprozess das Portal geprüft." in desk.open("/kundenservice/kunden").follow("Diagnose").text
    )
    backend.run(diagnosis.register_host, "konto1")
    assert "Noch nicht geprüft." in desk.open(PAGE).text
    backend.run(diagnosis.store, "konto1", RESULTS)
    page = desk.open(PAGE).text
    assert "Fehler 1, Warnung 1, In Ordnung 1" in page
    fault = page.index("Fehler: Dateien – Freier Platz")
    assert fault < page.index("Nur 12 MB frei.") < page.index("Folge: Nichts wird") < page.index("Abhilfe: Löschen Sie")
    assert fault < page.index("Warnung: Absender im DNS – SPF") < page.index("Datenbank – Schreiben neben Lesen")
    assert desk.read("textarea").startswith("Fehler: Dateien – Freier Platz") and "(Adresse)" in desk.read("textarea")
    clock.shift(timedelta(minutes=5))
    desk.press("Jetzt prüfen")
    assert "Die Prüfung läuft." in desk.answer.text
    assert backend.read(select(Diagnosis))[0].due_at == datetime.now(UTC)
    assert backend.actions()[-1] == "diagnosis.requested"
    assert "prüft nicht mehr" not in desk.open(PAGE).text
    clock.shift(timedelta(minutes=6))
    assert "Der Arbeitsprozess dieses Rechners prüft nicht mehr. Läuft er?" in desk.open(PAGE).text


def test_hosts_that_are_gone_disappear(backend, clock):
    backend.run(diagnosis.register_host, "old")
    clock.shift(timedelta(days=8))
    backend.run(diagnosis.register_host, "new")
    backend.run(diagnosis.store, "new", RESULTS)
    assert [row.host for row in backend.read(select(Diagnosis))] == ["new"]


def test_others_than_admins_do_not_see_it(browser, backend, tim):
    browser.come_in(session_token(backend, tim))
    assert "Diagnose" not in browser.open("/kundenservice/kunden").text
    assert browser.open(PAGE).answer.status_code == 403
