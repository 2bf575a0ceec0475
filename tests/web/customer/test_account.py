"""Konto anpassen: the current password first, data and a new password, hostile text."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.customer import Customer
from tests import people
from tests.browser import Browser
from tests.people import NEW
from tests.web.by_hand import COOKIE, HOST, cookie, post
from tests.web.customer.adjusting import CURRENT, FIELDS, NEW_ADDRESS, adjust

pytestmark = pytest.mark.usefixtures("clock")
SAVED = "Ihre Änderungen sind gespeichert."
WRONG = "Das aktuelle Passwort stimmt nicht."
TEN_MINUTES = timedelta(minutes=10)
HOSTILE = {
    "html": "<img src=x onerror=alert(1)>",
    "attribute": '" autofocus onfocus="alert(1)',
    "template": "{{7*7}}{% raise %}${7*7}",
    "formula": '=HYPERLINK("https://evil.example","x")',
    "headers": "Müller\r\nBcc: alle@evil.example",
    "null": "Mül\0ler",
    "bidi": "Müller\u202eexe.txt\u2066",
    "escape": "\x1b[31mMüller",
    "separator": "Müller\u2028Meier",
    "long": "x" * 10_000,
    "emoji": "👩‍🏫" * 30,
    "surrogate": b"\xed\xa0\x80".decode("utf-8", "replace"),
    "sql": "'; DROP TABLE customer; --",
    "percent": "%00%s%n%(x)s",
}


def test_she_changes_her_data_and_history_names_the_fields_only(browser, backend, erika):
    adjust(browser, erika).choose("Anrede", "keine Angabe")
    browser.submit("Speichern", {"Telefon": "07051 4711", "Ort": "Neustadt"})
    assert SAVED in browser.text
    her = backend.read(erika)
    assert (her.phone, her.town, her.salutation, her.last_name) == ("07051 4711", "Neustadt", "", "Mustermann")
    (event,) = backend.read(select(AuditEvent).where(AuditEvent.action == "data.changed"))
    assert event.details == {"fields": ["salutation", "town", "phone"]}


def test_saving_from_an_old_page_keeps_all_but_passwords(browser, backend, erika):
    adjust(browser, erika).stale().submit(
        "Speichern", {"Telefon": "07051 4711", NEW_ADDRESS: "neu@schule.example", **NEW}
    )
    assert browser.status == 422
    assert (browser.value("Telefon"), browser.value(NEW_ADDRESS)) == ("07051 4711", "neu@schule.example")
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert people.NEW_PASSWORD not in browser.answer.text
    browser.press("Speichern")
    assert backend.read(erika).phone == "07051 4711"


def test_a_surname_is_needed_and_everything_else_stays(browser, erika):
    adjust(browser, erika).submit("Speichern", {"Nachname": " ", "Telefon": "07051 4711"})
    assert browser.status == 422
    assert browser.value("Telefon") == "07051 4711"


def test_a_new_password_ends_all_other_sessions_and_is_told(browser, app, backend, erika):
    phone = Browser(app).log_in(erika)
    before = cookie(adjust(browser, erika))
    browser.submit("Speichern", NEW)
    assert SAVED in browser.text
    assert browser.open("/einstellungen").heading == "Einstellungen"
    assert phone.open("/einstellungen").heading == "Anmelden"
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, before, domain=HOST, secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"
    assert backend.log_in(erika.email, people.password_of(erika)) is None
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert [mail.recipient for mail in backend.mails("password_changed")] == [erika.email]


@pytest.mark.parametrize(
    ("new", "repeat"),
    [
        (people.NEW_PASSWORD, people.OTHER_PASSWORD), (people.NEW_PASSWORD, ""), ("", people.NEW_PASSWORD),
        ("kurz", "kurz"),
        ("Mustermann1001", "Mustermann1001"), ("x" * 257, "x" * 257), ("passwort1234", "passwort1234"),
    ],
)  # fmt: skip
def test_a_password_that_does_not_suit_changes_nothing_and_loses_nothing(browser, backend, erika, new, repeat):
    adjust(browser, erika).submit("Speichern", {"Telefon": "07051 4711", "Passwort": new, "Wdh. Passwort": repeat})
    assert browser.status == 422
    assert browser.value("Telefon") == "07051 4711"
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert backend.read(erika).phone == erika.phone
    assert backend.read(erika).password_hash == erika.password_hash


def test_locked_while_she_saves_she_is_told_and_nothing_breaks(browser, backend, erika):
    adjust(browser, erika)
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).locked_at = tx.now
    browser.submit("Speichern", {NEW_ADDRESS: "neu@schule.example"})
    assert browser.heading == "Anmelden"
    assert backend.mails() == []


def test_a_new_password_is_not_lost_in_silence_when_another_field_is_wrong(browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": people.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    new = {"Passwort": people.NEW_PASSWORD, "Wdh. Passwort": people.NEW_PASSWORD}
    browser.submit("Speichern", {"Nachname": "", **new})
    assert browser.status == 422
    assert "ist das Passwort jetzt leer" in browser.text


def test_the_password_is_asked_and_the_form_opens_in_its_place(browser, erika):
    browser.log_in(erika).follow("Konto anpassen")
    assert erika.phone not in browser.answer.text
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert browser.heading == "Konto anpassen"
    assert browser.value("Telefon") == erika.phone
    assert browser.status == 200


@pytest.mark.parametrize("typed", ["falsches passwort", "x" * 257, "\0"])
def test_a_wrong_password_opens_nothing_and_is_not_shown_again(browser, erika, typed):
    browser.log_in(erika).follow("Konto anpassen").submit("Weiter", {CURRENT: typed})
    assert browser.status == 422
    assert browser.value(CURRENT) == ""
    assert typed not in browser.answer.text
    assert erika.phone not in browser.answer.text


def test_who_guesses_on_in_an_open_session_is_throttled_as_at_the_door(browser, erika):
    browser.log_in(erika).follow("Konto anpassen")
    for _ in range(6):
        browser.submit("Weiter", {CURRENT: "falsches passwort"})
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert browser.status == 422
    assert WRONG in browser.text


def test_the_proof_draws_a_new_token_and_the_old_one_is_dead(browser, app, erika):
    browser.log_in(erika)
    before = cookie(browser)
    browser.follow("Konto anpassen").submit("Weiter", {CURRENT: people.password_of(erika)})
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, before, domain=HOST, secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"
    assert browser.open("/einstellungen").heading == "Einstellungen"


def test_the_proof_counts_in_this_session_only(browser, app, erika):
    adjust(browser, erika)
    phone = Browser(app).log_in(erika).open("/einstellungen/konto")
    assert phone.value(CURRENT) == ""
    assert erika.phone not in phone.answer.text


@pytest.mark.parametrize("path", ["/einstellungen/konto", "/einstellungen/daten"])
def test_the_proof_lasts_ten_minutes(browser, erika, clock, path):
    adjust(browser, erika)
    clock.shift(TEN_MINUTES - timedelta(seconds=1))
    assert erika.phone in browser.open(path).answer.text
    clock.shift(1)
    assert erika.phone not in browser.open(path).answer.text
    assert browser.value(CURRENT) == ""


def test_run_out_at_saving_it_is_asked_in_the_same_form_and_nothing_is_lost(browser, backend, erika, clock):
    adjust(browser, erika)
    clock.shift(TEN_MINUTES)
    browser.submit("Speichern", {"Telefon": "07051 4711", "Schule": "GMS Neustadt"})
    assert browser.status == 422
    assert "Bitte geben Sie zur Sicherheit noch einmal Ihr aktuelles Passwort ein." in browser.text
    assert (browser.value("Telefon"), browser.value("Schule")) == ("07051 4711", "GMS Neustadt")
    assert backend.read(erika).phone == erika.phone
    browser.submit("Speichern", {CURRENT: "falsches passwort"})
    assert WRONG in browser.text
    browser.submit("Speichern", {CURRENT: people.password_of(erika)})
    assert SAVED in browser.text
    assert (backend.read(erika).phone, backend.read(erika).school) == ("07051 4711", "GMS Neustadt")


def test_without_the_proof_nothing_is_saved(browser, backend, erika):
    browser.log_in(erika)
    assert post(browser, "/einstellungen/konto", last_name="Dieb", phone="1").status_code == 422
    assert backend.read(erika).last_name == "Mustermann"


@pytest.mark.parametrize("purpose", ["konto", "daten"])
def test_proving_from_an_old_page_works_at_the_second_click(browser, erika, purpose):
    browser.log_in(erika).open(f"/einstellungen/{purpose}").stale().submit(
        "Weiter", {CURRENT: people.password_of(erika)}
    )
    assert browser.status == 422
    assert browser.value(CURRENT) == ""
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert browser.heading == {"konto": "Konto anpassen", "daten": "Meine Daten"}[purpose]
    assert browser.status == 200


@pytest.mark.parametrize(
    "name", ["Ü", "O’Neill-Şimşek", "Nguyễn Thị", "ß", "d'Arc", "x" * 100, "null", "Müller (Sekretariat)"]
)
def test_real_names_are_taken_as_they_are(browser, backend, erika, name):
    adjust(browser, erika).submit("Speichern", {"Nachname": name})
    assert backend.read(erika).last_name == name


@pytest.mark.both_databases  # PostgreSQL takes no NUL
@pytest.mark.parametrize("fields", [["Nachname"], ["Schule"], FIELDS], ids=["name", "school", "all"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_text_or_is_refused(app, backend, erika, fields, text):
    browser = adjust(Browser(app), erika)
    browser.submit("Speichern", dict.fromkeys(fields, text))
    assert browser.status in (200, 422)
    assert [one for one in browser.page.iter("img") if "x" in one.get("src", "")] == []
    assert [one for one in browser.page.iter() if "onfocus" in one.attrib] == []
    read = text.replace("\r\n", "\n").replace("\0", "\ufffd")  # as browsers read it (HTML 13.2.3.5 and 13.2.5)
    assert [browser.value(field) for field in fields if browser.status == 422] in ([], [read] * len(fields))
    kept = repr(backend.read(erika).data())
    assert not any(sign in kept for sign in ("\\r", "\\n", "\\x", "\\u2028"))
    for path in ("/einstellungen", "/einstellungen/daten", "/einstellungen/daten.json", "/einstellungen/verlauf"):
        assert browser.open(path).status == 200


@pytest.mark.parametrize("name", ["salutation", "email", "new", "repeat", "current", "csrf_token", "unbekannt"])
def test_what_the_form_never_offers_is_text_or_is_refused_too(app, backend, erika, name):
    browser = adjust(Browser(app), erika)
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    for text in HOSTILE.values():
        data = {"csrf_token": token, "last_name": "Mustermann", name: text}
        answer = browser.client.post("/einstellungen/konto", data=data, base_url=browser.site)
        assert answer.status_code in (303, 422)
    assert backend.read(erika).salutation == "Frau"


@pytest.mark.parametrize("version", ["9" * 5000, "-1", "x", "", "²"])
def test_a_version_that_never_was_saves_nothing(app, backend, erika, version):
    """Python refuses to read numbers of more than 4300 digits."""
    browser = adjust(Browser(app), erika)
    assert post(browser, "/einstellungen/konto", last_name="Neu", version=version).status_code == 422
    assert backend.read(erika).last_name == "Mustermann"


def test_what_is_not_in_the_form_cannot_be_smuggled_in(browser, backend, erika, max_):
    adjust(browser, erika)
    smuggled = {
        "number": "K-0000", "email_canonical": "dieb@evil.example", "id": str(max_.id), "customer_id": str(max_.id),
        "locked_at": "2026-01-01", "password_hash": "x", "pending_email": "dieb@evil.example",
        "imported": "{}", "created_at": "2026-01-01", "admin": "1", "role": "admin",
    }  # fmt: skip
    assert (
        post(browser, "/einstellungen/konto", last_name="Neu", version=str(erika.version), **smuggled).status_code
        == 303
    )
    hers, his = backend.read(erika), backend.read(max_)
    assert (hers.last_name, hers.number, hers.email, hers.pending_email) == ("Neu", erika.number, erika.email, None)
    assert (hers.version, hers.password_hash, hers.locked_at) == (erika.version + 1, erika.password_hash, None)
    assert (his.last_name, his.version) == (max_.last_name, max_.version)
