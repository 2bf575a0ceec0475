"""Konto anpassen: the password first, then the data, a new address, a new password; nothing typed is lost."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.customer import Customer
from kmzportal.domain.login_session import LoginSession
from tests import canary, cast
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
on_sqlite = pytest.mark.parametrize("portal", ["sqlite"], indirect=True)
COOKIE, HOST = "__Host-kmzportal", "konto.kmz.example"
CURRENT, NEW_ADDRESS = "Aktuelles Passwort", "Neue E-Mail-Adresse"
NEW = {"Passwort": cast.NEW_PASSWORD, "Wdh. Passwort": cast.NEW_PASSWORD}
WRONG = "Das aktuelle Passwort stimmt nicht."
SAVED = "Ihre Änderungen sind gespeichert."
KEPT = "Ihre Eingaben stehen wieder im Formular."
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
FIELDS = ("Vorname", "Nachname", "Schule", "Straße", "Telefon")


def adjust(browser, person):
    """Log in, go to Konto anpassen and prove the password."""
    browser.log_in(person).follow("Konto anpassen")
    return browser.submit("Weiter", {CURRENT: cast.password_of(person)})


def log_in_again(browser, person):
    assert browser.heading == "Anmelden"
    return browser.submit("Anmelden", {"E-Mail-Adresse": person.email, "Passwort": cast.password_of(person)})


def post(browser, path, **fields):
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    return browser.client.post(path, data={"csrf_token": token, **fields}, base_url=browser.site)


def cookie(browser):
    return browser.client.get_cookie(COOKIE, HOST).value


def link_to(deeds, kind):
    links = deeds.read(select(AccountLink).where(AccountLink.kind == kind).order_by(AccountLink.id))
    return f"/link/{deeds.keys.token(links[-1])}"


# The proof


@on_sqlite
def test_the_password_is_asked_and_the_form_opens_in_its_place(browser, erika):
    browser.log_in(erika).follow("Konto anpassen")
    assert erika.phone not in browser.answer.text
    browser.submit("Weiter", {CURRENT: cast.password_of(erika)})
    assert browser.heading == "Konto anpassen"
    assert browser.value("Telefon") == erika.phone
    assert browser.status == 200


@on_sqlite
@pytest.mark.parametrize("typed", ["falsches passwort", "x" * 257, "\0"])
def test_a_wrong_password_opens_nothing_and_is_not_shown_again(browser, erika, typed):
    browser.log_in(erika).follow("Konto anpassen").submit("Weiter", {CURRENT: typed})
    assert browser.status == 422
    assert browser.value(CURRENT) == ""
    assert typed not in browser.answer.text
    assert erika.phone not in browser.answer.text


@on_sqlite
def test_who_guesses_on_in_an_open_session_is_throttled_as_at_the_door(browser, erika):
    browser.log_in(erika).follow("Konto anpassen")
    for _ in range(6):
        browser.submit("Weiter", {CURRENT: "falsches passwort"})
    browser.submit("Weiter", {CURRENT: cast.password_of(erika)})
    assert browser.status == 422
    assert WRONG in browser.text


@on_sqlite
def test_the_proof_draws_a_new_token_and_the_old_one_is_dead(browser, app, erika):
    browser.log_in(erika)
    before = cookie(browser)
    browser.follow("Konto anpassen").submit("Weiter", {CURRENT: cast.password_of(erika)})
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, before, domain=HOST, secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"
    assert browser.open("/einstellungen").heading == "Einstellungen"


@on_sqlite
def test_the_proof_counts_in_this_session_only(browser, app, erika):
    adjust(browser, erika)
    phone = Browser(app).log_in(erika).open("/einstellungen/konto")
    assert phone.value(CURRENT) == ""
    assert erika.phone not in phone.answer.text


@on_sqlite
@pytest.mark.parametrize("path", ["/einstellungen/konto", "/einstellungen/daten"])
def test_the_proof_lasts_ten_minutes(browser, erika, clock, path):
    adjust(browser, erika)
    clock.shift(TEN_MINUTES - timedelta(seconds=1))
    assert erika.phone in browser.open(path).answer.text
    clock.shift(1)
    assert erika.phone not in browser.open(path).answer.text
    assert browser.value(CURRENT) == ""


@on_sqlite
def test_run_out_at_saving_it_is_asked_in_the_same_form_and_nothing_is_lost(browser, deeds, erika, clock):
    adjust(browser, erika)
    clock.shift(TEN_MINUTES)
    browser.submit("Speichern", {"Telefon": "07051 4711", "Schule": "GMS Neustadt"})
    assert browser.status == 422
    assert "Bitte geben Sie zur Sicherheit noch einmal Ihr aktuelles Passwort ein." in browser.text
    assert (browser.value("Telefon"), browser.value("Schule")) == ("07051 4711", "GMS Neustadt")
    assert deeds.read(erika).phone == erika.phone
    browser.submit("Speichern", {CURRENT: "falsches passwort"})
    assert WRONG in browser.text
    browser.submit("Speichern", {CURRENT: cast.password_of(erika)})
    assert SAVED in browser.text
    assert (deeds.read(erika).phone, deeds.read(erika).school) == ("07051 4711", "GMS Neustadt")


@on_sqlite
def test_without_the_proof_nothing_is_saved(browser, deeds, erika):
    browser.log_in(erika)
    assert post(browser, "/einstellungen/konto", last_name="Dieb", phone="1").status_code == 422
    assert deeds.read(erika).last_name == "Mustermann"


@on_sqlite
@pytest.mark.parametrize("purpose", ["konto", "daten"])
def test_proving_from_an_old_page_works_at_the_second_click(browser, erika, purpose):
    browser.log_in(erika).open(f"/einstellungen/{purpose}").stale().submit("Weiter", {CURRENT: cast.password_of(erika)})
    assert browser.status == 422
    assert browser.value(CURRENT) == ""
    browser.submit("Weiter", {CURRENT: cast.password_of(erika)})
    assert browser.heading == {"konto": "Konto anpassen", "daten": "Meine Daten"}[purpose]
    assert browser.status == 200


# The data


@on_sqlite
def test_she_changes_her_data_and_history_names_the_fields_only(browser, deeds, erika):
    adjust(browser, erika).choose("Anrede", "keine Angabe")
    browser.submit("Speichern", {"Telefon": "07051 4711", "Ort": "Neustadt"})
    assert SAVED in browser.text
    her = deeds.read(erika)
    assert (her.phone, her.town, her.salutation, her.last_name) == ("07051 4711", "Neustadt", "", "Mustermann")
    (event,) = deeds.read(select(AuditEvent).where(AuditEvent.deed == "data.changed"))
    assert event.details == {"fields": ["salutation", "town", "phone"]}


@on_sqlite
def test_saving_from_an_old_page_keeps_all_but_passwords(browser, deeds, erika):
    adjust(browser, erika).stale().submit(
        "Speichern", {"Telefon": "07051 4711", NEW_ADDRESS: "neu@schule.example", **NEW}
    )
    assert browser.status == 422
    assert (browser.value("Telefon"), browser.value(NEW_ADDRESS)) == ("07051 4711", "neu@schule.example")
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert cast.NEW_PASSWORD not in browser.answer.text
    browser.press("Speichern")
    assert deeds.read(erika).phone == "07051 4711"


@on_sqlite
def test_a_surname_is_needed_and_everything_else_stays(browser, erika):
    adjust(browser, erika).submit("Speichern", {"Nachname": " ", "Telefon": "07051 4711"})
    assert browser.status == 422
    assert browser.value("Telefon") == "07051 4711"


@on_sqlite
@pytest.mark.parametrize(
    "name", ["Ü", "O’Neill-Şimşek", "Nguyễn Thị", "ß", "d'Arc", "x" * 100, "null", "Müller (Sekretariat)"]
)
def test_real_names_are_taken_as_they_are(browser, deeds, erika, name):
    adjust(browser, erika).submit("Speichern", {"Nachname": name})
    assert deeds.read(erika).last_name == name


@pytest.mark.parametrize("fields", [["Nachname"], ["Schule"], FIELDS], ids=["name", "school", "all"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_text_or_is_refused(app, deeds, erika, fields, text):
    """Both databases: PostgreSQL takes no NUL."""
    browser = adjust(Browser(app), erika)
    browser.submit("Speichern", dict.fromkeys(fields, text))
    assert browser.status in (200, 422)
    assert [one for one in browser.page.iter("img") if "x" in one.get("src", "")] == []
    assert [one for one in browser.page.iter() if "onfocus" in one.attrib] == []
    assert [browser.value(field) for field in fields if browser.status == 422] in ([], [text] * len(fields))
    kept = repr(deeds.read(erika).data())
    assert not any(sign in kept for sign in ("\\r", "\\n", "\\x", "\\u2028"))
    for path in ("/einstellungen", "/einstellungen/daten", "/einstellungen/daten.json", "/einstellungen/verlauf"):
        assert browser.open(path).status == 200


@pytest.mark.parametrize("name", ["salutation", "email", "new", "repeat", "current", "csrf_token", "unbekannt"])
def test_what_the_form_never_offers_is_text_or_is_refused_too(app, deeds, erika, name):
    browser = adjust(Browser(app), erika)
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    for text in HOSTILE.values():
        data = {"csrf_token": token, "last_name": "Mustermann", name: text}
        answer = browser.client.post("/einstellungen/konto", data=data, base_url=browser.site)
        assert answer.status_code in (303, 422)
    assert deeds.read(erika).salutation == "Frau"


@on_sqlite
def test_what_is_not_in_the_form_cannot_be_smuggled_in(browser, deeds, erika, max_):
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
    hers, his = deeds.read(erika), deeds.read(max_)
    assert (hers.last_name, hers.number, hers.email, hers.pending_email) == ("Neu", erika.number, erika.email, None)
    assert (hers.version, hers.password_hash, hers.locked_at) == (erika.version + 1, erika.password_hash, None)
    assert (his.last_name, his.version) == (max_.last_name, max_.version)


# The password


@on_sqlite
def test_a_new_password_ends_all_other_sessions_and_is_told(browser, app, deeds, erika):
    phone = Browser(app).log_in(erika)
    before = cookie(adjust(browser, erika))
    browser.submit("Speichern", NEW)
    assert SAVED in browser.text
    assert browser.open("/einstellungen").heading == "Einstellungen"
    assert phone.open("/einstellungen").heading == "Anmelden"
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, before, domain=HOST, secure=True)
    assert thief.open("/einstellungen").heading == "Anmelden"
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)
    assert [mail.recipient for mail in deeds.mails("password_changed")] == [erika.email]


@on_sqlite
@pytest.mark.parametrize(
    ("new", "repeat"),
    [
        (cast.NEW_PASSWORD, cast.OTHER_PASSWORD), (cast.NEW_PASSWORD, ""), ("", cast.NEW_PASSWORD), ("kurz", "kurz"),
        ("Mustermann1001", "Mustermann1001"), ("x" * 257, "x" * 257), ("passwort1234", "passwort1234"),
    ],
)  # fmt: skip
def test_a_password_that_does_not_suit_changes_nothing_and_loses_nothing(browser, deeds, erika, new, repeat):
    adjust(browser, erika).submit("Speichern", {"Telefon": "07051 4711", "Passwort": new, "Wdh. Passwort": repeat})
    assert browser.status == 422
    assert browser.value("Telefon") == "07051 4711"
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert deeds.read(erika).phone == erika.phone
    assert deeds.read(erika).password_hash == erika.password_hash


# The address


@on_sqlite
def test_a_new_address_counts_only_when_it_is_confirmed(browser, app, deeds, erika):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "Erika.Neu@schule.example"})
    assert "Bis Sie ihn öffnen, gilt die alte." in browser.text
    assert [mail.recipient for mail in deeds.mails("address_link")] == ["Erika.Neu@schule.example"]
    assert [mail.recipient for mail in deeds.mails("address_change_asked")] == [erika.email]
    assert deeds.log_in("erika.neu@schule.example", cast.password_of(erika)) is None
    assert deeds.log_in(erika.email, cast.password_of(erika))

    at_home = Browser(app, browser.htmx).open(link_to(deeds, LinkKind.ADDRESS))
    assert "Erika.Neu@schule.example" in at_home.text
    at_home.press("Bestätigen")
    assert at_home.heading == "Fertig"
    assert at_home.follow("Zur Anmeldung").value("E-Mail-Adresse") == "Erika.Neu@schule.example"
    assert deeds.log_in("erika.neu@schule.example", cast.password_of(erika))
    assert deeds.log_in(erika.email, cast.password_of(erika)) is None
    assert [mail.recipient for mail in deeds.mails("address_changed_old")] == [erika.email]


@on_sqlite
@pytest.mark.parametrize("when", ["pending", "confirmed"])
def test_the_old_address_can_say_that_was_not_me(browser, app, deeds, erika, when):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "dieb@evil.example"})
    if when == "confirmed":
        Browser(app).open(link_to(deeds, LinkKind.ADDRESS)).press("Bestätigen")
    owner = Browser(app, browser.htmx).open(link_to(deeds, LinkKind.OBJECTION))
    owner.press("Das war ich nicht – Konto sperren")
    assert owner.heading == "Das Konto ist gesperrt"
    assert deeds.read(erika).locked_at == cast.NOW
    assert browser.open("/einstellungen").heading == "Anmelden"
    assert Browser(app).open(link_to(deeds, LinkKind.ADDRESS)).status in (403, 410)


@on_sqlite
def test_a_taken_address_is_answered_like_a_free_one(browser, app, deeds, erika, max_):
    def answer(address):
        one = Browser(app, browser.htmx)
        adjust(one, erika).submit("Speichern", {NEW_ADDRESS: address})
        return one.status, one.text.replace(address, "…"), one.open("/einstellungen").text.replace(address, "…")

    assert answer(max_.email) == answer("frei@schule.example")
    assert [mail.recipient for mail in deeds.mails("address_taken")] == [max_.email]
    assert [mail.recipient for mail in deeds.mails("address_link")] == ["frei@schule.example"]


@on_sqlite
def test_she_keeps_her_address_after_all(browser, deeds, erika):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "neu@schule.example"})
    browser.open("/einstellungen").press("Bisherige Adresse behalten")
    assert "Ihre bisherige E-Mail-Adresse bleibt." in browser.text
    assert deeds.read(erika).pending_email is None
    assert browser.open(link_to(deeds, LinkKind.ADDRESS)).status == 410


@on_sqlite
def test_keeping_it_from_an_old_page_takes_a_second_click(browser, deeds, erika):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: "neu@schule.example"})
    browser.open("/einstellungen").stale().press("Bisherige Adresse behalten")
    assert (browser.status, browser.heading) == (422, "Einstellungen")
    assert deeds.read(erika).pending_email == "neu@schule.example"
    browser.press("Bisherige Adresse behalten")
    assert deeds.read(erika).pending_email is None


@on_sqlite
@pytest.mark.parametrize("typed", ["erika", "a@b@c.example", "x\r\nBcc: a@b.example", "<script>", "x" * 10_000])
def test_what_is_no_address_is_refused_and_all_else_stays(browser, deeds, erika, typed):
    adjust(browser, erika).submit("Speichern", {NEW_ADDRESS: typed, "Telefon": "07051 4711"})
    assert browser.status == 422
    assert (browser.value(NEW_ADDRESS), browser.value("Telefon")) == (typed, "07051 4711")
    assert (deeds.read(erika).phone, deeds.mails()) == (erika.phone, [])


@on_sqlite
def test_the_portal_is_no_relay_for_mails_to_strangers(browser, deeds, erika):
    adjust(browser, erika)
    for number in range(10):
        browser.submit("Speichern", {NEW_ADDRESS: f"fremd{number}@schule.example"})
    browser.submit("Speichern", {NEW_ADDRESS: "noch.einer@schule.example", "Telefon": "07051 4711"})
    assert browser.status == 422
    assert "Heute können wir an diese Adresse keine E-Mail mehr senden." in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert deeds.read(erika).phone == erika.phone


# A session that died under a form


@on_sqlite
def test_what_was_typed_comes_back_after_logging_in_again_and_is_not_sent_by_itself(browser, deeds, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "07051 4711", "Schule": "GMS Neustadt", **NEW})
    log_in_again(browser, erika)
    assert browser.heading == "Konto anpassen"
    assert KEPT in browser.text
    assert (browser.value("Telefon"), browser.value("Schule")) == ("07051 4711", "GMS Neustadt")
    assert (browser.value("Passwort"), browser.value(CURRENT)) == ("", "")
    assert deeds.read(erika).phone == erika.phone
    browser.submit("Speichern", {CURRENT: cast.password_of(erika)})
    assert deeds.read(erika).phone == "07051 4711"


@on_sqlite
def test_a_form_filled_to_the_brim_comes_back_too(browser, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    longest = {label: (f"{label} überm Bächle " * 20)[:length].strip() for label, length in Customer.DATA.values()}
    del longest["Anrede"]
    browser.submit("Speichern", longest)
    log_in_again(browser, erika)
    assert {label: browser.value(label) for label in longest} == longest


@on_sqlite
def test_what_was_typed_is_shown_to_nobody_else(browser, erika, max_, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "07051 4711"})
    log_in_again(browser, max_)
    assert "07051 4711" not in browser.answer.text
    assert KEPT not in browser.text
    with browser.client.session_transaction(base_url=browser.site) as session:
        assert "07051 4711" not in repr(dict(session))


@on_sqlite
def test_no_password_waits_in_the_cookie(browser, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "07051 4711", **NEW})
    with browser.client.session_transaction(base_url=browser.site) as session:
        assert "07051 4711" in repr(dict(session))
        assert cast.NEW_PASSWORD not in repr(dict(session))


@on_sqlite
def test_what_is_typed_now_counts_more_than_what_was_kept(browser, app, deeds, erika, clock):
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    browser.submit("Speichern", {"Telefon": "alt"})
    browser.log_in(erika)
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    data = {"csrf_token": token, "last_name": "Mustermann", "phone": "neu", "current": cast.password_of(erika)}
    data["version"] = str(erika.version)
    browser.client.post("/einstellungen/konto", data=data, base_url=browser.site)
    assert deeds.read(erika).phone == "neu"
    assert KEPT not in browser.open("/einstellungen/konto").text


@on_sqlite
@pytest.mark.parametrize("sign", [lambda n: "x", lambda n: "ü", lambda n: chr(0x4E00 + n * 7919 % 20_000)])
@pytest.mark.parametrize("length", [60, 190, 360, 1_000])
def test_the_cookie_never_outgrows_what_browsers_keep(browser, erika, clock, sign, length):
    """Letters that repeat shrink well and others do not, so their number says little."""
    adjust(browser, erika)
    clock.shift(timedelta(minutes=31))
    fields = [(place * 1000, name) for place, name in enumerate(FIELDS)]
    browser.submit("Speichern", {name: "".join(map(sign, range(place, place + length))) for place, name in fields})
    assert browser.heading == "Anmelden"
    assert len(f"{COOKIE}={cookie(browser)}") < 4093
    assert log_in_again(browser, erika).status == 200


# Meine Daten


@on_sqlite
def test_her_data_is_hers_to_read_and_to_take_along(browser, erika, max_):
    browser.log_in(erika).follow("Meine Daten").submit("Weiter", {CURRENT: cast.password_of(erika)})
    for fact in (erika.number, erika.email, erika.phone, erika.school, "Angemeldet"):
        assert fact in browser.text
    browser.follow("Als Datei herunterladen (JSON)")
    assert browser.answer.mimetype == "application/json"
    assert browser.answer.headers["Content-Disposition"] == "attachment; filename=meine-daten.json"
    assert json.loads(browser.answer.text)["Kundennummer"] == erika.number
    assert max_.email not in browser.answer.text


@on_sqlite
def test_the_file_holds_no_secret(browser, deeds, erika):
    browser.log_in(erika).follow("Meine Daten").submit("Weiter", {CURRENT: cast.password_of(erika)})
    text = browser.open("/einstellungen/daten.json").answer.text
    (here,) = deeds.read(select(LoginSession))
    for secret in (deeds.read(erika).password_hash, here.token_hash, cast.password_of(erika), "argon2"):
        assert not canary.sings(secret, text)


@on_sqlite
def test_without_the_proof_there_is_no_file(browser, erika):
    browser.log_in(erika).open("/einstellungen/daten.json")
    assert (browser.path, browser.heading) == ("/einstellungen/daten", "Meine Daten")
    assert browser.value(CURRENT) == ""


@on_sqlite
def test_locked_while_she_saves_she_is_told_and_nothing_breaks(browser, deeds, erika):
    adjust(browser, erika)
    with deeds.work("clerk:1") as work:
        work.session.get(Customer, erika.id).locked_at = work.now
    browser.submit("Speichern", {NEW_ADDRESS: "neu@schule.example"})
    assert browser.heading == "Anmelden"
    assert deeds.mails() == []


def test_a_new_password_is_not_lost_in_silence_when_another_field_is_wrong(browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": cast.password_of(erika)})
    new = {"Passwort": cast.NEW_PASSWORD, "Wdh. Passwort": cast.NEW_PASSWORD}
    browser.submit("Speichern", {"Nachname": "", **new})
    assert browser.status == 422
    assert "ist das Passwort jetzt leer" in browser.text
