"""Mitarbeitende: an admin adds, locks and unlocks other clerks, never their own access."""

import pytest
from sqlalchemy import select

from kmzportal.models.account_link import AccountLink
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.person import Clerk
from kmzportal.services import sessions
from tests import people
from tests.browser import Browser
from tests.web.by_hand import post

pytestmark = pytest.mark.usefixtures("clock")
LIST = "/kundenservice/mitarbeitende"
KIM = {"Vor- und Nachname": "Kim Muster", "E-Mail-Adresse": "kim.muster@kmz.example", "Kürzel": "km"}
ADD = "Anlegen und Link senden"


def at_the_desk(browser, backend, clerk):
    return browser.come_in(backend.run(sessions.start_session, clerk, "Firefox").token)


@pytest.fixture
def desk(browser, backend, rosa, tim):
    """Rosa, an admin, on the list of clerks."""
    return at_the_desk(browser, backend, rosa).open(LIST)


def kim(backend):
    return backend.read(select(Clerk).where(Clerk.initials == "km"))[0]


def test_the_list_shows_role_and_second_factor_of_each_clerk(desk, backend, tim):
    assert desk.heading == "Mitarbeitende"
    assert "Rosa Otto (ro), verwaltet Mitarbeitende – das sind Sie" in desk.text
    assert "Tim Beispiel (tb) tim.beispiel@kmz.example ohne zweiten Faktor" in desk.text
    backend.add_second_factor(tim)
    assert "tim.beispiel@kmz.example mit zweitem Faktor" in desk.open(LIST).text


def test_a_new_clerk_is_mailed_the_first_link(desk, backend):
    desk.follow("Jemanden anlegen").submit(ADD, KIM)
    assert desk.path == LIST
    assert "Kim Muster ist angelegt. Der erste Link geht an kim.muster@kmz.example." in desk.text
    assert "hat den ersten Link noch nicht benutzt" in desk.text
    assert (kim(backend).admin, kim(backend).password_hash) == (False, None)
    assert [mail.clerk_id for mail in backend.mails("clerk_first_link")] == [kim(backend).id]


def test_a_new_clerk_may_be_an_admin(desk, backend):
    desk.follow("Jemanden anlegen").check("Darf Mitarbeitende verwalten und das Protokoll sehen").submit(ADD, KIM)
    assert kim(backend).admin is True


@pytest.mark.parametrize(("field", "typed", "error"), [
    ("Kürzel", "x", "Ein Kürzel hat 2 bis 4 Buchstaben."),
    ("Kürzel", "a<b", "Ein Kürzel hat 2 bis 4 Buchstaben."),
    ("Kürzel", "RO", "Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel."),
    ("E-Mail-Adresse", "Rosa.Otto@kmz.example", "Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel."),
    ("E-Mail-Adresse", "kim", "Das ist keine vollständige E-Mail-Adresse."),
    ("Vor- und Nachname", "", "Geben Sie den Namen ein."),
    ("Vor- und Nachname", "  ", "Geben Sie den Namen ein."),
    ("Vor- und Nachname", "Kim\u2028Muster", "Hier ist nur eine Zeile möglich."),
    ("Vor- und Nachname", "x" * 101, "Das ist zu lang."),
])  # fmt: skip
def test_invalid_input_is_refused_and_adds_no_clerk(desk, backend, field, typed, error):
    desk.follow("Jemanden anlegen").submit(ADD, {**KIM, field: typed})
    assert (desk.status, error in desk.text) == (422, True)
    assert desk.value(field) == typed.strip()
    assert len(backend.read(select(Clerk))) == 2
    assert backend.mails() == []


def test_a_hostile_name_is_escaped(desk):
    name = "<script>alert(1)</script>{{ 7*7 }}"
    desk.follow("Jemanden anlegen").submit(ADD, {**KIM, "Vor- und Nachname": name})
    assert name in desk.text
    assert "<script>alert" not in desk.answer.text


def test_a_locked_clerk_is_logged_out_at_once_until_unlocked(desk, app, backend, tim):
    his = at_the_desk(Browser(app), backend, tim)
    assert his.open("/kundenservice").status == 200
    desk.press("Sperren")
    assert "Der Zugang von Tim Beispiel ist gesperrt." in desk.text
    assert "gesperrt seit 23.11.2026, 14:05 Uhr" in desk.text
    assert his.open("/kundenservice").heading == "Anmelden im Kundenservice"
    his.submit("Anmelden", {"E-Mail-Adresse": tim.email, "Passwort": people.password_of(tim)})
    assert "Falsche Zugangsdaten" in his.text
    desk.press("Entsperren")
    assert "Der Zugang von Tim Beispiel ist wieder offen." in desk.text
    assert backend.read(tim).locked_at is None


def test_a_new_link_is_mailed_and_each_action_is_recorded_with_its_admin(desk, backend, rosa, tim):
    desk.press("Neuen Link senden")
    assert "Ein neuer Link geht an Tim Beispiel." in desk.text
    assert [(mail.template, mail.recipient) for mail in backend.mails()] == [("clerk_first_link", tim.email)]
    desk.press("Sperren").press("Entsperren")
    events = backend.read(select(AuditEvent).where(AuditEvent.clerk_id == tim.id).order_by(AuditEvent.id))
    assert [event.action for event in events] == ["link.issued", "clerk.locked", "clerk.unlocked"]
    assert {(event.actor, event.details["by"]) for event in events} == {(f"clerk:{rosa.id}", "ro")}


def test_the_daily_limit_of_mails_is_kept(desk, backend):
    for _ in range(11):
        desk.press("Neuen Link senden")
    assert "An diese Adresse gingen heute schon zu viele E-Mails." in desk.text
    assert len(backend.mails()) == 10


@pytest.mark.parametrize("action", ["sperren", "entsperren", "link"])
def test_an_admin_cannot_change_their_own_access(desk, backend, rosa, action):
    answer = post(desk, f"{LIST}/{rosa.id}/{action}")
    assert answer.status_code == 422
    assert "muss jemand anderes entscheiden" in answer.text
    assert backend.read(rosa).locked_at is None
    assert backend.read(select(AccountLink)) == []


def test_a_locked_clerk_gets_no_link(desk, backend, tim):
    desk.press("Sperren")
    answer = post(desk, f"{LIST}/{tim.id}/link")
    assert (answer.status_code, "Das Konto ist gesperrt. Entsperren Sie es zuerst." in answer.text) == (422, True)
    assert backend.mails() == []


@pytest.mark.parametrize("number", ["0", "4711", "2147483648", "9" * 30, "-1", "x", "1%00"])
def test_an_unknown_clerk_is_not_found(desk, number):
    for action in ("sperren", "entsperren", "link"):
        assert post(desk, f"{LIST}/{number}/{action}").status_code == 404


@pytest.mark.parametrize("button", ["Sperren", "Neuen Link senden"])
def test_a_stale_form_is_refused_and_works_the_second_time(desk, backend, tim, button):
    desk.stale().press(button)
    assert desk.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in desk.text
    assert (backend.read(tim).locked_at, backend.mails()) == (None, [])
    desk.press(button)
    assert backend.read(tim).locked_at or backend.mails()


def test_a_clerk_who_is_no_admin_may_do_none_of_it(browser, backend, rosa, tim):
    at_the_desk(browser, backend, tim).open("/kundenservice")
    assert "Mitarbeitende" not in browser.text
    assert browser.open(LIST).status == 403
    browser.open("/kundenservice")
    for path in ("neu", f"{rosa.id}/sperren", f"{rosa.id}/entsperren", f"{rosa.id}/link"):
        assert post(browser, f"{LIST}/{path}").status_code == 403
    assert backend.read(rosa).locked_at is None


def test_an_admin_who_was_locked_meanwhile_cannot_lock(desk, backend, rosa, tim):
    with backend.transaction("console") as tx:
        tx.session.get(Clerk, rosa.id).locked_at = tx.now
    desk.press("Sperren")
    assert desk.heading == "Anmelden im Kundenservice"
    assert backend.read(tim).locked_at is None
