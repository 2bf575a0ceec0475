"""Mein Zugang: clerks change their own password and second factor, and end their sessions and known devices."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.models import KnownDevice, LinkKind, LinkState, LoginSession
from kmzportal.services import devices, sessions
from kmzportal.services.second_factor import SecondFactor
from tests import people
from tests.browser import Browser, by_id, only, words
from tests.people import NEW, NEW_PASSWORD, NOW

pytestmark = pytest.mark.usefixtures("clock")
PAGE, LOGIN = "/kundenservice/zugang", "/kundenservice/anmelden"
CODE, CURRENT = "Code aus der App", "Aktuelles Passwort"


@pytest.fixture
def own(desk, factor, prove):
    """Mein Zugang of Rosa, who has just entered her second factor."""
    prove()
    return desk.open(PAGE)


@pytest.fixture
def elsewhere(app, backend, rosa):
    """Another browser in which Rosa is logged in."""
    return Browser(app).come_in(backend.run(sessions.start_session, rosa, "Safari unter iOS").token)


def is_at_the_desk(browser):
    return browser.open("/kundenservice").path == "/kundenservice/kunden"


def codes(browser):
    return [words(one) for one in browser.page.iter("code")]


def test_every_clerk_finds_the_page_in_the_navigation(browser, backend, tim):
    browser.come_in(backend.run(sessions.start_session, tim, "Firefox").token).open("/kundenservice/kunden")
    assert browser.follow("Mein Zugang").path == PAGE
    assert "Tim Beispiel" in browser.text and "Nicht eingerichtet." in browser.text


@pytest.mark.with_and_without_htmx
def test_a_new_password_ends_all_other_sessions_and_devices_and_is_noticed_by_mail(own, backend, rosa, elsewhere):
    backend.run(devices.remember, rosa, "Safari unter iOS")
    before = own.session["_user_id"]
    own.follow("Passwort ändern").submit("Passwort speichern", {CURRENT: people.password_of(rosa), **NEW})
    assert (own.path, "Ihr neues Passwort gilt ab jetzt." in own.text) == (PAGE, True)
    assert own.session["_user_id"] != before and is_at_the_desk(own) and not is_at_the_desk(elsewhere)
    assert backend.read(select(KnownDevice)) == []
    [mail] = backend.mails()
    assert (mail.template, mail.recipient, mail.facts) == ("clerk_access_changed", rosa.email, {"changed": "password"})
    assert backend.actions()[-1] == "password.changed"
    assert Browser(backend.app).log_in(rosa, NEW_PASSWORD, LOGIN).heading == "Zweiter Faktor"


@pytest.mark.parametrize(("fields", "label", "error"), [
    ({CURRENT: ""}, CURRENT, "Geben Sie Ihr aktuelles Passwort ein."),
    ({CURRENT: "falsch"}, CURRENT, "Das aktuelle Passwort stimmt nicht."),
    ({"Passwort": "kurz", "Wdh. Passwort": "kurz"}, "Passwort", "mindestens 15 Zeichen"),
    ({"Wdh. Passwort": "anders"}, "Wdh. Passwort", "Die beiden Passwörter sind nicht gleich."),
])  # fmt: skip
def test_a_refused_password_changes_nothing(own, backend, rosa, fields, label, error):
    own.follow("Passwort ändern")
    own.submit("Passwort speichern", {CURRENT: people.password_of(rosa), **NEW, **fields})
    assert (own.status, error in own.text, own.value(label)) == (422, True, "")
    assert backend.read(rosa).password_hash == rosa.password_hash and backend.mails() == []


def test_the_password_alone_is_no_fresh_second_factor(own, backend, rosa, clock):
    """A stolen session and the password must not make a new app: the second factor counts, not the first."""
    own.follow("Passwort ändern")
    clock.shift(timedelta(minutes=4))
    own.submit("Passwort speichern", {CURRENT: people.password_of(rosa), "Passwort": "x", "Wdh. Passwort": "x"})
    clock.shift(timedelta(minutes=2))
    assert own.open(f"{PAGE}/zweiter-faktor").heading == "Bitte bestätigen"


@pytest.mark.parametrize("page", ["passwort", "zweiter-faktor", "zweiter-faktor/qr.svg", "ersatzcodes"])
def test_what_outlasts_the_session_asks_for_the_second_factor_afresh(desk, factor, page):
    desk.open(f"{PAGE}/{page}")
    assert (desk.heading, codes(desk)) == ("Bitte bestätigen", [])
    assert desk.submit("Weiter", {CODE: factor.recovery_codes[0]}).path == f"{PAGE}/{page}"


def test_another_app_replaces_the_one_before_and_ends_other_sessions(own, backend, rosa, factor, elsewhere):
    own.follow("Neue App einrichten")
    [secret] = codes(own)
    source = only(own.page.iter("img"), "picture").get("src")
    drawn = own.client.get(source, base_url=own.site).data
    own.submit("Einrichten", {CODE: "000000"})
    assert (own.status, "Dieser Code passt nicht." in own.text, codes(own)) == (422, True, [secret])
    assert own.client.get(source, base_url=own.site).data == drawn
    assert backend.read(rosa).factor_nonce == "nonce of ro" and is_at_the_desk(elsewhere)
    own.open(f"{PAGE}/zweiter-faktor").submit("Einrichten", {CODE: backend.totp_code(secret)})
    new = SecondFactor(backend.factor_keys, backend.read(rosa).factor_nonce)
    assert (own.heading, codes(own)) == ("Ihre Ersatzcodes", new.recovery_codes)
    assert new.secret == secret.replace(" ", "") != factor.secret
    assert not is_at_the_desk(elsewhere)
    assert [mail.facts for mail in backend.mails("clerk_access_changed")] == [{"changed": "factor"}]
    assert codes(own.open(f"{PAGE}/zweiter-faktor")) not in ([secret], new.recovery_codes)
    for code, accepted in ((factor.recovery_codes[0], False), (new.recovery_codes[0], True)):
        browser = Browser(backend.app).log_in(rosa, path=LOGIN).submit("Weiter", {CODE: code})
        assert is_at_the_desk(browser) is accepted


def test_another_app_ends_an_open_first_link(own, backend, rosa):
    """Who lost the telephone and found a recovery code needs the link no more: a thief of the mailbox could use it."""
    link = backend.issue(LinkKind.CLERK_FIRST, rosa)
    [secret] = codes(own.follow("Neue App einrichten"))
    own.submit("Einrichten", {CODE: backend.totp_code(secret)})
    assert backend.read(link).state(NOW) is LinkState.REPLACED


def test_each_session_offers_a_secret_of_its_own(own, backend, elsewhere, prove):
    prove()
    [mine], [other] = codes(own.open(f"{PAGE}/zweiter-faktor")), codes(elsewhere.open(f"{PAGE}/zweiter-faktor"))
    assert mine != other and codes(own.open(f"{PAGE}/zweiter-faktor")) == [mine]


def test_where_the_factor_is_offered_the_password_proves_enough_to_set_one_up(desk, offered, backend, rosa):
    desk.open(PAGE).follow("Zweiten Faktor einrichten")
    desk.submit("Weiter", {"Passwort": people.password_of(rosa)})
    [secret] = codes(desk)
    assert len(codes(desk.submit("Einrichten", {CODE: backend.totp_code(secret)}))) == 10
    assert Browser(backend.app).log_in(rosa, path=LOGIN).heading == "Zweiter Faktor"


@pytest.mark.with_and_without_htmx
def test_new_recovery_codes_are_shown_once_and_replace_the_old_ones_but_not_the_app(own, backend, rosa, factor):
    assert "Von Ihren 10 Ersatzcodes gelten noch 10." in own.text
    own.follow("Neue Ersatzcodes").press("Neue Ersatzcodes zeigen")
    new = codes(own)
    assert len(new) == 10 and not set(new) & set(factor.recovery_codes)
    assert by_id(own.page, "kept").get("required") is not None, "browsers keep the page until it is ticked"
    other = Browser(backend.app)
    other.cookie = own.cookie
    for path in ("ersatzcodes", "ersatzcodes/aufbewahrt"):
        assert codes(other.open(f"{PAGE}/{path}")) == []
    assert own.check("Ich habe die Ersatzcodes aufbewahrt").press("Weiter").path == PAGE
    for code, accepted in ((factor.recovery_codes[1], False), (new[1], True), (backend.totp_code(factor.secret), True)):
        browser = Browser(backend.app).log_in(rosa, path=LOGIN).submit("Weiter", {CODE: code})
        assert is_at_the_desk(browser) is accepted
    assert "gelten noch 9." in own.open(PAGE).text
    assert [mail.facts for mail in backend.mails("clerk_access_changed")] == [{"changed": "codes"}]


def test_without_the_tick_the_codes_are_not_shown_again(own):
    own.follow("Neue Ersatzcodes").press("Neue Ersatzcodes zeigen").press("Weiter")
    assert (own.status, codes(own), "Dann setzen Sie bitte das Häkchen." in own.text) == (422, [], True)
    assert own.follow("neue Ersatzcodes").heading == "Neue Ersatzcodes"


@pytest.mark.with_and_without_htmx
def test_own_sessions_and_known_devices_are_listed_and_ended(own, backend, rosa, elsewhere):
    device = backend.run(devices.remember, rosa, "Edge unter Windows")
    own.open(PAGE)
    assert "Firefox unter Linux – hier sind Sie gerade" in own.text and "Edge unter Windows" in own.text
    own.press("Gerät abmelden")
    assert "Das Gerät ist abgemeldet." in own.text and "Safari" not in own.text
    assert is_at_the_desk(own) and not is_at_the_desk(elsewhere)
    own.open(PAGE).press("Gerät entfernen")
    assert "Das Gerät ist nicht mehr bekannt." in own.text and backend.read(select(KnownDevice)) == []
    assert device and backend.actions()[-2:] == ["session.ended", "device.forgotten"]


def test_this_device_is_the_first(own, backend, rosa, clock):
    clock.shift(60)
    backend.run(sessions.start_session, rosa, "Safari unter iOS")
    text = own.open(PAGE).text
    assert text.index("Firefox unter Linux – hier sind Sie gerade") < text.index("Safari unter iOS")


def test_all_others_are_ended_together(own, backend, rosa, elsewhere):
    backend.run(devices.remember, rosa, "Edge unter Windows")
    own.open(PAGE).press("Alle anderen Geräte abmelden")
    assert "Alle anderen Geräte sind abgemeldet." in own.text and not is_at_the_desk(elsewhere)
    assert backend.read(select(KnownDevice)) == []
    assert [mail.facts for mail in backend.mails()] == [{"changed": "devices"}]


def test_nobody_ends_the_sessions_and_devices_of_others(own, backend, tim):
    backend.run(devices.remember, tim, "Firefox")
    backend.run(sessions.start_session, tim, "Firefox")
    [his] = backend.read(select(LoginSession).where(LoginSession.clerk_id == tim.id))
    [known] = backend.read(select(KnownDevice))
    for path in (f"geraete/{his.id}/beenden", f"bekannte-geraete/{known.id}/entfernen", "geraete/0/beenden"):
        assert own.post(f"{PAGE}/{path}").status_code == 404
    assert backend.read(his).ended_at is None and backend.read(select(KnownDevice))


def test_a_stale_form_says_so_and_ends_nothing(own, backend, elsewhere):
    own.open(PAGE).stale().press("Gerät abmelden")
    assert (own.status, "Senden Sie das Formular bitte noch einmal ab." in own.text) == (422, True)
    assert is_at_the_desk(elsewhere)
