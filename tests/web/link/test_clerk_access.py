"""A clerk's first link: password, second factor and recovery codes, shown to its holder only."""

from datetime import timedelta

import pytest
from lxml import etree

from kmzportal.models.account_link import LinkKind, LinkState
from kmzportal.services import clerks, links
from kmzportal.services.second_factor import SecondFactor
from tests import people, secret_scan
from tests.browser import Browser, only
from tests.people import NEW
from tests.web.link.clerk_access import FIELD, SET_UP, arrive, codes_on, secret_on, set_up

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def link(backend, rosa, issue):
    return issue(LinkKind.CLERK_FIRST, rosa)


def picture(browser):
    source = only(browser.page.iter("img"), "picture").get("src")
    return browser.client.get(source, base_url=browser.site)


def test_rosa_sets_password_and_factor_and_gets_ten_codes(browser, backend, rosa, link, clock):
    set_up(arrive(browser, backend, link), backend)
    assert browser.heading == "Fertig"
    codes = codes_on(browser)
    assert len(codes) == 10
    browser.follow("Zur Anmeldung im Kundenservice")
    assert browser.value("E-Mail-Adresse") == rosa.email
    browser.press("Anmelden", Passwort=people.NEW_PASSWORD).submit("Weiter", {FIELD: codes[9]})
    assert browser.open("/kundenservice").status == 200
    assert browser.path.startswith("/kundenservice") and "anmelden" not in browser.path


def test_the_qr_code_is_a_picture_of_its_own_with_the_secret_of_the_text(browser, backend, link):
    arrive(browser, backend, link)
    answer = picture(browser)
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("image/svg+xml", "no-store")
    root = etree.fromstring(answer.data)
    assert {etree.QName(one).localname for one in root.iter()} == {"svg", "g", "path"}
    assert not any("style" in one.attrib for one in root.iter())
    secret = secret_on(browser)
    assert [len(group) for group in secret.split()] == [4] * 8
    uri = only((one for one in browser.page.iter("a") if one.get("href", "").startswith("otpauth:")), "way to app")
    assert f"secret={secret.replace(' ', '')}&" in uri.get("href")


def test_a_refused_form_shows_the_same_secret_and_keeps_nothing(browser, app, backend, rosa, link):
    arrive(browser, backend, link)
    secret, drawn = secret_on(browser), picture(browser).data
    browser.submit(SET_UP, {**NEW, FIELD: "000000"})
    assert browser.status == 422
    assert "Dieser Code passt nicht." in browser.text
    assert "Aus Sicherheitsgründen ist das Passwort jetzt leer." in browser.text
    assert (secret_on(browser), picture(browser).data) == (secret, drawn)
    assert backend.read(rosa).password_hash == rosa.password_hash
    assert backend.read(rosa).factor_nonce is None
    secret_scan.check(app, secret.replace(" ", ""))
    assert set_up(browser, backend).heading == "Fertig"


@pytest.mark.parametrize(("fields", "sentence"), [
    ({FIELD: ""}, "Geben Sie den Code aus der App ein."),
    ({"Passwort": "kurz", "Wdh. Passwort": "kurz"}, "mindestens 15 Zeichen"),
    ({"Wdh. Passwort": "etwas anderes"}, "Die beiden Passwörter sind nicht gleich."),
    ({"Passwort": "rosa.otto@kmz.example", "Wdh. Passwort": "rosa.otto@kmz.example"}, "besteht fast nur aus"),
])  # fmt: skip
def test_what_is_wrong_is_said_and_the_link_stays_good(browser, backend, link, fields, sentence):
    set_up(arrive(browser, backend, link), backend, **fields)
    assert (browser.status, sentence in browser.text) == (422, True)
    assert set_up(browser, backend).heading == "Fertig"


def test_where_it_is_offered_the_code_may_stay_empty(browser, app, backend, rosa, link, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")
    arrive(browser, backend, link)
    assert "Das ist freiwillig." in browser.text
    browser.submit(SET_UP, NEW)
    assert (browser.heading, codes_on(browser)) == ("Fertig", [])
    assert backend.read(rosa).factor_nonce is None


def test_a_colleague_at_this_computer_is_asked_to_log_out_first(browser, app, backend, tim, link, monkeypatch):
    monkeypatch.setitem(app.config, "STAFF_SECOND_FACTOR", "offered")
    browser.open("/kundenservice/anmelden")
    browser.submit("Anmelden", {"E-Mail-Adresse": tim.email, "Passwort": people.password_of(tim)})
    arrive(browser, backend, link)
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert browser.press("Abmelden und weiter").heading == "Ihr Zugang zum Kundenservice"


def test_until_it_is_used_everything_stays_as_it_was(browser, backend, rosa, clock):
    factor = backend.add_second_factor(rosa)
    arrive(browser, backend, backend.run(clerks.first_link, rosa))
    browser.open("/kundenservice/anmelden")
    browser.submit("Anmelden", {"E-Mail-Adresse": rosa.email, "Passwort": people.password_of(rosa)})
    browser.submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.open("/kundenservice/mitarbeitende").heading == "Mitarbeitende"


def test_whoever_opened_the_link_before_knows_neither_secret_nor_codes(browser, app, backend, rosa, link, clock):
    """A mail scanner, or somebody who reads the mailbox along."""
    thief = arrive(Browser(app), backend, link)
    seen = secret_on(thief)
    assert set_up(arrive(browser, backend, link), backend).heading == "Fertig"
    thief.open(f"/konto-link/{link.id}/zugang/fertig")
    assert codes_on(thief) == []
    clock.shift(30)
    assert secret_on_file(backend, rosa) != seen.replace(" ", "")
    assert thief.open(f"/konto-link/{link.id}/zugang").status == 410
    assert thief.client.get(f"/konto-link/{link.id}/zugang/qr.svg", base_url=thief.site).status_code == 410


def secret_on_file(backend, clerk):
    return SecondFactor(backend.keys, backend.read(clerk).factor_nonce).secret


def test_the_codes_are_not_shown_again_after_logging_in(browser, backend, link):
    done = set_up(arrive(browser, backend, link), backend).path
    assert len(codes_on(browser.open(done))) == 10
    browser.follow("Zur Anmeldung im Kundenservice").press("Anmelden", Passwort=people.NEW_PASSWORD)
    assert codes_on(browser.open(done)) == []


def test_a_newer_factor_hides_the_codes_of_the_older(browser, backend, rosa, link):
    done = set_up(arrive(browser, backend, link), backend).path
    backend.add_second_factor(rosa)
    assert codes_on(browser.open(done)) == []


def test_a_link_works_once(browser, backend, link):
    set_up(arrive(browser, backend, link), backend)
    assert arrive(browser, backend, link).status == 410
    assert "Jeder Link gilt nur einmal." in browser.text
    browser.follow("Zur Anmeldung")
    assert browser.heading == "Anmelden im Kundenservice"


@pytest.mark.parametrize("state", ["expired", "withdrawn", "locked"])
def test_a_dead_link_shows_no_secret(browser, backend, rosa, tim, link, clock, state):
    if state == "withdrawn":
        backend.run(links.end, rosa, LinkState.WITHDRAWN, {LinkKind.CLERK_FIRST})
    elif state == "locked":
        with backend.transaction() as tx:
            tx.session.get(type(rosa), rosa.id).locked_at = tx.now
    else:
        clock.shift(timedelta(days=3, seconds=1))
    arrive(browser, backend, link)
    assert browser.status in (403, 410)
    assert codes_on(browser) == []
    for what in ("", "/qr.svg", "/fertig"):
        answer = browser.client.get(f"/konto-link/{link.id}/zugang{what}", base_url=browser.site)
        assert answer.status_code in (403, 404, 410) and "<path" not in answer.text, what
    if state == "expired":
        assert "um einen neuen Link" in browser.text and "an dieselbe Adresse senden" not in browser.text


def test_without_the_link_there_is_nothing(browser, app, backend, link):
    for path in ("zugang", "zugang/qr.svg", "zugang/fertig", "fertig"):
        assert browser.client.get(f"/konto-link/{link.id}/{path}", base_url=browser.site).status_code == 404


@pytest.mark.parametrize("path", ["zugang", "zugang/qr.svg", "zugang/fertig"])
def test_a_customers_link_leads_to_no_access(browser, backend, erika, issue, path):
    link = issue(LinkKind.RECOVERY, erika)
    arrive(browser, backend, link)
    assert browser.open(f"/konto-link/{link.id}/{path}").status == 404


@pytest.mark.parametrize("path", ["passwort", "konto", "roboter", "adresse"])
def test_a_first_link_is_no_way_around_the_factor(browser, backend, link, path):
    arrive(browser, backend, link)
    assert browser.open(f"/konto-link/{link.id}/{path}").status == 404
