"""Konto anpassen: the current password first, then data and a new password, and hostile text."""

from datetime import timedelta

import pytest

from kmzportal.plain_text import clean
from kmzportal.services import sessions
from tests import people
from tests.browser import TOKEN_KEY, Browser
from tests.people import NEW, NEW_PASSWORD, OTHER_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
CURRENT, NEW_ADDRESS = "Aktuelles Passwort", "Neue E-Mail-Adresse"
SAVED = "Ihre Änderungen sind gespeichert."
STALE = "Senden Sie das Formular bitte noch einmal ab."
HOSTILE = [
    "<img src=x onerror=alert(1)>", '" autofocus onfocus="alert(1)', "{{7*7}}{% raise %}${7*7}",
    '=HYPERLINK("https://evil.example","x")', "Müller\r\nBcc: alle@evil.example", "Mül\0ler", "Müller\u202eexe\u2066",
    "\x1b[31mMüller", "Müller\u2028Meier", "x" * 10_000, "👩‍🏫" * 30, b"\xed\xa0\x80".decode("utf-8", "replace"),
    "'; DROP TABLE customer; --", "%00%s%n%(x)s",
]  # fmt: skip


@pytest.fixture
def form(browser, erika, adjust):
    """The form of Konto anpassen, after the current password."""
    return adjust(browser, erika)


def test_the_form_opens_after_the_current_password_and_in_this_session_only(browser, app, erika):
    browser.log_in(erika).follow("Konto anpassen")
    before = browser.cookie
    for typed in ("falsches passwort", "x" * 257, "\0"):
        browser.submit("Weiter", {CURRENT: typed})
        assert (browser.status, browser.value(CURRENT)) == (422, "")
        assert typed not in browser.answer.text and erika.phone not in browser.answer.text
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert (browser.status, browser.heading, browser.value("Telefon")) == (200, "Konto anpassen", erika.phone)
    stolen = Browser(app)
    stolen.cookie = before
    assert stolen.open("/einstellungen").heading == "Anmelden", "the session got a new token"
    assert erika.phone not in Browser(app).log_in(erika).open("/einstellungen/konto").answer.text


def test_without_the_current_password_no_answer_holds_what_is_stored(browser, app, backend, erika):
    """Neither to a form with some fields only, nor to one that was saved when another session ended."""
    browser.log_in(erika)
    answers = [browser.post("/einstellungen/konto", **fields) for fields in ({}, {"current": "x"}, {"last_name": "M"})]
    ended = backend.run(sessions.start_session, erika, "Firefox")
    backend.run(lambda tx, one: sessions.log_out(tx, one), backend.session_of(ended.token))
    with browser.client.session_transaction(base_url=browser.site) as session:
        token, session[TOKEN_KEY] = session[TOKEN_KEY], ended.token
    browser.post("/einstellungen/konto", phone="1")
    answers += [browser.come_in(token).open("/einstellungen/konto").answer]
    assert [answer.status_code for answer in answers] == [422, 422, 422, 200]
    for text in (erika.phone, erika.street, erika.number):
        assert not any(text in answer.text for answer in answers), text


@pytest.mark.parametrize(("purpose", "heading"), [("konto", "Konto anpassen"), ("daten", "Meine Daten")])
def test_the_current_password_is_asked_again_in_a_stale_form_and_after_ten_minutes(
    browser, erika, clock, purpose, heading
):
    browser.log_in(erika).open(f"/einstellungen/{purpose}").stale().submit("Weiter", {CURRENT: "birnbaum"})
    assert (browser.status, STALE in browser.text, browser.value(CURRENT)) == (422, True, "")
    browser.submit("Weiter", {CURRENT: people.password_of(erika)})
    assert (browser.status, browser.heading) == (200, heading)
    clock.shift(timedelta(minutes=10, seconds=-1))
    assert erika.phone in browser.open(f"/einstellungen/{purpose}").answer.text
    clock.shift(1)
    assert erika.phone not in browser.open(f"/einstellungen/{purpose}").answer.text
    assert browser.value(CURRENT) == ""


def test_after_ten_minutes_saving_asks_for_the_current_password_in_the_same_form(form, backend, erika, clock):
    clock.shift(timedelta(minutes=10))
    form.submit("Speichern", {"Telefon": "07051 4711", "Schule": "GMS Neustadt"})
    assert form.status == 422
    assert "Bitte geben Sie zur Sicherheit noch einmal Ihr aktuelles Passwort ein." in form.text
    assert (form.value("Telefon"), form.value("Schule")) == ("07051 4711", "GMS Neustadt")
    assert backend.read(erika).phone == erika.phone
    form.submit("Speichern", {CURRENT: "falsches passwort"})
    assert "Das aktuelle Passwort stimmt nicht." in form.text
    form.submit("Speichern", {CURRENT: people.password_of(erika)})
    assert SAVED in form.text
    assert (backend.read(erika).phone, backend.read(erika).school) == ("07051 4711", "GMS Neustadt")


def test_a_stale_form_keeps_all_but_passwords_and_is_saved_the_second_time(form, backend, erika):
    form.stale().choose("Anrede", "keine Angabe")
    form.submit("Speichern", {"Telefon": "07051 4711", NEW_ADDRESS: "neu@schule.example", **NEW})
    assert (form.status, STALE in form.text) == (422, True)
    assert (form.value("Telefon"), form.value(NEW_ADDRESS)) == ("07051 4711", "neu@schule.example")
    assert (form.value("Passwort"), form.value("Wdh. Passwort")) == ("", "")
    assert NEW_PASSWORD not in form.answer.text
    form.press("Speichern")
    assert SAVED in form.text
    saved = backend.read(erika)
    assert (saved.phone, saved.salutation, saved.last_name) == ("07051 4711", "", "Mustermann")


def test_a_new_password_keeps_this_session_with_a_new_token_and_ends_the_others(form, app, backend, erika):
    other = Browser(app).log_in(erika)
    stolen = Browser(app)
    stolen.cookie = form.cookie
    assert SAVED in form.submit("Speichern", NEW).text
    assert form.open("/einstellungen").heading == "Einstellungen"
    assert [one.open("/einstellungen").heading for one in (other, stolen)] == ["Anmelden"] * 2
    assert backend.log_in(erika.email, NEW_PASSWORD)


def test_the_eleventh_change_of_a_day_is_refused_and_what_was_typed_stays(form, backend, erika):
    for number in range(10):
        assert SAVED in form.submit("Speichern", {"Telefon": f"07051 {number}"}).text
        form.open("/einstellungen/konto")
    form.submit("Speichern", {"Telefon": "07051 777"})
    assert (form.status, form.value("Telefon"), backend.read(erika).phone) == (422, "07051 777", "07051 9")
    assert "Ihre Daten wurden heute schon oft geändert. Versuchen Sie es morgen, oder rufen Sie an." in form.text


def test_the_fourth_new_password_of_a_day_is_refused_and_what_else_was_typed_stays(form, backend, erika, clock):
    """Each one ends the mailed links with which the owner would lock out an intruder who knows the password."""
    for number in range(3):
        new = f"{NEW_PASSWORD} {number}"
        assert SAVED in form.submit("Speichern", {"Passwort": new, "Wdh. Passwort": new}).text
        form.open("/einstellungen/konto")
    form.submit("Speichern", NEW | {"Telefon": "07051 777"})
    assert (form.status, form.value("Telefon")) == (422, "07051 777")
    assert "heute schon 3-mal geändert" in form.text and backend.log_in(erika.email, new)
    clock.shift(timedelta(days=1))
    form.log_in(erika, new).open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": new})
    assert SAVED in form.submit("Speichern", NEW).text


@pytest.mark.parametrize(
    ("new", "repeat", "error"),
    [
        (NEW_PASSWORD, OTHER_PASSWORD, "Die beiden Passwörter sind nicht gleich."),
        (NEW_PASSWORD, "", "Die beiden Passwörter sind nicht gleich."),
        ("", NEW_PASSWORD, "Die beiden Passwörter sind nicht gleich."),
        ("Mustermann1001", "Mustermann1001", "besteht fast nur aus"),
        ("x" * 257, "x" * 257, "Ein Passwort hat höchstens 256 Zeichen."),
    ],
)
def test_a_refused_password_changes_nothing_and_keeps_the_other_input(form, backend, erika, new, repeat, error):
    form.submit("Speichern", {"Telefon": "07051 4711", "Passwort": new, "Wdh. Passwort": repeat})
    assert (form.status, error in form.text) == (422, True)
    assert (form.value("Telefon"), form.value("Passwort"), form.value("Wdh. Passwort")) == ("07051 4711", "", "")
    saved = backend.read(erika)
    assert (saved.phone, saved.password_hash) == (erika.phone, erika.password_hash)


def test_a_missing_surname_is_refused_and_the_new_password_has_to_be_typed_again(form):
    form.submit("Speichern", {"Nachname": " ", "Telefon": "07051 4711", **NEW})
    assert (form.status, form.value("Telefon")) == (422, "07051 4711")
    assert "Geben Sie den Nachnamen ein." in form.text
    assert "Geben Sie bitte auch das Passwort noch einmal ein. Wir merken es uns nicht." in form.text


def test_all_errors_of_a_new_password_come_at_once(form):
    for new in ("kurz", "Mustermann1001"):
        form.submit("Speichern", {"Nachname": "", "Passwort": new, "Wdh. Passwort": ""})
        reason = "Das Passwort ist zu kurz." if new == "kurz" else "besteht fast nur aus"
        assert form.status == 422 and reason in form.text
        assert "Geben Sie den Nachnamen ein." in form.text and "Die beiden Passwörter sind nicht gleich." in form.text


@pytest.mark.parametrize(
    ("typed", "accepted"), [("1", False), ("Sekretariat", False), ("07051 4711", True), ("", True)]
)
def test_a_telephone_number_has_at_least_five_digits(form, typed, accepted):
    form.submit("Speichern", {"Telefon": typed})
    assert (form.status, "Geben Sie die ganze Telefonnummer ein" in form.text) == (
        200 if accepted else 422,
        not accepted,
    )
    assert form.value("Telefon") == typed


def test_a_short_telephone_number_of_an_import_may_stay(browser, backend, erika, adjust):
    backend.update(erika, phone="4711")
    assert SAVED in adjust(browser, erika).submit("Speichern", {"Ort": "Calw"}).text


def test_the_form_says_once_what_is_required_and_names_the_data_as_the_hand_out_does(form):
    assert "Hier muss nur der Nachname ausgefüllt sein." in form.text
    marked = [
        one.getparent().text_content() for one in form.page.iter("span") if one.get("class") == "kern-label__optional"
    ]
    assert marked == ["Neue E-Mail-AdresseOptional", "PasswortOptional", "Wdh. PasswortOptional"]
    assert "Persönliche Daten" in [one.text for one in form.page.iter("h2")]
    assert "Dasselbe Passwort noch einmal" in form.text and "Nehmen Sie eigene Wörter." in form.text


def test_real_names_are_accepted_as_they_are(form, backend, erika):
    for name in ("Ü", "O’Neill-Şimşek", "Nguyễn Thị", "d'Arc", "x" * 100, "null", "Müller (Sekretariat)"):
        form.open("/einstellungen/konto").submit("Speichern", {"Nachname": name})
        assert backend.read(erika).last_name == name


@pytest.mark.parametrize("fields", [["Nachname"], ["Vorname", "Nachname", "Schule", "Straße", "Ort"]])
def test_hostile_text_is_shown_as_text_or_refused(form, backend, erika, fields):
    for text in HOSTILE:
        form.open("/einstellungen/konto").submit("Speichern", dict.fromkeys(fields, text))
        assert form.status in (200, 422), text
        assert [one for one in form.page.iter("img") if "x" in one.get("src", "")] == [], text
        assert [one for one in form.page.iter() if "onfocus" in one.attrib] == [], text
        read = text.replace("\r\n", "\n").replace("\0", "\ufffd")  # by browsers (HTML 13.2.3.5 and 13.2.5)
        shown = clean(read)
        assert [form.value(field) for field in fields if form.status == 422] in ([], [shown] * len(fields))
        stored = repr(backend.read(erika).data())
        assert not any(escape in stored for escape in ("\\r", "\\n", "\\x", "\\u2028")), text
        for path in ("/einstellungen", "/einstellungen/daten", "/einstellungen/daten.json", "/einstellungen/verlauf"):
            assert form.open(path).status == 200, (text, path)


@pytest.mark.parametrize("name", ["salutation", "email", "new", "repeat", "current", "csrf_token", "unbekannt"])
def test_hostile_values_that_the_form_does_not_offer_are_refused_or_ignored(form, backend, erika, name):
    for text in HOSTILE:
        version = str(backend.read(erika).version)
        sent = {"csrf_token": form.csrf_token, "last_name": "Mustermann", "version": version, name: text}
        answer = form.client.post("/einstellungen/konto", data=sent, base_url=form.site)
        assert answer.status_code in (303, 422), text
        assert backend.read(erika).salutation in ("Frau", ""), text


@pytest.mark.parametrize("version", ["9" * 5000, "-1", "x", "", "²"])
def test_an_impossible_version_saves_nothing(form, backend, erika, version):
    """Python refuses to read numbers of more than 4300 digits."""
    assert form.post("/einstellungen/konto", last_name="Neu", version=version).status_code == 422
    assert backend.read(erika).last_name == "Mustermann"


def test_only_the_fields_of_the_form_can_be_changed(form, backend, erika, max_):
    smuggled = {
        "number": "K-0000", "email_canonical": "dieb@evil.example", "id": str(max_.id), "customer_id": str(max_.id),
        "locked_at": "2026-01-01", "password_hash": "x", "pending_email": "dieb@evil.example", "imported": "{}",
    }  # fmt: skip
    version = str(erika.version)
    answer = form.post("/einstellungen/konto", last_name="Neu", version=version, **smuggled)
    hers, his = backend.read(erika), backend.read(max_)
    assert (answer.status_code, hers.last_name, hers.version) == (303, "Neu", erika.version + 1)
    assert (hers.number, hers.email, hers.pending_email) == (erika.number, erika.email, None)
    assert (hers.password_hash, hers.locked_at) == (erika.password_hash, None)
    assert (his.last_name, his.version) == (max_.last_name, max_.version)
