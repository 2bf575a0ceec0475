"""Passkeys of customers and clerks: add, log in, confirm, rename, remove, and what is refused."""

import json
from base64 import urlsafe_b64encode
from datetime import timedelta

import cbor2
import pytest
from sqlalchemy import delete, select

from kmzportal.db import db
from kmzportal.mail.compose import compose
from kmzportal.models import KeptEntry, KnownDevice, LinkKind, LinkState, LoginSession, OutgoingMail, Passkey, Throttle
from kmzportal.services import accounts, clerks, deletion, desk, devices, passkeys, second_factor, sessions
from kmzportal.services.passkeys import CHALLENGE_LIFETIME, MAX_PASSKEYS
from kmzportal.services.passwords import check_password, hash_password
from kmzportal.services.shares import Pace
from kmzportal.web import auth
from tests import people
from tests.browser import SOURCE, Browser, button, form_of
from tests.passkey_device import Device, decoded
from tests.people import NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")
LOGIN, DESK_LOGIN = "/anmelden", "/kundenservice/anmelden"
PASSKEYS, OF_CLERK = "/einstellungen/passkeys", "/kundenservice/zugang/passkeys"
BUTTON, ADD, CONFIRM = "Mit Passkey anmelden", "Passkey hinzufügen", "Mit Passkey bestätigen"
REFUSED = "Dieser Passkey gilt hier nicht."
AGAIN = "Das hat nicht geklappt. Versuchen Sie es bitte noch einmal."


@pytest.fixture
def device(app):
    return Device(app.config["PUBLIC_URL"])


@pytest.fixture
def settings_page(app, erika):
    """Erika's browser on her passkeys, after her current password."""
    page = Browser(app).log_in(erika).open(PASSKEYS)
    return page.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})


@pytest.fixture
def added(settings_page, device):
    """The same, with a passkey that was just added."""
    return settings_page.touch(ADD, device)


@pytest.fixture
def clerk_page(desk, prove, device):
    """Rosa's browser on her passkeys, with one."""
    prove()
    return desk.open(OF_CLERK).touch(ADD, device)


@pytest.fixture
def mine(backend):
    return lambda: backend.read(select(Passkey).order_by(Passkey.id))


def options(browser, label):
    return button(browser.page, label).get("data-passkey")


def answers(browser, label):
    return json.loads(options(browser, label))


# Adding, and the list


def test_a_passkey_is_added_after_the_password_and_a_mail_says_so(app, erika, device, backend, mine):
    page = Browser(app).log_in(erika).open(PASSKEYS)
    assert page.heading == "Passkeys" and ADD not in page.text
    page.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    assert "Fingerabdruck, Gesicht und PIN bleiben auf Ihrem Gerät" in page.text
    page.fill_in("Name des Passkeys", "Mein Telefon").touch(ADD, device)
    assert "Ihr Passkey ist angelegt." in page.text and "noch nicht benutzt" in page.text
    (passkey,) = mine()
    assert (passkey.name, passkey.customer_id, passkey.host) == ("Mein Telefon", erika.id, "konto.kmz.example")
    assert [mail.facts["act"] for mail in backend.mails("passkeys_changed")] == ["added"]
    assert "passkey.added" in backend.actions()


def test_what_the_browser_is_told(settings_page, added, device):
    asked = answers(added, ADD)
    assert asked["rp"]["id"] == "konto.kmz.example" and asked["attestation"] == "none"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert [one["id"] for one in asked["excludeCredentials"]] == list(device.keys), "not twice on one device"
    assert "erika" not in decoded(asked["user"]["id"]).decode("latin-1").lower()
    login = answers(added.open("/abmelden") and Browser(added.client.application).open(LOGIN), BUTTON)
    assert (login["userVerification"], login["allowCredentials"]) == ("required", [])


@pytest.mark.parametrize(
    ("flaw", "changes"),
    [
        ("another origin", {"origin": "https://evil.example"}),
        ("a name below ours", {"origin": "https://konto.kmz.example.evil.example"}),
        ("without https", {"origin": "http://konto.kmz.example"}),
        ("nobody was verified", {"verifies": False}),
    ],
)
def test_what_is_not_added(settings_page, device, mine, flaw, changes):
    for name, value in changes.items():
        setattr(device, name, value)
    settings_page.fill_in("Name des Passkeys", "Küche").touch(ADD, device)
    assert (settings_page.status, AGAIN in settings_page.text) == (422, True), flaw
    assert settings_page.value("Name des Passkeys") == "Küche" and mine() == []


def test_an_answer_counts_once_and_only_where_it_was_asked(app, settings_page, device, mine, max_):
    asked = options(settings_page, ADD)
    first = device.create(asked)
    fields = {"name": "Eins", "passkey": first}
    assert settings_page.post(PASSKEYS, **fields).status_code == 303
    assert settings_page.post(PASSKEYS, **fields).status_code == 422, "used"
    second = device.create(asked)
    other = Browser(app).log_in(max_).open(PASSKEYS)
    other.submit("Weiter", {"Aktuelles Passwort": people.password_of(max_)})
    assert other.post(PASSKEYS, name="Zwei", passkey=second).status_code == 422, "asked of somebody else"
    assert len(mine()) == 1


def test_no_id_is_added_twice_for_whichever_account(app, added, device, max_, mine):
    other = Browser(app).log_in(max_).open(PASSKEYS)
    other.submit("Weiter", {"Aktuelles Passwort": people.password_of(max_)})
    asked, name = options(other, ADD), next(iter(device.keys))
    copy = Device(app.config["PUBLIC_URL"])
    copy.next_id = decoded(name)
    assert other.post(PASSKEYS, name="Fremd", passkey=copy.create(asked)).status_code == 422
    assert len(mine()) == 1


def test_an_answer_that_comes_late_is_refused(settings_page, device, clock, mine, app, erika):
    late = device.create(options(settings_page, ADD))
    clock.shift(CHALLENGE_LIFETIME + timedelta(seconds=1))
    page = Browser(app).log_in(erika).open(PASSKEYS)
    page.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    assert page.post(PASSKEYS, name="Spät", passkey=late).status_code == 422 and mine() == []


@pytest.mark.parametrize("text", [
    "", "{}", "[]", "null", "1", '"x"', "\0", "ä", "{" * 900, '{"response": 1}',
    '{"response": {"attestationObject": 1}}',
    '{"response": {"attestationObject": "AA", "clientDataJSON": "AA"}, "id": "x", "rawId": "x", "type": "public-key"}',
    '{"response": {"attestationObject": "oA", "clientDataJSON": "e30"}, "id": "eA", "rawId": "eA", '
    '"type": "public-key"}',
    '{"response": {"signature": "AA", "clientDataJSON": "e30", "authenticatorData": "AA"}, "id": "eA", "rawId": "eA", '
    '"type": "public-key"}', "x" * 20_000,
])  # fmt: skip
def test_whatever_a_browser_sends_is_an_answer_or_refused(settings_page, text, app, backend):
    assert settings_page.post(PASSKEYS, name="Unfug", passkey=text).status_code == 422
    stranger = Browser(app).open(LOGIN)
    assert stranger.post("/anmelden/passkey", passkey=text).status_code == 422


@pytest.mark.parametrize(
    "field", ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]
)
@pytest.mark.parametrize("value", ["", "AA", "!!", "oWNmbXQ", "_" * 200, "9" * 9_000, 7, None, [], {"a": 1}])
def test_a_broken_part_of_an_answer_is_refused(app, settings_page, device, added, field, value):
    for asked, path in (
        (options(added, ADD), PASSKEYS),
        (options(Browser(app).open(LOGIN), BUTTON), "/anmelden/passkey"),
    ):
        answer = json.loads(device.create(asked) if path == PASSKEYS else device.get(asked))
        if field in answer["response"]:
            answer["response"][field] = value
            sender = added if path == PASSKEYS else Browser(app).open(LOGIN)
            status = sender.post(path, name="Unfug", passkey=json.dumps(answer)).status_code
            assert status == 422 or (field == "userHandle" and not value)


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "ä", "", "A" * 9_000])
def test_an_id_that_is_none_is_refused_before_it_is_looked_up(app, added, device, name, backend):
    answer = json.loads(device.get(options(Browser(app).open(LOGIN), BUTTON)))
    sent = Browser(app).open(LOGIN).post("/anmelden/passkey", passkey=json.dumps(answer | {"id": name}))
    assert sent.status_code == 422 and AGAIN in sent.text and "login.refused" not in backend.actions()


def test_a_key_that_is_a_list_is_refused(settings_page, device, mine):
    answer = json.loads(device.create(options(settings_page, ADD)))
    attestation = cbor2.loads(decoded(answer["response"]["attestationObject"]))
    attestation["authData"] = attestation["authData"][:71] + cbor2.dumps([1, 2])
    answer["response"]["attestationObject"] = urlsafe_b64encode(cbor2.dumps(attestation)).decode()
    assert settings_page.post(PASSKEYS, name="Liste", passkey=json.dumps(answer)).status_code == 422 and mine() == []


def shared_twice(levels):
    """Return CBOR of few bytes that stands for 2 ** `levels` values (tags 28 and 29: shared values)."""
    items = [cbor2.CBORTag(28, [0, 0]), *(cbor2.CBORTag(28, [cbor2.CBORTag(29, n)] * 2) for n in range(levels))]
    return cbor2.dumps({"x": items})


@pytest.mark.parametrize("extensions", [
    cbor2.dumps({"x": cbor2.CBORTag(35, "a")}), shared_twice(12), b"\xa1\x61x\xc0\x74" + b"2026-11-23T12:00:00Z",
    b"\xa1\x61x\x9f\x01\xff", b"\xa1\x61x\x7f\x61a\xff", b"\xa1\x61x" + b"\x81" * 9 + b"\x01",
    b"\xa1\x61x\x5b" + b"\xff" * 8, b"\x9b" + b"\xff" * 8, b"\xa1\x61x\x1c", b"\xa1",
])  # fmt: skip
def test_cbor_that_no_device_sends_is_refused_before_it_is_decoded(app, added, device, mine, backend, extensions):
    """A tag makes the library work for minutes before it looks at the signature (CTAP 2.2, 8: devices send none)."""
    device.extensions = extensions
    before, asked = len(mine()), options(added, ADD)
    assert added.post(PASSKEYS, name="Unfug", passkey=device.create(asked)).status_code == 422 and len(mine()) == before
    for path in (LOGIN, DESK_LOGIN):
        page = Browser(app).open(path)
        sent = page.post(f"{path}/passkey", passkey=device.get(options(page, BUTTON), next(iter(device.keys))))
        assert sent.status_code == 422 and AGAIN in sent.text, "not looked up, so not decoded either"
    assert "login.refused" not in backend.actions()


def test_a_key_with_a_tag_is_refused(settings_page, device, mine):
    answer = json.loads(device.create(options(settings_page, ADD)))
    attestation = cbor2.loads(decoded(answer["response"]["attestationObject"]))
    key = attestation["authData"][71:]
    for tagged in (b"\xd9\xd9\xf7" + key, key[:-34] + b"\xc2" + key[-34:]):
        sent = attestation | {"authData": attestation["authData"][:71] + tagged}
        answer["response"]["attestationObject"] = urlsafe_b64encode(cbor2.dumps(sent)).decode()
        assert settings_page.post(PASSKEYS, name="Marke", passkey=json.dumps(answer)).status_code == 422
    assert mine() == []


def long_form(number):
    return b"\x1b" + number.to_bytes(8, "big")


def test_what_the_library_would_read_at_another_place_than_the_check_is_refused(app, added, device, mine, backend):
    """It goes on behind as many bytes as it would have written, so in a longer form inside of a byte string."""
    hidden = cbor2.dumps({"x": cbor2.CBORTag(35, "a")})
    key = b"\xa2" + long_form(1) + long_form(2) + b"\x03" + b"\x58" + bytes([len(hidden)]) + hidden
    for extensions in (b"\xa1" + long_form(1) + long_form(2), b"\xa1\x01\xf9\x3c\x00", b"\xa1\x01\x18\x02"):
        device.extensions = extensions
        page = Browser(app).open(LOGIN)
        sent = page.post(f"{LOGIN}/passkey", passkey=device.get(options(page, BUTTON)))
        assert sent.status_code == 422 and AGAIN in sent.text
    page = Browser(app).open(LOGIN)
    answer = json.loads(device.get(options(page, BUTTON)))
    data = bytearray(decoded(answer["response"]["authenticatorData"])[:37])
    for flags, rest in ((0xC5, key + b"\xa0"), (0x45, cbor2.dumps({1: 2}))):
        data[32] = flags
        sent = bytes(data) + bytes(16) + b"\0\1i" + rest
        answer["response"]["authenticatorData"] = urlsafe_b64encode(sent).decode()
        refused = Browser(app).open(LOGIN).post(f"{LOGIN}/passkey", passkey=json.dumps(answer))
        assert refused.status_code == 422 and AGAIN in refused.text, "no login has a new key"
    assert "login.refused" not in backend.actions()


def test_extensions_that_nobody_asked_for_do_no_harm(settings_page, device, mine, app):
    device.extensions = cbor2.dumps(
        {"credProtect": 2, "uvm": [[2, 4, 2]], "x": {"a" * 300: [True, None, -70_000, 1.5]}}
    )
    settings_page.touch(ADD, device)
    assert len(mine()) == 1
    assert Browser(app).open(LOGIN).touch(BUTTON, device).path == "/einstellungen"


def test_ten_are_enough(settings_page, device, mine):
    for _ in range(MAX_PASSKEYS):
        waiting = options(settings_page, ADD)
        settings_page.touch(ADD, device)
    assert len(mine()) == MAX_PASSKEYS and "Mehr als 10 gehen nicht." in settings_page.text
    settings_page.post(PASSKEYS, name="Elf", passkey=device.create(waiting))
    assert len(mine()) == MAX_PASSKEYS


def test_without_a_name_it_is_called_like_the_browser(settings_page, device, mine):
    suggested = settings_page.value("Name des Passkeys")
    settings_page.fill_in("Name des Passkeys", " ").touch(ADD, device)
    assert [passkey.name for passkey in mine()] == [suggested]


def test_it_is_renamed_and_removed_each_with_a_mail(added, mine, backend):
    added.follow(link_text(added))
    added.submit("Speichern", {"Name": ""})
    assert (added.status, "Geben Sie dem Passkey einen Namen." in added.text) == (422, True)
    added.submit("Speichern", {"Name": "Laptop"})
    assert "Laptop" in added.text and mine()[0].name == "Laptop"
    added.follow(link_text(added)).press("Passkey entfernen")
    assert "Sie haben noch keinen Passkey." in added.text and mine() == []
    assert [mail.facts["act"] for mail in backend.mails("passkeys_changed")] == ["added", "renamed", "removed"]


def test_with_it_end_the_sessions_that_it_may_have_begun(app, added, device, mine):
    thief = Browser(app).open(LOGIN).touch(BUTTON, device).open(PASSKEYS).touch(CONFIRM, device)
    waiting = options(thief, ADD)
    added.follow(link_text(added)).press("Passkey entfernen")
    assert "Alle anderen Geräte sind abgemeldet." in added.text
    thief.post(PASSKEYS, name="Noch einer", passkey=Device(app.config["PUBLIC_URL"]).create(waiting))
    assert thief.open(PASSKEYS).heading == "Anmelden" and mine() == [] and added.open(PASSKEYS).heading == "Passkeys"


def link_text(page):
    return next(
        link.text_content() for link in page.page.iter("a") if "ändern oder entfernen" in (link.text_content() or "")
    )


def test_those_of_others_are_neither_seen_nor_changed(app, added, max_, mine):
    (passkey,) = mine()
    other = Browser(app).log_in(max_).open(PASSKEYS)
    other.submit("Weiter", {"Aktuelles Passwort": people.password_of(max_)})
    path = f"{PASSKEYS}/{passkey.id}"
    assert other.open(path).status == 404
    assert other.post(path, name="Meins").status_code == other.post(f"{path}/entfernen").status_code == 404
    assert mine()[0].name == passkey.name


@pytest.mark.parametrize("path", ["", "/1", "/1/entfernen"])
def test_without_the_password_nothing_is_shown_or_changed(app, erika, added, mine, path):
    fresh = Browser(app).log_in(erika)
    answer = fresh.post(PASSKEYS + path, name="Fremd", passkey="{}")
    assert "Aktuelles Passwort" in answer.text and len(mine()) == 1 and mine()[0].name != "Fremd"


# Logging in


def test_a_customer_logs_in_with_it_and_reaches_the_wanted_page(app, added, device, mine, erika, backend):
    page = Browser(app).open("/einstellungen/verlauf").touch(BUTTON, device)
    assert page.path == "/einstellungen/verlauf" and "Angemeldet" in page.text
    assert mine()[0].last_used == NOW and mine()[0].sign_count == device.used
    assert backend.read(erika).last_login_at == NOW


def test_a_clerk_needs_no_code_besides_it(app, clerk_page, device, factor):
    page = Browser(app).open("/kundenservice/mitarbeitende").touch(BUTTON, device)
    assert page.path == "/kundenservice/mitarbeitende"


def test_it_stands_for_the_code_after_the_password(app, clerk_page, device, rosa, factor):
    page = Browser(app).log_in(rosa, path=DESK_LOGIN)
    assert page.heading == "Zweiter Faktor" and "Code aus der App" in page.text
    assert page.touch(BUTTON, device).path == "/kundenservice/kunden"


def test_of_customers_it_opens_no_desk_and_of_clerks_no_account(app, added, device, desk, prove):
    at_desk = Browser(app).open(DESK_LOGIN).touch(BUTTON, device)
    assert (at_desk.status, REFUSED in at_desk.text) == (422, True)
    prove()
    of_clerk = Device(app.config["PUBLIC_URL"])
    desk.open(OF_CLERK).touch(ADD, of_clerk)
    page = Browser(app).open(LOGIN).touch(BUTTON, of_clerk)
    assert (page.status, REFUSED in page.text) == (422, True)


@pytest.fixture
def refused(app):
    """Return a function that returns the page after a login with the device was refused, without what differs."""

    def refused(device, **changed):
        page = Browser(app).open(LOGIN)
        asked = options(page, BUTTON)
        page.touch(BUTTON, device, **changed)
        assert (page.status, page.path) == (422, "/anmelden/passkey")
        assert REFUSED in page.text and asked not in page.answer.text
        return [line for line in page.answer.text.splitlines() if "csrf_token" not in line and "challenge" not in line]

    return refused


def test_unknown_removed_locked_throttled_and_forged_are_the_same_page(
    app, added, device, refused, backend, erika, mine
):
    stranger = Device(app.config["PUBLIC_URL"])
    stranger.create(options(added, ADD))
    unknown = refused(stranger)
    forger = Device(app.config["PUBLIC_URL"])
    forger.create(options(added, ADD))
    name = next(iter(device.keys))
    forger.keys, forger.handles = {name: forger.keys.popitem()[1]}, dict(device.handles)
    assert refused(forger) == unknown, "another key under a known id"
    assert refused(device, userHandle="AAAA") == unknown, "the handle of another account"
    elsewhere = Device("https://evil.example")
    elsewhere.keys, elsewhere.handles = device.keys, device.handles
    assert refused(elsewhere) == unknown, "the person was on another site"
    device.verifies = False
    assert refused(device) == unknown, "nobody was verified"
    device.verifies = True
    for _ in range(2):
        assert refused(forger) == unknown
    assert refused(device) == unknown, "more than five failures make the passkey wait"
    assert "login.throttled" in backend.actions()
    backend.run(lambda tx: tx.session.execute(delete(Throttle)))
    backend.update(erika, locked_at=NOW)
    assert refused(device) == unknown, "locked"
    backend.update(erika, locked_at=None)
    backend.run(lambda tx: tx.session.delete(tx.session.merge(mine()[0])))
    assert refused(device) == unknown, "removed"


def test_an_unknown_passkey_costs_a_verification_as_well(app, added, device, refused, monkeypatch):
    from webauthn.authentication import verify_authentication_response as library

    verified = []
    original = library.verify_signature
    monkeypatch.setattr(library, "verify_signature", lambda **given: verified.append(1) or original(**given))
    stranger = Device(app.config["PUBLIC_URL"])
    stranger.create(options(added, ADD))
    refused(stranger)
    assert verified == [1]
    Browser(app).open(LOGIN).touch(BUTTON, device)
    assert verified == [1, 1]


def test_a_copied_key_is_refused_and_its_holder_told_once_a_day(app, added, device, refused, backend, erika):
    Browser(app).open(LOGIN).touch(BUTTON, device)
    for _ in range(2):
        device.used = 0
        refused(device)
    assert backend.actions().count("passkey.copied") == 2
    told = [mail for mail in backend.mails("passkeys_changed") if mail.facts["act"] == "copied"]
    assert [mail.recipient for mail in told] == [erika.email]
    device.used = 5
    assert Browser(app).open(LOGIN).touch(BUTTON, device).path == "/einstellungen", "that of its holder goes on"


def test_whoever_knows_only_the_id_cannot_raise_that_alarm(app, added, device, refused, backend):
    forger = Device(app.config["PUBLIC_URL"])
    forger.create(options(added, ADD))
    forger.keys, forger.handles = {next(iter(device.keys)): forger.keys.popitem()[1]}, dict(device.handles)
    Browser(app).open(LOGIN).touch(BUTTON, device)
    refused(forger)
    assert "passkey.copied" not in backend.actions()


def test_a_key_that_does_not_count_works_again_and_again(app, settings_page, device):
    device.counts = False
    settings_page.touch(ADD, device)
    for _ in range(3):
        assert Browser(app).open(LOGIN).touch(BUTTON, device).path == "/einstellungen"


def test_failures_of_others_keep_no_known_device_out(app, added, device, refused, erika):
    known = Browser(app).log_in(erika)
    known.press("Abmelden")
    forger = Device(app.config["PUBLIC_URL"])
    forger.create(options(added, ADD))
    forger.keys, forger.handles = {next(iter(device.keys)): forger.keys.popitem()[1]}, dict(device.handles)
    for _ in range(7):
        refused(forger)
    assert known.open(LOGIN).touch(BUTTON, device).path == "/einstellungen"


def test_an_answer_is_used_up_by_a_login(app, settings_page, device):
    device.counts = False  # otherwise the second use is that of a copied key
    settings_page.touch(ADD, device)
    page = Browser(app).open(LOGIN)
    answer = device.get(options(page, BUTTON))
    assert page.post("/anmelden/passkey", passkey=answer).status_code == 303
    assert Browser(app).open(LOGIN).post("/anmelden/passkey", passkey=answer).status_code == 422


def test_the_database_alone_logs_nobody_in(app, added, device, mine, refused):
    """Whoever reads all columns of a passkey still has no private key."""
    (row,) = mine()
    thief = Device(app.config["PUBLIC_URL"])
    thief.create(options(added, ADD))
    key = thief.keys.popitem()[1]
    thief.keys, thief.handles = {row.credential_id: key}, {row.credential_id: row.user_handle}
    thief.used = row.sign_count + 10
    refused(thief)


# In place of the current password, or of the second factor


@pytest.mark.parametrize("path", ["/einstellungen/konto", "/einstellungen/konto-loeschen", PASSKEYS])
def test_it_stands_for_the_current_password(app, added, device, path, erika):
    page = Browser(app).log_in(erika).open(path)
    assert "Bitte bestätigen Sie zuerst, dass Sie es sind." in page.text
    heading = page.heading
    page.touch(CONFIRM, device)
    assert page.status == 200 and page.heading == heading and "Aktuelles Passwort" not in page.text


def test_konto_anpassen_is_saved_with_it_when_the_password_is_asked_again(app, added, device, erika, clock, backend):
    page = Browser(app).log_in(erika).open("/einstellungen/konto")
    page.touch(CONFIRM, device).fill_in("Telefon", "07051 4711")
    clock.shift(timedelta(seconds=app.config["PROOF_LIFETIME"] + 1))
    page.press("Speichern")
    assert page.status == 422 and page.value("Telefon") == "07051 4711"
    page.touch("Mit Passkey bestätigen und speichern", device)
    assert "Ihre Änderungen sind gespeichert." in page.text and backend.read(erika).phone == "07051 4711"


def test_only_an_own_passkey_confirms_and_only_in_the_session_that_asked(app, added, device, erika, max_, backend):
    page = Browser(app).log_in(erika).open("/einstellungen/konto")
    answer = device.get(options(page, CONFIRM))
    again = Browser(app).log_in(erika).open("/einstellungen/konto")
    refused = again.post("/einstellungen/bestaetigen/konto", passkey=answer)
    assert (refused.status_code, AGAIN in refused.text) == (422, True)
    stranger = Device(app.config["PUBLIC_URL"])
    stranger.create(options(added, ADD))
    refused = again.touch(CONFIRM, stranger)
    assert (refused.status, REFUSED in refused.text) == (422, True)
    other = Browser(app).log_in(max_).open("/einstellungen/konto")
    assert CONFIRM not in other.text
    assert other.post("/einstellungen/bestaetigen/konto", passkey=answer).status_code == 422
    assert "passkey.refused" in backend.actions()


def test_it_is_a_second_factor_afresh(app, clerk_page, device, clock, rosa, backend):
    clock.shift(timedelta(seconds=app.config["STAFF_PROOF_LIFETIME"] + 1))
    page = clerk_page.open(OF_CLERK)
    assert page.heading == "Bitte bestätigen"
    assert page.touch(CONFIRM, device).heading == "Passkeys"


def test_with_a_passkey_the_password_alone_confirms_nothing(app, clerk_page, rosa, clock, offered, backend):
    clock.shift(timedelta(seconds=app.config["STAFF_PROOF_LIFETIME"] + 1))
    page = clerk_page.open(OF_CLERK)
    assert page.post("/kundenservice/bestaetigen", password=people.password_of(rosa)).status_code == 422
    page = Browser(app).log_in(rosa, path=DESK_LOGIN)
    assert page.heading == "Zweiter Faktor" and "Code aus der App" not in page.text
    login_session = backend.read(select(LoginSession))[0]
    backend.update(login_session, password_checked_at=None)
    check = check_password(people.password_of(rosa), backend.read(rosa).password_hash)
    backend.run(accounts.check_current_password, rosa, login_session, check)
    assert backend.read(login_session).password_checked_at is None, "only the passkey counts as afresh"


def test_a_new_passkey_of_a_clerk_ends_an_open_first_link(clerk_page, device, backend, rosa):
    """Who has the mailbox alone could set password and second factor with it."""
    link = backend.issue(LinkKind.CLERK_FIRST, rosa)
    clerk_page.fill_in("Name des Passkeys", "Zweiter").touch(ADD, device)
    assert backend.read(link).state(NOW) is LinkState.REPLACED


def test_a_first_second_factor_ends_what_the_password_alone_began(app, rosa, device, offered, mine):
    def confirmed():
        page = Browser(app).log_in(rosa, path=DESK_LOGIN).open(OF_CLERK)
        return page.submit("Weiter", {"Passwort": people.password_of(rosa)})

    thief, own = confirmed(), confirmed()
    waiting = options(thief, ADD)
    assert own.touch(ADD, device).heading == "Passkeys" and len(mine()) == 1
    thief.post(OF_CLERK, name="Meiner", passkey=Device(app.config["PUBLIC_URL"]).create(waiting))
    assert thief.open(OF_CLERK).heading == "Anmelden im Kundenservice" and len(mine()) == 1
    elsewhere = Browser(app).open(DESK_LOGIN).touch(BUTTON, device)
    own.fill_in("Name des Passkeys", "Zweiter").touch(ADD, device)
    assert elsewhere.open(OF_CLERK).heading == "Bitte bestätigen", "a further one ends nothing"


# What ends them


@pytest.fixture
def two(added, device, mine):
    added.fill_in("Name des Passkeys", "Zweiter").touch(ADD, device)
    return mine()


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK])
@pytest.mark.parametrize("ticked", [False, True])
def test_a_password_set_by_a_link_ends_those_that_are_not_ticked(
    app, two, erika, issue, mailed, enter_code, mine, kind, ticked, backend
):
    page, link = Browser(app), issue(kind, erika)
    enter_code(page, link) if kind == LinkKind.DESK else page.open(mailed(link))
    assert "Mit dem neuen Passwort enden Ihre Passkeys." in page.text
    if ticked:
        page.check(next(words for words in labels(page) if words.startswith("Zweiter")))
    page.submit(
        "Registrieren" if kind == LinkKind.DESK else "Passwort speichern", {"Passwort": "kurz", "Wdh. Passwort": "kurz"}
    )
    assert page.status == 422 and len(mine()) == 2
    fields = {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD}
    page.submit("Registrieren" if kind == LinkKind.DESK else "Passwort speichern", fields)
    assert [passkey.name for passkey in mine()] == (["Zweiter"] if ticked else [])
    (mail,) = backend.mails("password_set")
    first = two[0].name
    assert mail.facts["passkeys"] == (["Zweiter"] if ticked else [])
    assert mail.facts["ended_passkeys"] == ([first] if ticked else [first, "Zweiter"])


def labels(page):
    return [" ".join(label.text_content().split()) for label in page.page.iter("label")]


def test_a_tick_does_not_keep_a_passkey_that_was_added_since(app, two, erika, issue, mailed, mine, added, device):
    page = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    page.check(next(words for words in labels(page) if words.startswith("Zweiter")))
    added.open(f"{PASSKEYS}/{two[1].id}").press("Passkey entfernen")
    added.fill_in("Name des Passkeys", "Zweiter").touch(ADD, device)
    page.submit("Passwort speichern", {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD})
    assert mine() == []


def test_ids_of_others_keep_nothing(app, two, erika, issue, mailed, mine, backend):
    page = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    page.client.post(page.path, base_url=page.site, data={
        "csrf_token": page.csrf_token, "new": NEW_PASSWORD, "repeat": NEW_PASSWORD, "stay": ["0", "999", "-1"],
    })  # fmt: skip
    assert mine() == []


def test_a_password_changed_in_konto_anpassen_keeps_them(added, two, mine):
    added.open("/einstellungen/konto").submit("Speichern", {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD})
    assert "Ihre Änderungen sind gespeichert." in added.text and len(mine()) == 2


ENDING = {
    "the desk corrects the address": lambda tx, erika: desk.correct_address(
        tx, erika, erika.version, people.NEW_EMAIL, "callback", ""
    ),
    "the desk locks": lambda tx, erika: desk.lock(tx, erika, "Gerät gestohlen"),
    "the desk deletes": lambda tx, erika: deletion.delete_customer(
        tx, erika, erika.version, "Wunsch", loans_open=False
    ),
}


@pytest.mark.parametrize("act", ENDING.values(), ids=ENDING)
def test_what_the_desk_does_ends_them(two, erika, backend, act, mine, app, device, refused):
    backend.run(act, erika, actor="clerk:1")
    assert mine() == []
    refused(device)


def test_a_correction_that_ends_a_passkey_ends_the_sessions_that_it_may_have_begun(app, added, device, erika, backend):
    thief = Browser(app).open(LOGIN).touch(BUTTON, device)
    backend.run(ENDING["the desk corrects the address"], erika, actor="clerk:1")
    assert thief.open("/einstellungen").heading == added.open("/einstellungen").heading == "Anmelden"


def test_the_mail_of_a_correction_names_those_that_ended(two, erika, backend, app):
    backend.run(ENDING["the desk corrects the address"], erika, actor="clerk:1")
    with app.app_context():
        mail = db.session.scalars(select(OutgoingMail).filter_by(template="address_corrected")).one()
        text = " ".join(compose(mail, backend.keys, app.config, NOW).body.split())
    assert f"Ihre Passkeys gelten nicht mehr: {two[0].name}, Zweiter." in text


def test_an_objection_ends_them(two, erika, backend, mine):
    backend.run(accounts.request_address_change, erika, people.NEW_EMAIL)
    (objection,) = backend.links(LinkKind.OBJECTION)
    backend.run(accounts.object_to_change, objection, NOW)
    assert mine() == []


def test_a_clerk_whose_only_second_factor_was_locked_away_gets_in_by_a_new_first_link_alone(
    clerk_page, rosa, tim, backend, mine, app
):
    """Otherwise the password would open the desk alone."""
    backend.update(tim, admin=True)
    asked = (
        Browser(app)
        .come_in(backend.run(sessions.start_session, tim, "Firefox").token)
        .open(f"/kundenservice/mitarbeitende/{rosa.id}/sperren")
    )
    assert "Nach dem Entsperren richtet die Person ihren Zugang mit einem neuen ersten Link neu ein" in asked.text
    backend.run(clerks.lock, rosa, tim)
    backend.run(clerks.unlock, rosa, tim)
    page = Browser(app).open(DESK_LOGIN)
    page.submit("Anmelden", {"E-Mail-Adresse": rosa.email, "Passwort": people.password_of(rosa)})
    assert (page.status, mine()) == (422, [])


def test_a_clerk_who_is_locked_or_leaves_has_none(clerk_page, rosa, tim, backend, mine):
    backend.update(tim, admin=True)
    backend.run(clerks.leave, rosa, tim)
    assert mine() == []


# Offered on Fertig


@pytest.fixture
def done(app, erika, issue, mailed):
    page = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    return page.submit("Passwort speichern", {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD})


def test_after_a_new_password_one_touch_adds_it(done, device, mine, app, backend):
    assert "Nie wieder vergessen" in done.text
    done.touch(ADD, device)
    assert done.heading == "Fertig" and "Ihr Passkey ist angelegt." in done.text
    assert "Nie wieder vergessen" not in done.text and len(mine()) == 1
    assert Browser(app).open(LOGIN).touch(BUTTON, device).path == "/einstellungen"


def test_after_many_changes_a_day_it_is_not_added_there_either(done, device, mine, monkeypatch):
    """Each is mailed, and with a program adding and removing would go on without an end."""
    monkeypatch.setattr(passkeys, "CHANGES_PER_DAY", 0)
    done.touch(ADD, device)
    assert done.status == 422 and "heute schon oft geändert" in done.text and mine() == []


def test_it_is_offered_once(done, app, erika, issue, mailed, clock):
    assert "Nie wieder vergessen" in done.open(done.path).text
    clock.shift(timedelta(minutes=1))
    again = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    again.submit("Passwort speichern", {"Passwort": NEW_PASSWORD + "!", "Wdh. Passwort": NEW_PASSWORD + "!"})
    assert again.heading == "Fertig" and "Nie wieder vergessen" not in again.text


def test_nein_danke_counts_for_good(done, app, erika, issue, mailed, device, mine, clock):
    waiting, path = options(done, ADD), done.path.replace("fertig", "passkey")
    done.press("Nein danke")
    assert done.heading == "Fertig" and "Nie wieder vergessen" not in done.text
    late = done.open(LOGIN).post(path, passkey=device.create(waiting))
    assert late.status_code in (404, 410)
    clock.shift(timedelta(minutes=1))
    again = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    again.submit("Passwort speichern", {"Passwort": NEW_PASSWORD + "!", "Wdh. Passwort": NEW_PASSWORD + "!"})
    assert again.heading == "Fertig" and "Nie wieder vergessen" not in again.text and mine() == []


@pytest.mark.parametrize("later", ["ten minutes", "another password", "locked", "unlocked", "corrected"])
def test_the_offer_ends(done, device, mine, app, clock, backend, erika, later):
    waiting = options(done, ADD)
    if later == "ten minutes":
        clock.shift(timedelta(seconds=app.config["PROOF_LIFETIME"]))
    elif later == "another password":
        clock.shift(timedelta(seconds=1))
        backend.run(accounts.set_password, erika, hash_password("noch ein anderes Passwort"))
    else:
        clock.shift(timedelta(seconds=1))
        if later == "corrected":
            backend.run(ENDING["the desk corrects the address"], erika, actor="clerk:1")
        else:
            backend.run(desk.lock, erika, "Verdacht", actor="clerk:1")
        if later == "unlocked":
            backend.run(desk.unlock, erika, "geklärt", actor="clerk:1")
    late = done.post(done.path.replace("fertig", "passkey"), passkey=device.create(waiting))
    assert late.status_code in (404, 410)
    assert mine() == []


def test_only_the_browser_with_the_visit_may_add_one(done, app, device, mine):
    waiting = options(done, ADD)
    stranger = Browser(app).open(LOGIN)
    assert stranger.post(done.path.replace("fertig", "passkey"), passkey=device.create(waiting)).status_code == 404
    assert mine() == []


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK])
def test_whoever_opens_the_used_link_again_gets_no_offer(app, erika, issue, mailed, enter_code, device, kind, mine):
    owner, link = Browser(app), issue(kind, erika)
    enter_code(owner, link) if kind == LinkKind.DESK else owner.open(mailed(link))
    fields = {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD}
    owner.submit("Registrieren" if kind == LinkKind.DESK else "Passwort speichern", fields)
    thief, waiting = Browser(app).open(mailed(link)), options(owner, ADD)
    assert thief.open(owner.path).heading == "Fertig" and ADD not in thief.text
    path = owner.path.replace("fertig", "passkey")
    assert thief.open(LOGIN).post(path, passkey=device.create(waiting)).status_code in (404, 410)
    assert mine() == [] and owner.touch(ADD, device).heading == "Fertig" and len(mine()) == 1


def test_no_offer_is_left_of_a_password_that_the_desk_deleted(done, device, mine, backend, erika):
    """A thief set it from the old mailbox, and the account was locked, corrected and unlocked within minutes."""
    waiting, path = options(done, ADD), done.path.replace("fertig", "passkey")
    backend.run(desk.lock, erika, "Postfach gestohlen", actor="clerk:1")
    seen = backend.read(erika).version
    backend.run(desk.correct_address, erika, seen, people.NEW_EMAIL, "callback", "", actor="clerk:1")
    backend.run(desk.unlock, erika, "geprüft", "callback", actor="clerk:1")
    assert ADD not in done.open(done.path).text and people.NEW_EMAIL not in done.answer.text
    late = done.open(LOGIN).post(path, passkey=device.create(waiting))
    assert late.status_code in (404, 410) and mine() == []


# STAFF_SECOND_FACTOR = "passkey"


@pytest.fixture
def demanded(app, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "passkey")


def test_where_passkeys_are_demanded_a_code_opens_nothing(app, rosa, factor, backend, demanded):
    page = Browser(app).log_in(rosa, path=DESK_LOGIN)
    assert page.heading == "Ihr zweiter Faktor fehlt" and "einen Passkey" in page.text
    login_session = backend.read(select(LoginSession))[-1]
    right = backend.totp_code(factor.secret)
    assert backend.run(second_factor.verify_login, login_session, right) is None
    assert page.open("/kundenservice").heading == "Anmelden im Kundenservice"


def test_there_a_first_link_adds_a_passkey_in_place_of_an_app(
    app, rosa, factor, issue, mailed, demanded, backend, device, monkeypatch
):
    """However often a stolen session has renamed one today."""
    monkeypatch.setattr(passkeys, "CHANGES_PER_DAY", 0)
    page = Browser(app).open(mailed(issue(LinkKind.CLERK_FIRST, rosa)))
    page.submit("Weiter", {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD})
    assert "Code aus der App" not in page.text
    page.touch(ADD, device)
    assert page.heading != "Ihr zweiter Faktor" and backend.read(rosa).factor_nonce is None
    assert Browser(app).open(DESK_LOGIN).touch(BUTTON, device).path == "/kundenservice/kunden"


def test_the_only_second_factor_is_not_removed(clerk_page, mine, backend, rosa):
    path = f"{OF_CLERK}/{mine()[0].id}"
    clerk_page.open(path).press("Passkey entfernen")
    assert (clerk_page.status, "Das ist Ihr einziger zweiter Faktor." in clerk_page.text) == (422, True)
    backend.add_second_factor(rosa)
    assert "Noch keiner." in clerk_page.open(path).press("Passkey entfernen").open("/kundenservice/zugang").text
    assert mine() == []


def test_a_first_link_ends_passkeys_of_before(app, clerk_page, rosa, issue, mailed, mine, backend):
    page = Browser(app).open(mailed(issue(LinkKind.CLERK_FIRST, rosa)))
    page.submit("Weiter", {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD})
    later = Device(app.config["PUBLIC_URL"])
    page.touch(ADD, later)
    assert [passkey.credential_id for passkey in mine()] == list(later.keys)


# The rest


def test_the_hidden_field_takes_the_place_of_nothing_that_was_typed_before_the_session_ended(added, backend, clock):
    """Of a person one form is saved, such as that of a clerk that waits for the second factor."""
    clock.shift(timedelta(minutes=11))
    confirm = form_of(button(added.open("/einstellungen/konto").page, "Weiter")).get("action")
    clock.shift(timedelta(minutes=31))
    answer = added.post(confirm or added.path, current="irgendeins", passkey="")
    assert "/anmelden" in answer.headers["Location"] and backend.read(select(KeptEntry)) == []


def test_meine_daten_lists_them_and_no_page_shows_a_key(added, mine, app, erika):
    (passkey,) = mine()
    data = added.open("/einstellungen/daten").text
    assert "Passkeys" in data and passkey.name in data and passkey.public_key not in data


@pytest.mark.parametrize("url", ["https://192.0.2.7", "https://[2001:db8::7]"])
def test_under_an_ip_address_there_are_none(build_portal, url):
    page = Browser(build_portal(PUBLIC_URL=url)).open(LOGIN)
    assert page.heading == "Anmelden" and BUTTON not in page.text


def test_over_the_limit_of_a_source_only_a_device_known_to_the_passkeys_own_account_does_not_wait(
    app, added, device, backend, max_, monkeypatch
):
    """Otherwise a customer could make the portal store any number of failures."""
    for number in range(30):
        backend.log_in(f"unbekannt{number}@schule.example", "falsch", SOURCE)
    of_max = Browser(app).log_in(max_).press("Abmelden")
    monkeypatch.setattr(auth, "slow_logins", Pace(60, each=0, most=4))
    stranger = Device(app.config["PUBLIC_URL"])
    stranger.create(options(added, ADD))
    assert of_max.open(LOGIN).touch(BUTTON, stranger).status == 422, "compared at once"
    assert of_max.open(LOGIN).touch(BUTTON, stranger).status == 503
    assert added.press("Abmelden").open(LOGIN).touch(BUTTON, device).path == "/einstellungen"


def test_who_stole_a_passkey_uses_up_no_logins_of_another_one(app, added, device, monkeypatch, clock):
    monkeypatch.setattr(passkeys, "LOGINS_PER_HOUR", 2)
    other = Device(app.config["PUBLIC_URL"])
    added.open(PASSKEYS).touch(ADD, other)
    for _ in range(2):
        assert Browser(app).open(LOGIN).touch(BUTTON, other).path == "/einstellungen"
    assert Browser(app).open(LOGIN).touch(BUTTON, other).status == 422
    assert Browser(app).open(LOGIN).touch(BUTTON, device).path == "/einstellungen"


def test_an_answer_to_a_used_challenge_does_not_tell_whether_its_passkey_is_throttled(app, added, clock):
    stranger = Device(app.config["PUBLIC_URL"])
    stranger.create(options(added, ADD))
    again = []
    for _ in range(8):
        page = Browser(app).open(LOGIN)
        answer = stranger.get(options(page, BUTTON))
        assert REFUSED in page.post(f"{LOGIN}/passkey", passkey=answer).text
        again.append(AGAIN in page.post(f"{LOGIN}/passkey", passkey=answer).text)
    assert all(again)


def test_the_61st_login_of_an_hour_by_passkey_is_refused_and_each_account_keeps_a_hundred_sessions(
    app, added, device, backend, erika, refused, monkeypatch, clock
):
    """A login by passkey costs no hash, so nothing else bounds what a customer could let the portal store and list."""
    monkeypatch.setattr(passkeys, "LOGINS_PER_HOUR", 3)
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 4)
    monkeypatch.setattr(devices, "MAX_DEVICES", 2)
    for _ in range(3):
        assert Browser(app).open(LOGIN).touch(BUTTON, device).path == "/einstellungen"
    refused(device)
    clock.shift(timedelta(hours=1))
    for _ in range(3):
        assert Browser(app).open(LOGIN).touch(BUTTON, device).path == "/einstellungen"
    assert len([one for one in backend.read(select(LoginSession)) if one.ended_at is None]) == 4
    clock.shift(timedelta(hours=2))
    Browser(app).open(LOGIN).touch(BUTTON, device)
    assert len(backend.read(select(LoginSession))) == 5, "ended ones are deleted an hour later"
    assert len(backend.read(select(KnownDevice))) == 2


def test_after_thirty_changes_a_day_a_passkey_can_only_be_removed(added, mine, backend, monkeypatch):
    """Each change is mailed, and a customer must not fill the queue of all mails."""
    monkeypatch.setattr(passkeys, "CHANGES_PER_DAY", 2)
    added.follow(link_text(added)).submit("Speichern", {"Name": "Laptop"})
    added.follow(link_text(added)).submit("Speichern", {"Name": "Noch ein Name"})
    assert (added.status, mine()[0].name) == (422, "Laptop")
    assert "heute schon oft geändert" in added.text and len(backend.mails("passkeys_changed")) == 2
    added.press("Passkey entfernen")
    assert mine() == []
