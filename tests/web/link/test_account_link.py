"""Links to the account: the steps of the hand-out, refused input, ended links, renewal, two tabs."""

from datetime import timedelta

import pytest

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.customer import Customer
from kmzportal.services import links
from tests import people, secret_scan
from tests.browser import Browser
from tests.people import NEW

pytestmark = pytest.mark.usefixtures("clock")
LOST, DEAD = "Diesen Link können wir nicht öffnen", "Dieser Link gilt nicht mehr"
RENEW = "Neuen Link an dieselbe Adresse senden"


def test_the_seven_steps_of_the_hand_out_with_its_labels(browser, backend, juergen, issue, mailed):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    browser.open(mailed(link))
    assert browser.value("Ich bin kein Roboter") == ""
    browser.check("Ich bin kein Roboter")
    if not browser.htmx:
        browser.press("Weiter")
    assert "Wählen Sie alle Bilder mit " in browser.text
    browser.follow("Code aus der E-Mail eingeben")
    browser.submit("Bestätigen", {"Code aus der E-Mail": backend.keys.code(link)})
    browser.follow("Konto bearbeiten")
    assert browser.value("Nachname") == "Groß"
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.heading == "Fertig"
    assert "https://kmz-calw.de" in [one.get("href") for one in browser.page.iter("a")]
    browser.follow("Zur Anmeldung")
    assert browser.value("E-Mail-Adresse") == juergen.pending_email
    browser.submit("Anmelden", {"Passwort": people.NEW_PASSWORD})
    assert browser.heading == "Einstellungen"
    assert backend.read(juergen).phone == "07051 4711"


@pytest.mark.parametrize("button", ["Passwort speichern", RENEW])
def test_a_customer_locked_after_the_link_was_opened_reads_so(browser, backend, erika, issue, mailed, clock, button):
    link = issue(LinkKind.RECOVERY, erika)
    clock.shift(timedelta(hours=73) if button == RENEW else 0)
    browser.open(mailed(link))
    backend.update(erika, locked_at=people.NOW)
    browser.submit(button, {} if button == RENEW else NEW)
    assert (browser.status, "Ihr Konto ist gesperrt" in browser.text) == (403, True)
    assert backend.read(erika).password_hash == erika.password_hash
    assert len(backend.mails("recovery_link")) == 1


@pytest.mark.parametrize(
    ("new", "repeat", "said"),
    [
        ("", "", "Geben Sie ein neues Passwort ein."),
        ("kurz", "kurz", "Das Passwort ist zu kurz."),
        ("kanarienvogel 4711", "kanarienvogel 4712", "Die beiden Passwörter sind nicht gleich."),
    ],
)
def test_a_refused_password_is_not_shown_again(browser, backend, erika, issue, mailed, new, repeat, said):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link)).submit("Passwort speichern", {"Passwort": new, "Wdh. Passwort": repeat})
    assert browser.status == 422
    assert said in browser.text
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert "kanarienvogel" not in browser.answer.text
    assert backend.read(link).ended_at is None


def test_data_entered_with_a_refused_password_is_kept(browser, backend, erika, issue, enter_code):
    link = issue(LinkKind.DESK, erika)
    enter_code(browser, link)
    browser.submit(
        "Registrieren", {"Schule": "GMS Neustadt", "Passwort": people.NEW_PASSWORD, "Wdh. Passwort": "anders"}
    )
    assert browser.status == 422
    assert browser.value("Schule") == "GMS Neustadt"
    browser.submit("Registrieren", NEW)
    assert backend.read(erika).school == "GMS Neustadt"


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_a_stale_form_is_refused_with_its_input_and_works_the_second_time(
    browser, backend, juergen, issue, mailed, kind, enter_code
):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    if kind is LinkKind.DESK:
        enter_code(browser, link).fill_in("Telefon", "07051 4711")
    button, fields = {
        LinkKind.RECOVERY: ("Passwort speichern", NEW),
        LinkKind.DESK: ("Registrieren", NEW),
        LinkKind.ADDRESS: ("Bestätigen", {}),
        LinkKind.OBJECTION: ("Das war ich nicht – Konto sperren", {}),
    }[kind]
    browser.stale().submit(button, fields)
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert people.NEW_PASSWORD not in browser.answer.text
    assert backend.read(link).ended_at is None
    assert kind is not LinkKind.DESK or browser.value("Telefon") == "07051 4711"
    browser.submit(button, fields)
    assert backend.read(link).ended_as == LinkState.REDEEMED


def test_only_the_fields_of_the_form_can_be_changed(browser, backend, erika, max_, issue, enter_code):
    link = issue(LinkKind.DESK, erika)
    enter_code(browser, link)
    assert erika.number in browser.text
    assert erika.email in browser.text
    smuggled = {
        "number": "K-0000", "email": "dieb@evil.example", "email_canonical": "dieb@evil.example", "id": str(max_.id),
        "customer_id": str(max_.id), "link_id": "1", "locked_at": "", "password_hash": "x",
        "pending_email": "dieb@evil.example", "imported": "{}", "kind": "address",
    }  # fmt: skip
    passwords = {"new": people.NEW_PASSWORD, "repeat": people.NEW_PASSWORD}
    path = f"/konto-link/{link.id}/konto"
    browser.post(path, last_name="Neu", version=str(erika.version), **passwords, **smuggled)
    hers, his = backend.read(erika), backend.read(max_)
    assert (hers.last_name, hers.number, hers.email, hers.pending_email) == ("Neu", erika.number, erika.email, None)
    assert (his.last_name, his.password_hash) == (max_.last_name, max_.password_hash)


def test_an_address_taken_by_another_customer_is_refused(browser, backend, juergen, erika, issue, enter_code):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    enter_code(browser, link)
    with backend.transaction("console") as tx:
        tx.session.get(Customer, erika.id).set_email(juergen.pending_email)
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.status == 422
    assert "Diese Adresse gehört inzwischen zu einem anderen Konto." in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert backend.read(link).ended_at is None


def test_the_token_is_removed_from_the_address_bar_by_a_redirect(app, backend, erika, issue, mailed):
    link = issue(LinkKind.RECOVERY, erika)
    answer = app.test_client().get(mailed(link), base_url=app.config["PUBLIC_URL"])
    assert (answer.status_code, answer.location) == (303, f"/konto-link/{link.id}")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert backend.keys.token(link) not in answer.text


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_the_cookie_holds_no_token_of_a_link(browser, backend, juergen, issue, mailed, kind):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    everything = repr(browser.session)
    for secret in (backend.keys.token(link), backend.keys.code(link), link.token_hash, link.nonce):
        assert not secret_scan.contains_secret(secret, everything + browser.answer.text)


@pytest.mark.parametrize(
    "junk", [".", ">", ")", "%3E", "%3E.", "/", "?utm_source=mail", "%20", "*", "…", "%00", "%FF", "%0A", "%0D%0A"]
)
def test_characters_that_mail_programs_append_are_ignored(browser, erika, issue, mailed, junk):
    assert browser.open(mailed(issue(LinkKind.RECOVERY, erika)) + junk).heading == "Neues Passwort"


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_requests_of_mail_scanners_change_nothing(app, browser, juergen, issue, mailed, kind):
    path = mailed(issue(kind, juergen, juergen.pending_email))
    with app.app_context():
        before = secret_scan.dump()
    for _ in range(3):
        for method in ("HEAD", "GET", "OPTIONS"):
            scanner, onward = app.test_client(), method != "OPTIONS"
            answer = scanner.open(path, method=method, base_url=browser.site, follow_redirects=onward)
            assert answer.status_code == 200
    with app.app_context():
        assert secret_scan.dump() == before
    assert browser.open(path).status == 200


@pytest.mark.parametrize(
    "text", ["x", "x" * 43, "x" * 5000, "%00", "..%2f..", "%F0%9F%98%80", "' OR 1=1 --", "{{7*7}}"]
)
def test_an_invalid_token_gets_one_neutral_page(browser, erika, issue, text):
    issue(LinkKind.RECOVERY, erika)
    browser.open(f"/link/{text}")
    assert (browser.status, browser.heading) == (404, LOST)


def test_a_used_link_shows_when_and_offers_no_renewal(browser, erika, issue, mailed, clock):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    browser.open(path).submit("Passwort speichern", NEW)
    clock.shift(60)
    browser.open(path)
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "am 23.11.2026, 14:05 Uhr benutzt" in browser.text
    assert RENEW not in browser.text


def test_an_expired_link_shows_only_its_expiry_and_is_renewed(
    browser, backend, erika, issue, mailed, newest_link, clock
):
    link = issue(LinkKind.RECOVERY, erika)
    clock.shift(timedelta(hours=3))
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Er galt bis 23.11.2026, 16:05 Uhr" in browser.text
    for fact in (erika.number, erika.email, erika.last_name, erika.school, erika.phone):
        assert fact not in browser.text
    browser.stale().press(RENEW)
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    browser.press(RENEW)
    assert "Ein neuer Link ist unterwegs an dieselbe Adresse." in browser.text
    assert [mail.recipient for mail in backend.mails("recovery_link")] == [erika.email] * 2
    browser.open(mailed(newest_link())).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"


def test_a_replaced_link_names_the_newer_mail_and_can_be_renewed(browser, backend, erika, issue, mailed):
    old, _ = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, erika)
    browser.open(mailed(old))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Nehmen Sie bitte die neueste E-Mail." in browser.text
    browser.press(RENEW)
    assert len(backend.mails("desk_link")) == 3


def test_a_withdrawn_link_offers_no_renewal(browser, backend, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK}, actor="clerk:1")
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "zurückgezogen" in browser.text
    assert RENEW not in browser.text


def test_a_fourth_renewal_is_refused_and_no_longer_offered(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    with backend.transaction() as tx:
        tx.session.get(AccountLink, link.id).renewals = 3
    browser.press(RENEW)
    assert "Heute können wir keinen weiteren Link senden." in browser.text
    assert RENEW not in browser.open(mailed(link)).text
    assert len(backend.mails("desk_link")) == 1


def tab(browser, app):
    """Another tab of the same browser."""
    other = Browser(app, browser.htmx)
    other.client = browser.client
    return other


def test_two_links_in_two_tabs_stay_apart(browser, app, backend, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    other = tab(browser, app)
    browser.open(mailed(hers))
    other.open(mailed(his))
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, people.OTHER_PASSWORD))
    assert (browser.heading, other.heading) == ("Fertig", "Fertig")
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.log_in(max_.email, people.OTHER_PASSWORD)


def test_one_link_in_two_tabs_works_once(browser, app, backend, erika, issue, mailed):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    other = tab(browser, app)
    browser.open(path)
    other.open(path)
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, people.OTHER_PASSWORD))
    assert (other.status, other.heading) == (410, DEAD)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)


def test_another_customer_who_is_logged_in_logs_out_first(browser, backend, erika, max_, issue, mailed):
    browser.log_in(max_).open(mailed(issue(LinkKind.RECOVERY, erika)))
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert "Max Mustermann" in browser.text
    assert erika.email not in browser.text
    browser.press("Abmelden und weiter")
    browser.submit("Passwort speichern", NEW)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.log_in(max_.email, people.password_of(max_))


def test_after_another_customer_logged_in_no_password_is_set(browser, app, backend, erika, max_, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    tab(browser, app).log_in(max_)
    browser.submit("Passwort speichern", NEW)
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert backend.log_in(erika.email, people.NEW_PASSWORD) is None


def test_the_customer_who_is_logged_in_uses_the_link_and_is_logged_out(browser, backend, erika, issue, mailed):
    browser.log_in(erika).open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"
    assert browser.open("/einstellungen").heading == "Anmelden"
