"""Zugangsbrief drucken: the second factor afresh, the identity check, and a code that one page shows once."""

import re
from datetime import timedelta

import pytest

from kmzportal.models import CaseState, LinkKind
from kmzportal.services import accounts, sessions, support
from tests import people
from tests.browser import TOKEN_KEY

pytestmark = pytest.mark.usefixtures("clock")
CONFIRM, PRINT, HAND = "/kundenservice/bestaetigen", "Zugangsbrief drucken", "Ich übergebe ihn"
POST = "Per Post an: Erika Mustermann, Schulweg 1, 75365 Musterstadt"
CODE = re.compile(r"[A-Z2-9]{4}-[A-Z2-9]{4}-[A-Z2-9]{4}")


@pytest.fixture
def form(screen, factor):
    """The form, after the second factor was entered."""
    return screen.follow(PRINT).submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})


@pytest.mark.with_and_without_htmx
def test_the_letter_shows_the_code_once_and_neither_kundennummer_nor_password(form, backend, erika):
    form.press(PRINT)
    assert form.status == 422 and "Wählen Sie aus, wie der Brief ankommt." in form.text
    form.fill_in("Anmerkung zur Prüfung", "Sekretariat").check("Rückruf").check(POST).press(PRINT)
    (letter,) = backend.links(LinkKind.LETTER)
    code = backend.keys.letter_code(letter)
    for text in (code, "Frau Erika Mustermann", "Schulweg 1", "konto.kmz.example/link", "Montag, 7. Dezember 2026"):
        assert text in form.text
    assert erika.number not in form.text and erika.email not in form.text and "style=" not in form.answer.text
    assert form.answer.headers["Cache-Control"] == "no-store"
    screen = f"/kundenservice/kunden/{erika.id}"
    for path in (f"{screen}/zugangsbrief", screen, "/kundenservice/postausgang", "/kundenservice/protokoll"):
        assert form.open(path).status == 200 and not CODE.search(form.text.replace("ABCD-EFGH-JKLM", "")), path


def test_a_reload_prints_no_second_letter_and_the_form_then_replaces_the_lost_one(form, backend):
    form.check("Rückruf").check(HAND)
    shown = {name: form.page.forms[-1].inputs[name].value for name in ("version", "newest_letter")}
    sent = {"check": "callback", "handover": "hand", **shown}
    form.press(PRINT)
    path, token = form.path, form.csrf_token
    again = form.client.post(path, data=sent | {"csrf_token": token}, base_url=form.site)
    assert again.status_code == 422 and "Dieser Zugangsbrief ist schon gedruckt." in again.text
    assert not CODE.search(again.text) and len(backend.links(LinkKind.LETTER)) == 1
    form.open(path).check("Rückruf").check(HAND).press(PRINT)
    assert [bool(letter.ended_at) for letter in backend.links(LinkKind.LETTER)] == [True, False]


def test_what_is_printed_is_what_the_clerk_read(form, backend, erika):
    """Whoever has the password could otherwise have a letter posted to him, by another address a minute before."""
    form.fill_in("Anmerkung zur Prüfung", "Sekretariat").check("Rückruf").check(POST)
    data = backend.read(erika).data() | {"street": "Diebesgasse 7"}
    backend.run(accounts.change_data, erika, data, actor=f"customer:{erika.id}")
    form.press(PRINT)
    assert form.status == 422 and "Jemand anderes hat diese Daten inzwischen geändert." in form.text
    assert backend.links(LinkKind.LETTER) == [] and form.value("Anmerkung zur Prüfung") == "Sekretariat"
    new = POST.replace("Schulweg 1", "Diebesgasse 7")
    assert form.check("Rückruf").check(new).press(PRINT).status == 200
    assert "Diebesgasse 7" in form.text and CODE.search(form.text)


@pytest.mark.with_and_without_htmx
def test_when_the_confirmation_has_expired_the_code_is_asked_again_and_the_input_is_kept(form, backend, factor, clock):
    form.fill_in("Anmerkung zur Prüfung", "Sekretariat").check("Rückruf").check(HAND)
    clock.shift(timedelta(minutes=5))
    form.press(PRINT)
    assert (form.path, backend.links()) == (CONFIRM, [])
    form.submit("Weiter", {"Code aus der App": factor.recovery_codes[1]})
    assert form.value("Anmerkung zur Prüfung") == "Sekretariat"
    assert form.press(PRINT).status == 200 and len(backend.links(LinkKind.LETTER)) == 1


def test_each_code_counts_once_wrong_ones_are_throttled_and_a_right_one_renews_the_token(screen, backend, factor):
    before = screen.session[TOKEN_KEY]
    screen.follow(PRINT)
    assert screen.submit("Weiter", {"Code aus der App": ""}).status == 422
    for code in ("000000", *["x"] * 6, factor.recovery_codes[0]):
        assert screen.submit("Weiter", {"Code aus der App": code}).status == 422
    assert backend.actions()[-1] == "login.code_throttled"
    login_session = backend.session_of(before)
    counted = f"codes:{login_session.clerk.factor_nonce}:recovery:session:{login_session.id}"
    backend.run(sessions.clear_throttle, backend.keys.fingerprint(counted))
    assert screen.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]}).heading == PRINT
    assert backend.session_of(before) is None
    screen.open(f"{CONFIRM}?weiter=//evil.example").submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    assert (screen.path, screen.status) == (CONFIRM, 422)


def test_without_a_second_factor_the_password_counts_only_where_the_setting_allows_it(
    screen, offered, rosa, monkeypatch
):
    screen.follow(PRINT).submit("Weiter", {"Passwort": people.NEW_PASSWORD})
    assert screen.status == 422 and "Das Passwort stimmt nicht." in screen.text
    monkeypatch.setitem(screen.client.application.config, "STAFF_SECOND_FACTOR", "required")
    assert screen.open(CONFIRM).heading == "Ihr zweiter Faktor fehlt"
    monkeypatch.setitem(screen.client.application.config, "STAFF_SECOND_FACTOR", "offered")
    screen.open(CONFIRM).submit("Weiter", {"Passwort": people.password_of(rosa)})
    assert screen.path == "/kundenservice/kunden"


def test_the_kundennummer_alone_is_no_check_for_a_letter_that_is_handed_over(form):
    form.check("Kundennummer genannt").check(HAND).press(PRINT)
    assert form.status == 422 and "Zum Übergeben reicht die Kundennummer nicht." in form.text
    assert form.check(POST).press(PRINT).status == 200


def test_without_a_complete_postal_address_no_letter_is_posted(form, backend, erika):
    backend.update(erika, postcode="")
    form.check("Rückruf").check(POST).press(PRINT)
    assert form.status == 422 and "Zum Senden fehlt eine vollständige Anschrift." in form.text
    assert backend.links() == []


def test_a_letter_for_a_locked_account_is_refused_on_the_page(form, backend, erika):
    backend.update(erika, locked_at=people.NOW)
    form.check("Rückruf").check(HAND).press(PRINT)
    assert form.status == 422 and "Das Konto ist gesperrt." in form.text and backend.links() == []


def test_a_letter_answers_the_case_beside_it(desk, backend, rosa, erika, factor):
    case = backend.run(
        lambda tx, one: support.open_case(tx, "other", "form", "x@y.example", "Hilfe", customer=one), erika
    )
    desk.open(f"/kundenservice/kunden/{erika.id}?anfrage={case.id}").follow(PRINT)
    desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    assert "Hilfe" in desk.text and f"Anfrage {case.reference}" in desk.text
    desk.check("Rückruf").check(HAND).press(PRINT)
    assert backend.read(case).state == CaseState.ANSWERED


def test_an_open_letter_is_listed_can_be_withdrawn_and_not_sent_again(form, backend, erika):
    form.check("Rückruf").check(HAND).press(PRINT)
    (letter,) = backend.links(LinkKind.LETTER)
    form.open(f"/kundenservice/kunden/{erika.id}")
    assert "Zugangsbrief an Erika Mustermann" in form.text
    assert f"/links/{letter.id}/erneut" not in form.answer.text
    assert form.post(f"/kundenservice/kunden/{erika.id}/links/{letter.id}/erneut").status_code == 422
    form.press("Zurückziehen")
    assert "Der Zugangsbrief an Erika Mustermann ist zurückgezogen" in form.text
    assert backend.read(letter).ended_as == "withdrawn"
