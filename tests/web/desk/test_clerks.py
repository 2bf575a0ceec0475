"""Mitarbeitende: an admin adds, locks and unlocks other clerks, never their own access."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import AccountLink, AuditEvent, Clerk, MailState
from kmzportal.services import clerks, sessions
from tests import people
from tests.browser import Browser, words

pytestmark = pytest.mark.usefixtures("clock")
LIST = "/kundenservice/mitarbeitende"
KIM = {"Vor- und Nachname": "Kim Muster", "E-Mail-Adresse": "kim.muster@kmz.example", "Kürzel": "km"}
ADD, SEND = "Anlegen und Link senden", "Neuen Link senden"


@pytest.fixture
def list_(desk, tim, prove):
    """The list of clerks, for Rosa, who is an admin and has just entered her second factor."""
    prove()
    return desk.open(LIST)


def test_the_list_shows_role_and_second_factor_of_each_clerk(list_, backend, tim):
    assert list_.heading == "Mitarbeitende"
    assert "Rosa Otto (ro), verwaltet Mitarbeitende – das sind Sie" in list_.text
    assert "Tim Beispiel (tb) tim.beispiel@kmz.example ohne zweiten Faktor" in list_.text
    backend.add_second_factor(tim)
    assert "tim.beispiel@kmz.example mit zweitem Faktor" in list_.open(LIST).text


def lock(browser):
    return browser.follow("Sperren").press("Ja, sperren")


@pytest.mark.parametrize("admin", [True, False])
def test_a_new_clerk_is_mailed_the_first_link(list_, backend, admin):
    name = "<script>alert(1)</script>{{ 7*7 }}"
    list_.follow("Zugang anlegen").check("Darf Mitarbeitende verwalten und das Protokoll sehen", admin)
    list_.submit(ADD, KIM | {"Vor- und Nachname": name})
    assert list_.path == LIST
    assert f"{name} ist angelegt. Der erste Link geht an kim.muster@kmz.example." in list_.text
    assert "hat kein Passwort, braucht einen ersten Link" in list_.text and "<script>alert" not in list_.answer.text
    [kim] = backend.read(select(Clerk).where(Clerk.initials == "km"))
    assert (kim.admin, kim.password_hash) == (admin, None)
    assert [mail.clerk_id for mail in backend.mails("clerk_first_link")] == [kim.id]


@pytest.mark.parametrize(("field", "typed", "error"), [
    ("Kürzel", "x", "Ein Kürzel hat 2 bis 4 Buchstaben."),
    ("Kürzel", "a<b", "Ein Kürzel hat 2 bis 4 Buchstaben."),
    ("Kürzel", "RO", "Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel."),
    ("E-Mail-Adresse", "Rosa.Otto@kmz.example", "Es gibt schon jemanden mit dieser Adresse oder diesem Kürzel."),
    ("E-Mail-Adresse", "kim", "Das ist keine vollständige E-Mail-Adresse."),
    ("Vor- und Nachname", "  ", "Geben Sie den Namen ein."),
    ("Vor- und Nachname", "Kim\u2028Muster", "Hier ist nur eine Zeile möglich."),
    ("Vor- und Nachname", "x" * 101, "Das ist zu lang."),
])  # fmt: skip
def test_invalid_input_is_refused_and_adds_no_clerk(list_, backend, field, typed, error):
    list_.follow("Zugang anlegen").submit(ADD, {**KIM, field: typed})
    assert (list_.status, error in list_.text, list_.value(field)) == (422, True, typed.strip())
    assert (len(backend.read(select(Clerk))), backend.mails()) == (2, [])


def test_a_locked_clerk_is_logged_out_and_gets_no_link_until_unlocked(list_, app, backend, tim):
    his = Browser(app).come_in(backend.run(sessions.start_session, tim, "Firefox").token)
    assert his.open("/kundenservice").status == 200
    lock(list_)
    assert "Der Zugang von Tim Beispiel ist gesperrt." in list_.text
    assert "gesperrt seit 23.11.2026, 14:05 Uhr" in list_.text
    assert his.open("/kundenservice").heading == "Anmelden im Kundenservice"
    answer = list_.post(f"{LIST}/{tim.id}/link")
    assert (answer.status_code, "Das Konto ist gesperrt. Entsperren Sie es zuerst." in answer.text) == (422, True)
    assert backend.mails("clerk_first_link") == []
    assert "Der Zugang von Tim Beispiel ist entsperrt." in list_.press("Entsperren").text
    assert backend.read(tim).locked_at is None


def test_each_action_is_recorded_with_its_admin_and_links_are_limited_per_day(list_, backend, rosa, tim):
    lock(list_).press("Entsperren")
    for _ in range(9):  # and the mail about the lock
        assert "Ein neuer Link geht an Tim Beispiel." in list_.press(SEND).text
        for mail in backend.mails():
            backend.update(mail, state=MailState.SENT)
    assert "An diese Adresse hat der Kundenservice heute schon 10 E-Mails gesendet." in list_.press(SEND).text
    assert {mail.recipient for mail in backend.mails("clerk_first_link")} == {tim.email}
    events = backend.read(select(AuditEvent).where(AuditEvent.clerk_id == tim.id))
    assert {event.action for event in events} >= {"link.issued", "clerk.locked", "clerk.unlocked"}
    assert {(event.actor, event.details["by"]) for event in events} == {(f"clerk:{rosa.id}", "ro")}


@pytest.mark.parametrize("action", ["sperren", "entsperren", "link", "ausscheiden", "zurueck"])
def test_an_admin_cannot_change_the_own_access_or_that_of_an_unknown_clerk(list_, backend, rosa, action):
    answer = list_.post(f"{LIST}/{rosa.id}/{action}")
    assert (answer.status_code, "muss jemand anderes entscheiden" in answer.text) == (422, True)
    for number in ("0", "4711", "2147483648", "9" * 30, "-1", "x", "1%00"):
        assert list_.post(f"{LIST}/{number}/{action}").status_code == 404, number
    assert (backend.read(rosa).locked_at, backend.read(select(AccountLink))) == (None, [])


def test_a_stale_form_is_refused_and_works_the_second_time(list_, backend, tim):
    list_.follow("Sperren").stale().press("Ja, sperren")
    assert (list_.status, "Senden Sie das Formular bitte noch einmal ab." in list_.text) == (422, True)
    assert backend.read(tim).locked_at is None
    lock(list_)
    assert backend.read(tim).locked_at == people.NOW


def test_a_clerk_who_is_no_admin_is_shown_no_link_to_the_pages_of_admins(browser, backend, tim):
    browser.come_in(backend.run(sessions.start_session, tim, "Firefox").token).open("/kundenservice/anfragen")
    [nav] = [one for one in browser.page.iter("nav") if one.get("aria-label") == "Kundenservice"]
    assert words(nav) == "Anfragen Kunden Postausgang Bericht Mein Zugang Abmelden"


def test_an_admin_who_was_locked_meanwhile_cannot_lock(list_, backend, rosa, tim):
    list_.follow("Sperren")
    backend.update(rosa, locked_at=people.NOW)
    assert list_.press("Ja, sperren").heading == "Anmelden im Kundenservice"
    assert backend.read(tim).locked_at is None


def test_an_admin_who_lost_the_right_meanwhile_adds_nobody(list_, backend, rosa, monkeypatch):
    """Another admin's change was first at the lock."""
    lock_all = clerks.lock_all

    def lose(tx):
        lock_all(tx)
        tx.session.get(Clerk, rosa.id).admin = False

    list_.follow("Zugang anlegen")
    monkeypatch.setattr(clerks, "lock_all", lose)
    assert list_.submit(ADD, KIM).status == 403
    assert (len(backend.read(select(Clerk))), backend.mails()) == (2, [])


CODE = "Code aus der App"


@pytest.mark.with_and_without_htmx
def test_what_outlasts_the_session_needs_the_second_factor_afresh_and_a_lock_does_not(desk, backend, tim, factor):
    """A stolen cookie makes no admin, and brings no locked clerk back (OWASP ASVS 7.5.3)."""
    answer = desk.open(LIST).post(f"{LIST}/neu", name="Dieb", email="dieb@evil.example", initials="di", admin="y")
    assert answer.headers["Location"].startswith("/kundenservice/bestaetigen")
    desk.press(SEND)
    assert (desk.heading, backend.mails()) == ("Bitte bestätigen", [])
    assert lock(desk.open(LIST)).heading == "Mitarbeitende" and backend.read(tim).locked_at
    desk.press("Entsperren")
    assert desk.heading == "Bitte bestätigen" and backend.read(tim).locked_at
    assert len(backend.read(select(Clerk))) == 2
    desk.submit("Weiter", {CODE: factor.recovery_codes[0]})
    assert desk.path == LIST
    desk.press("Entsperren")
    assert backend.read(tim).locked_at is None
    desk.follow("Zugang anlegen").submit(ADD, KIM)
    assert [mail.template for mail in backend.mails()] == [*["clerk_limited"] * 2, "clerk_added", "clerk_first_link"]


def test_the_input_of_a_new_clerk_survives_the_question(desk, backend, factor, prove, clock):
    prove()
    desk.open(LIST).follow("Zugang anlegen")
    clock.shift(timedelta(minutes=6))
    desk.submit(ADD, KIM)
    assert desk.heading == "Bitte bestätigen"
    desk.submit("Weiter", {CODE: factor.recovery_codes[0]})
    assert [desk.value(label) for label in KIM] == list(KIM.values())
    desk.press(ADD)
    assert len(backend.read(select(Clerk))) == 2


def test_a_lock_is_asked_before_and_can_be_called_off(list_, backend, tim):
    assert list_.follow("Sperren").heading == "Tim Beispiel sperren?"
    assert "wird sofort überall abgemeldet" in list_.text and backend.read(tim).locked_at is None
    assert list_.follow("Abbrechen").path == LIST and backend.read(tim).locked_at is None
    assert lock(list_).path == LIST and backend.read(tim).locked_at


@pytest.mark.with_and_without_htmx
def test_name_initials_and_right_are_changed_after_a_fresh_proof(desk, backend, tim, factor):
    desk.open(LIST).follow("Ändern")
    assert desk.heading == "Bitte bestätigen"
    desk.submit("Weiter", {CODE: factor.recovery_codes[0]})
    assert [desk.value(label) for label in ("Vor- und Nachname", "Kürzel")] == ["Tim Beispiel", "tb"]
    desk.submit("Speichern", {"Vor- und Nachname": "Tim Neu", "Kürzel": "ro"})
    assert (desk.status, "Es gibt schon jemanden" in desk.text, desk.value("Kürzel")) == (422, True, "ro")
    desk.check("Darf Mitarbeitende verwalten und das Protokoll sehen").submit("Speichern", {"Kürzel": "tn"})
    assert "Der Zugang von Tim Neu ist geändert." in desk.text
    assert "Tim Neu (tn), verwaltet Mitarbeitende" in desk.text
    assert (backend.read(tim).name, backend.read(tim).admin) == ("Tim Neu", True)


def test_the_own_entry_leads_to_mein_zugang(list_, rosa):
    [entry] = [one for one in list_.page.iter("li") if "das sind Sie" in words(one)]
    assert [words(one) for one in entry.iter("a", "button")] == ["Mein Zugang"]
    assert list_.open(f"{LIST}/{rosa.id}").path == "/kundenservice/zugang"


def test_who_left_is_listed_apart_and_comes_back_with_a_first_link(desk, backend, tim, factor, app):
    his = Browser(app).come_in(backend.run(sessions.start_session, tim, "Firefox").token)
    desk.open(LIST).follow("Ausgeschieden")
    assert desk.heading == "Bitte bestätigen", "it ends password and factor for good"
    desk.submit("Weiter", {CODE: factor.recovery_codes[0]})
    assert desk.heading == "Tim Beispiel ist ausgeschieden?" and backend.read(tim).left_at is None
    desk.press("Ja, ausgeschieden")
    assert "Tim Beispiel ist als ausgeschieden eingetragen." in desk.text
    after = desk.text.partition("Diese Personen können sich nicht mehr anmelden.")[2]
    assert "Tim Beispiel (tb)" in after and "Rosa" not in after
    assert his.open("/kundenservice").heading == "Anmelden im Kundenservice"
    desk.press("Mit einem ersten Link zurückholen")
    assert "Tim Beispiel ist wieder dabei." in desk.text and "hat kein Passwort, braucht einen ersten Link" in desk.text
    assert [mail.template for mail in backend.mails()] == [*["clerk_limited"] * 2, "clerk_added", "clerk_first_link"]
