"""What becomes of the results: the command, JSON, the report, the worker and the page of the desk."""

import json

import pytest

from kmzportal.cli import cli
from kmzportal.db import db
from kmzportal.server.worker import Checks, Loop
from kmzportal.services import diagnosis
from tests import people
from tests.mail_server import PASSWORD


@pytest.fixture
def type_in(patient, monkeypatch):
    monkeypatch.setenv("KMZPORTAL_INSTANCE_PATH", str(patient.instance))
    monkeypatch.setenv("KMZPORTAL_PUBLIC_URL", patient.url)
    return lambda *words: (patient if patient.portal else patient.live()).portal.test_cli_runner().invoke(cli, words)


def test_the_command_prints_objects_for_programs_and_ends_with_0_without_a_fault(type_in, patient):
    result = type_in("doctor", "--json")
    found = json.loads(result.stdout)
    assert {tuple(one) for one in found} == {("check", "group", "status", "fault", "consequence", "cure")}
    assert [one["check"] for one in found if one["status"] == "fail"] == [] and result.exit_code == 0


def test_a_fault_is_printed_with_consequence_and_cure_and_ends_with_1(type_in, patient):
    patient.settings["MAIL_PORT"] = 9
    result = type_in("doctor")
    first = result.stdout.splitlines()[:4]
    assert first[0] == "Fehler: E-Mail – Verbindung zum Mailserver"
    assert "localhost:9 ist nicht erreichbar" in first[1]
    assert first[2].startswith("  Folge: ") and first[3].startswith("  Abhilfe: ") and result.exit_code == 1


@pytest.mark.parametrize("broken", [True, False], ids=["wrong setting", "no folder"])
def test_settings_that_let_no_portal_start_are_named_too(type_in, patient, monkeypatch, broken):
    patient.live()
    if broken:
        monkeypatch.setenv("KMZPORTAL_MAIL_PORT", "70000")
    else:
        monkeypatch.setenv("KMZPORTAL_INSTANCE_PATH", str(patient.instance / "missing"))
    result = type_in("doctor")
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert ("MAIL_PORT: 70000" if broken else "Den Ordner") in result.stdout


def test_the_report_names_no_secret_and_no_address(type_in, patient):
    patient.mail.rcpt_replies = {"hilfe@kmz.example": "554 5.7.1 <hilfe@kmz.example>: portal may not relay"}
    report = type_in("doctor", "--report").stdout
    assert "Fehler: E-Mail – Empfänger" in report and "554 5.7.1 <(Adresse)>: (verdeckt) may not relay" in report
    keys = [(patient.instance / f"{name}_key").read_text() for name in ("secret", "link", "factor")]
    for hidden in ("@", people.ROSA["email"], "Rosa", PASSWORD, *keys):
        assert hidden not in report


def test_the_worker_checks_a_minute_after_its_start_then_hourly_and_when_an_admin_asks(patient, clock):
    patient.live()
    loop = Loop(patient.portal, "diagnosis", Checks("host1").check_if_due)

    def checked_at():
        loop.turn()
        with patient.portal.app_context():
            return diagnosis.latest(db.session())[0][0].checked_at

    assert checked_at() is None
    clock.shift(60)
    first = checked_at()
    clock.shift(3599)
    assert checked_at() == first
    patient.backend.run(diagnosis.check_now)
    second = checked_at()
    assert second > first
    clock.shift(3600)
    assert checked_at() > second


def test_a_check_by_a_clock_that_was_wrong_does_not_delay_the_next(patient, clock):
    patient.live()
    loop = Loop(patient.portal, "diagnosis", Checks("host1").check_if_due)
    clock.shift(800 * 86_400)
    loop.turn()
    clock.shift(-800 * 86_400)
    loop.turn()
    with patient.portal.app_context():
        assert diagnosis.latest(db.session())[0][0].checked_at == people.NOW
