"""A clerk's first link: password, second factor and recovery codes, shown to its holder only."""

from datetime import timedelta

import pytest
from lxml import etree

from kmzportal.mail.previews import previews
from kmzportal.models import LinkKind, LinkState
from kmzportal.services import links, sessions
from kmzportal.services.second_factor import SecondFactor
from tests import people, secret_scan
from tests.browser import Browser, by_id, only, words
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


@pytest.fixture
def at_code(landed):
    """The browser at the second step, after the new password."""
    return landed.submit("Weiter", NEW)


def set_up(browser, backend):
    [secret] = codes(browser)
    return browser.submit(SET_UP, {FIELD: backend.totp_code(secret)})


def test_a_clerk_sets_password_and_factor_and_sees_ten_codes_once(at_code, backend, rosa, mailed, link):
    assert at_code.heading == "Ihr zweiter Faktor"
    assert at_code.read("header").startswith("Kreismedienzentrum Calw Kundenservice"), "it is no Kundenkonto"
    page = set_up(at_code, backend)
    assert page.heading == "Fertig"
    assert codes(page) == SecondFactor(backend.factor_keys, backend.read(rosa).factor_nonce).recovery_codes
    assert len(codes(page)) == 10
    last = codes(page)[9]
    for path in (f"/konto-link/{link.id}/zugang/code", f"/konto-link/{link.id}/zugang/fertig", mailed(link)):
        other = Browser(backend.app)
        other.cookie = page.cookie
        assert codes(other.open(path)) == [], path
    assert page.check("Ich habe die Ersatzcodes aufbewahrt").press("Weiter").path == "/kundenservice/anmelden"
    assert page.value("E-Mail-Adresse") == "", "the desk fills in nothing"
    page.log_in(rosa, NEW_PASSWORD, "/kundenservice/anmelden").submit("Weiter", {FIELD: last})
    assert page.open("/kundenservice").path == "/kundenservice/kunden"
    assert (page.open(mailed(link)).status, "Jeder Link gilt nur einmal." in page.text) == (410, True)


def test_without_the_tick_the_way_does_not_go_on_and_the_codes_are_not_shown_again(at_code, backend):
    assert by_id(set_up(at_code, backend).page, "kept").get("required") is not None, "browsers keep the page"
    at_code.press("Weiter")
    assert (at_code.status, codes(at_code)) == (422, [])
    assert "Dann setzen Sie bitte das Häkchen." in at_code.text and "unter „Mein Zugang“" in at_code.text


@pytest.mark.parametrize("logged_in", [True, False])
def test_that_devices_are_logged_out_is_said_only_where_some_were(app, at_code, backend, rosa, logged_in):
    if logged_in:
        backend.run(sessions.start_session, rosa, "Firefox")
    assert ("Auf allen Geräten sind Sie abgemeldet." in set_up(at_code, backend).text) is logged_in


def test_the_qr_code_is_a_picture_of_its_own_with_the_secret_of_the_text(at_code):
    answer = picture(at_code)
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("image/svg+xml", "no-store")
    root = etree.fromstring(answer.data)
    assert {etree.QName(one).localname for one in root.iter()} == {"svg", "g", "path"}
    assert not any("style" in one.attrib for one in root.iter())
    [secret] = codes(at_code)
    assert [len(group) for group in secret.split()] == [4] * 8
    uri = only((one for one in at_code.page.iter("a") if one.get("href", "").startswith("otpauth:")), "way to app")
    assert f"secret={secret.replace(' ', '')}&" in uri.get("href")
    tags = [one.tag for one in at_code.page.iter("a", "img") if one is uri or one.tag == "img"]
    assert tags == ["a", "img"], "on a telephone the app comes first"


@pytest.mark.with_and_without_htmx
def test_a_wrong_code_keeps_the_password_that_was_accepted_and_stores_nothing(at_code, app, backend, rosa):
    [secret], drawn = codes(at_code), picture(at_code).data
    for typed, error in (("000000", "Dieser Code passt nicht."), ("", "Geben Sie den Code aus der App ein.")):
        at_code.submit(SET_UP, {FIELD: typed})
        assert (at_code.status, error in at_code.text) == (422, True)
    assert (codes(at_code), picture(at_code).data) == ([secret], drawn)
    stored = backend.read(rosa)
    assert (stored.password_hash, stored.factor_nonce) == (rosa.password_hash, None)
    secret_scan.check(app, secret.replace(" ", ""))
    assert set_up(at_code, backend).heading == "Fertig"
    assert backend.read(rosa).password_hash != rosa.password_hash


@pytest.mark.parametrize(("fields", "error"), [
    ({"Passwort": "kurz", "Wdh. Passwort": "kurz"}, "mindestens 15 Zeichen"),
    ({"Wdh. Passwort": "etwas anderes"}, "Die beiden Passwörter sind nicht gleich."),
    ({"Passwort": "rosa.otto@kmz.example", "Wdh. Passwort": "rosa.otto@kmz.example"}, "besteht fast nur aus"),
])  # fmt: skip
def test_a_refused_password_does_not_lead_to_the_second_step(landed, backend, link, fields, error):
    landed.submit("Weiter", NEW | fields)
    assert (landed.status, error in landed.text) == (422, True)
    assert landed.open(f"/konto-link/{link.id}/zugang/code").heading == "Ihr Zugang zum Kundenservice"
    assert set_up(landed.submit("Weiter", NEW), backend).heading == "Fertig"


def test_the_accepted_password_counts_only_in_the_browser_that_typed_it(at_code, app, backend, mailed, link):
    other = Browser(app).open(mailed(link))
    assert other.open(f"/konto-link/{link.id}/zugang/code").heading == "Ihr Zugang zum Kundenservice"


def test_where_the_factor_is_offered_the_code_may_stay_empty(offered, at_code, backend, rosa):
    assert "Das ist freiwillig." in at_code.text
    at_code.press(SET_UP)
    assert (at_code.heading, codes(at_code), backend.read(rosa).factor_nonce) == ("Fertig", [], None)
    assert at_code.follow("Zur Anmeldung im Kundenservice").path == "/kundenservice/anmelden"


def test_the_mail_names_where_its_link_leads(app):
    with app.app_context():
        mail = previews(app.config)["clerk_first_link"]
    assert "Link zum Kundenservice:\n" in mail.body and "Link zum Konto" not in mail.body


def test_another_clerk_who_is_logged_in_has_to_log_out_first(browser, backend, tim, offered, link, mailed):
    browser.log_in(tim, path="/kundenservice/anmelden").open(mailed(link))
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert browser.press("Abmelden und weiter").heading == "Ihr Zugang zum Kundenservice"


def test_a_login_ends_the_visit_with_which_a_copied_cookie_could_set_up_another_factor(
    browser, landed, backend, rosa, link
):
    factor = backend.add_second_factor(rosa)
    assert browser.open(f"/konto-link/{link.id}/zugang").status == 200
    browser.log_in(rosa, path="/kundenservice/anmelden").submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.open(f"/konto-link/{link.id}/zugang").status == 404


def test_until_the_link_is_used_the_old_password_and_factor_stay_valid(browser, landed, backend, rosa):
    factor = backend.add_second_factor(rosa)
    browser.log_in(rosa, path="/kundenservice/anmelden").submit("Weiter", {FIELD: backend.totp_code(factor.secret)})
    assert browser.open("/kundenservice/mitarbeitende").heading == "Mitarbeitende"


def test_whoever_opened_the_link_before_knows_neither_secret_nor_codes(landed, app, backend, rosa, link, mailed):
    """A mail scanner, or a person who reads the mailbox as well."""
    thief = Browser(app).open(mailed(link)).submit("Weiter", NEW)
    [seen] = codes(thief)
    set_up(landed.submit("Weiter", NEW), backend)
    assert codes(thief.open(f"/konto-link/{link.id}/zugang/fertig")) == []
    assert SecondFactor(backend.factor_keys, backend.read(rosa).factor_nonce).secret != seen.replace(" ", "")
    for page in ("zugang", "zugang/code", "zugang/qr.svg"):
        assert thief.client.get(f"/konto-link/{link.id}/{page}", base_url=thief.site).status_code == 410


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
    for page in ("", "/code", "/qr.svg", "/fertig"):
        answer = browser.client.get(f"/konto-link/{link.id}/zugang{page}", base_url=browser.site)
        assert answer.status_code in (403, 404, 410) and "<path" not in answer.text, page
    if state == "expired":
        assert "Sie sendet Ihnen einen neuen Link." in browser.text and "an dieselbe Adresse senden" not in browser.text
