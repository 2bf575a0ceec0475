"""A clerk's first link: from the mail to ten codes on paper."""

import pytest
from lxml import etree

from kmzportal.models.account_link import LinkKind
from kmzportal.services import clerks
from tests import people, secret_scan
from tests.browser import only
from tests.people import NEW
from tests.web.first_link import FIELD, SET_UP, arrive, codes_on, secret_on, set_up

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
