"""A clerk's first link: password, second factor and recovery codes, shown to its holder only."""

from datetime import timedelta

import pytest
from lxml import etree

from kmzportal.models import LinkKind, LinkState
from kmzportal.services import links
from kmzportal.services.second_factor import SecondFactor
from tests import people, secret_scan
from tests.browser import Browser, only, words
from tests.people import NEW, NEW_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
SET_UP, FIELD = "Zugang einrichten", "Code aus der App"


@pytest.fixture
def link(rosa, issue):
    return issue(LinkKind.CLERK_FIRST, rosa)


def picture(browser):
    source = only(browser.page.iter("img"), "picture").get("src")
    return browser.client.get(source, base_url=browser.site)


def codes(browser):
    """Return the secret on the form, or the recovery codes on the page after it."""
    return [words(one) for one in browser.page.iter("code")]


def set_up(browser, backend, **fields):
    [secret] = codes(browser)
    return browser.submit(SET_UP, {**NEW, FIELD: backend.totp_code(secret), **fields})


def test_a_clerk_sets_password_and_factor_and_gets_ten_codes_until_the_login(landed, backend, rosa, mailed, link):
    done = set_up(landed, backend).path
    assert landed.heading == "Fertig"
    assert codes(landed.open(done)) == SecondFactor(backend.factor_keys, backend.read(rosa).factor_nonce).recovery_codes
    assert len(codes(landed)) == 10
    last = codes(landed)[9]
    assert landed.follow("Zur Anmeldung im Kundenservice").value("E-Mail-Adresse") == rosa.email
    landed.press("Anmelden", Passwort=NEW_PASSWORD).submit("Weiter", {FIELD: last})
    assert landed.open("/kundenservice").path == "/kundenservice/kunden"
    assert codes(landed.open(done)) == []
    assert (landed.open(mailed(link)).status, "Jeder Link gilt nur einmal." in landed.text) == (410, True)


def test_the_qr_code_is_a_picture_of_its_own_with_the_secret_of_the_text(landed):
    answer = picture(landed)
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("image/svg+xml", "no-store")
    root = etree.fromstring(answer.data)
    assert {etree.QName(one).localname for one in root.iter()} == {"svg", "g", "path"}
    assert not any("style" in one.attrib for one in root.iter())
    [secret] = codes(landed)
    assert [len(group) for group in secret.split()] == [4] * 8
    uri = only((one for one in landed.page.iter("a") if one.get("href", "").startswith("otpauth:")), "way to app")
    assert f"secret={secret.replace(' ', '')}&" in uri.get("href")


def test_a_refused_form_shows_the_same_secret_and_stores_nothing(landed, app, backend, rosa):
    [secret], drawn = codes(landed), picture(landed).data
    landed.submit(SET_UP, {**NEW, FIELD: "000000"})
    assert (landed.status, "Dieser Code passt nicht." in landed.text) == (422, True)
    assert "Geben Sie bitte auch das Passwort noch einmal ein. Wir merken es uns nicht." in landed.text
    assert (codes(landed), picture(landed).data) == ([secret], drawn)
    stored = backend.read(rosa)
    assert (stored.password_hash, stored.factor_nonce) == (rosa.password_hash, None)
    secret_scan.check(app, secret.replace(" ", ""))
    assert set_up(landed, backend).heading == "Fertig"


@pytest.mark.parametrize(("fields", "error"), [
    ({FIELD: ""}, "Geben Sie den Code aus der App ein."),
    ({"Passwort": "kurz", "Wdh. Passwort": "kurz"}, "mindestens 15 Zeichen"),
    ({"Wdh. Passwort": "etwas anderes"}, "Die beiden Passwörter sind nicht gleich."),
    ({"Passwort": "rosa.otto@kmz.example", "Wdh. Passwort": "rosa.otto@kmz.example"}, "besteht fast nur aus"),
])  # fmt: skip
def test_invalid_input_is_refused_and_the_link_stays_open(landed, backend, fields, error):
    set_up(landed, backend, **fields)
    assert (landed.status, error in landed.text) == (422, True)
    assert set_up(landed, backend).heading == "Fertig"


def test_where_the_factor_is_offered_the_code_may_stay_empty(offered, landed, backend, rosa):
    assert "Das ist freiwillig." in landed.text
    landed.submit(SET_UP, NEW)
    assert (landed.heading, codes(landed), backend.read(rosa).factor_nonce) == ("Fertig", [], None)


def test_another_clerk_who_is_logged_in_has_to_log_out_first(browser, backend, tim, offered, link, mailed):
    browser.log_in(tim, path="/kundenservice/anmelden").open(mailed(link))
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert browser.press("Abmelden und weiter").heading == "Ihr Zugang zum Kundenservice"


def test_until_the_link_is_used_the_old_password_and_factor_stay_valid(browser, landed, backend, rosa):
    factor = backend.add_second_factor(rosa)
    browser.log_in(rosa, path="/kundenservice/anmelden").submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.open("/kundenservice/mitarbeitende").heading == "Mitarbeitende"


def test_whoever_opened_the_link_before_knows_neither_secret_nor_codes(landed, app, backend, rosa, link, mailed):
    """A mail scanner, or a person who reads the mailbox as well."""
    thief = Browser(app).open(mailed(link))
    [seen] = codes(thief)
    done = set_up(landed, backend).path
    assert codes(thief.open(done)) == []
    assert SecondFactor(backend.factor_keys, backend.read(rosa).factor_nonce).secret != seen.replace(" ", "")
    for page in ("zugang", "zugang/qr.svg"):
        assert thief.client.get(f"/konto-link/{link.id}/{page}", base_url=thief.site).status_code == 410
    backend.add_second_factor(rosa)
    assert codes(landed.open(done)) == [], "a newer factor hides the codes of the older one"


@pytest.mark.parametrize("state", ["expired", "withdrawn", "locked"])
def test_a_dead_link_shows_no_secret(browser, backend, rosa, link, mailed, clock, state):
    if state == "withdrawn":
        backend.run(links.end, rosa, LinkState.WITHDRAWN, {LinkKind.CLERK_FIRST})
    elif state == "locked":
        backend.update(rosa, locked_at=people.NOW)
    else:
        clock.shift(timedelta(days=3, seconds=1))
    browser.open(mailed(link))
    assert browser.status in (403, 410) and codes(browser) == []
    for page in ("", "/qr.svg", "/fertig"):
        answer = browser.client.get(f"/konto-link/{link.id}/zugang{page}", base_url=browser.site)
        assert answer.status_code in (403, 404, 410) and "<path" not in answer.text, page
    if state == "expired":
        assert "um einen neuen Link" in browser.text and "an dieselbe Adresse senden" not in browser.text
