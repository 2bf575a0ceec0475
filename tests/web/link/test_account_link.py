"""The link to the account: arriving, the hand-out's steps, two tabs, and links that ended."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.customer import Customer
from kmzportal.services import links
from tests import people, secret_scan
from tests.browser import Browser
from tests.people import NEW
from tests.web.by_hand import COOKIE, HOST
from tests.web.links import DEAD, LOST, newest, pass_the_robot_check

pytestmark = pytest.mark.usefixtures("clock")
RENEW = "Neuen Link an dieselbe Adresse senden"


def test_the_hand_outs_seven_steps_in_its_own_words(browser, backend, juergen, issue, mailed):
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
    browser.follow("Zur Anmeldung")
    assert browser.value("E-Mail-Adresse") == juergen.pending_email
    browser.submit("Anmelden", {"Passwort": people.NEW_PASSWORD})
    assert browser.heading == "Einstellungen"
    assert backend.read(juergen).phone == "07051 4711"


def test_the_office_can_stop_a_link_by_locking_the_account(browser, backend, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).locked_at = tx.now
    browser.submit("Passwort speichern", NEW)
    assert browser.status == 403
    assert "Ihr Konto ist gesperrt" in browser.text
    assert backend.read(erika).password_hash == erika.password_hash


@pytest.mark.parametrize(
    ("new", "repeat", "said"),
    [
        ("", "", "Geben Sie ein neues Passwort ein."),
        ("kurz", "kurz", "Das Passwort ist zu kurz."),
        ("kanarienvogel 4711", "kanarienvogel 4712", "Die beiden Passwörter sind nicht gleich."),
        ("Erika Mustermann", "Erika Mustermann", "Das Passwort besteht fast nur aus"),
        ("passwortpasswort", "passwortpasswort", "Nehmen Sie"),
        ("x" * 257, "x" * 257, "Ein Passwort hat höchstens 256 Zeichen."),
    ],
)
def test_a_password_that_does_not_suit_is_never_shown(browser, backend, erika, issue, mailed, new, repeat, said):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link)).submit("Passwort speichern", {"Passwort": new, "Wdh. Passwort": repeat})
    assert browser.status == 422
    assert said in browser.text
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert "kanarienvogel" not in browser.answer.text
    assert backend.read(link).ended_at is None


def test_a_mistake_in_the_passwords_loses_none_of_the_data(browser, backend, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    browser.submit(
        "Registrieren", {"Schule": "GMS Neustadt", "Passwort": people.NEW_PASSWORD, "Wdh. Passwort": "anders"}
    )
    assert browser.status == 422
    assert browser.value("Schule") == "GMS Neustadt"
    browser.submit("Registrieren", NEW)
    assert backend.read(erika).school == "GMS Neustadt"


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_every_step_from_an_old_page_works_at_the_second_click(browser, backend, juergen, issue, mailed, kind):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    if kind is LinkKind.DESK:
        pass_the_robot_check(browser, backend, link).follow("Konto bearbeiten").fill_in("Telefon", "07051 4711")
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


def test_number_and_address_are_shown_and_cannot_be_changed_over_a_link(browser, backend, erika, max_, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    assert erika.number in browser.text
    assert erika.email in browser.text
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    smuggled = {
        "number": "K-0000", "email": "dieb@evil.example", "email_canonical": "dieb@evil.example", "id": str(max_.id),
        "customer_id": str(max_.id), "link_id": "1", "locked_at": "", "password_hash": "x",
        "pending_email": "dieb@evil.example", "imported": "{}", "kind": "address",
    }  # fmt: skip
    data = {
        "csrf_token": token,
        "last_name": "Neu",
        "new": people.NEW_PASSWORD,
        "repeat": people.NEW_PASSWORD,
        **smuggled,
    }
    data["version"] = str(erika.version)
    browser.client.post(f"/konto-link/{link.id}/konto", data=data, base_url=browser.site)
    hers, his = backend.read(erika), backend.read(max_)
    assert (hers.last_name, hers.number, hers.email, hers.pending_email) == ("Neu", erika.number, erika.email, None)
    assert (his.last_name, his.password_hash) == (max_.last_name, max_.password_hash)


def test_an_address_that_somebody_else_has_by_now_is_not_taken_away(browser, backend, juergen, erika, issue, mailed):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    pass_the_robot_check(browser.open(mailed(link)), backend, link).follow("Konto bearbeiten")
    with backend.transaction("console") as tx:
        tx.session.get(Customer, erika.id).set_email(juergen.pending_email)
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.status == 422
    assert "Diese Adresse gehört inzwischen zu einem anderen Konto." in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert backend.read(link).ended_at is None


def test_the_office_is_linked_from_the_end_and_no_login_elsewhere_is_promised(browser, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert re.findall(r'href="(https://[^"]+)"', browser.answer.text).count("https://kmz-calw.de") >= 1


def test_the_token_leaves_the_address_bar_before_anything_is_shown(app, backend, erika, issue, mailed):
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
    with browser.client.session_transaction(base_url=browser.site) as session:
        everything = repr(dict(session))
    for secret in (backend.keys.token(link), backend.keys.code(link), link.token_hash, link.nonce):
        assert not secret_scan.contains_secret(secret, everything + browser.answer.text)


@pytest.mark.parametrize(
    "junk", [".", ">", ")", "%3E", "%3E.", "/", "?utm_source=mail", "%20", "*", "…", "%00", "%FF", "%0A", "%0D%0A"]
)
def test_what_mail_programs_hang_on_to_a_link_does_no_harm(browser, erika, issue, mailed, junk):
    assert browser.open(mailed(issue(LinkKind.RECOVERY, erika)) + junk).heading == "Neues Passwort"


@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_scanners_may_look_as_often_as_they_like(app, browser, juergen, issue, mailed, kind):
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


def test_looking_at_the_link_is_not_opening_it(landed, backend, link):
    assert backend.read(link).opened_at is None


@pytest.mark.parametrize(
    "text", ["x", "x" * 43, "x" * 5000, "%00", "..%2f..", "%F0%9F%98%80", "' OR 1=1 --", "{{7*7}}"]
)
def test_what_was_never_a_link_gets_one_neutral_page(browser, erika, issue, text):
    issue(LinkKind.RECOVERY, erika)
    browser.open(f"/link/{text}")
    assert (browser.status, browser.heading) == (404, LOST)


def test_a_used_link_says_when_and_offers_no_other(browser, erika, issue, mailed, clock):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    browser.open(path).submit("Passwort speichern", NEW)
    clock.shift(60)
    browser.open(path)
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "am 23.11.2026, 14:05 Uhr benutzt" in browser.text
    assert RENEW not in browser.text


def test_an_expired_link_says_until_when_it_was_good_and_brings_another(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.shift(timedelta(hours=3))
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Er galt bis 23.11.2026, 16:05 Uhr" in browser.text
    browser.press(RENEW)
    assert "Ein neuer Link ist unterwegs an dieselbe Adresse." in browser.text
    assert [mail.recipient for mail in backend.mails("recovery_link")] == [erika.email] * 2
    browser.open(mailed(newest(backend))).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"


def test_a_replaced_link_points_to_the_newer_mail(browser, backend, erika, issue, mailed):
    old, _ = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, erika)
    browser.open(mailed(old))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Nehmen Sie bitte die neueste E-Mail." in browser.text
    browser.press(RENEW)
    assert len(backend.mails("desk_link")) == 3


def test_a_withdrawn_link_shows_whom_to_call(browser, backend, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK}, actor="clerk:1")
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "zurückgezogen" in browser.text
    assert RENEW not in browser.text


def test_a_link_is_renewed_three_times_and_then_one_calls(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    for _ in range(3):
        clock.shift(timedelta(hours=73))
        browser.open(mailed(link)).press(RENEW)
        link = newest(backend)
    clock.shift(timedelta(hours=73))
    assert RENEW not in browser.open(mailed(link)).text
    assert len(backend.mails("desk_link")) == 4


def test_a_page_that_still_offers_a_fourth_gets_none(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    with backend.transaction() as tx:
        tx.session.get(AccountLink, link.id).renewals = 3
    browser.press(RENEW)
    assert "Heute können wir keinen weiteren Link senden." in browser.text
    assert len(backend.mails("desk_link")) == 1


def test_a_fresh_link_from_an_old_page_takes_a_second_click(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link)).stale().press(RENEW)
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert len(backend.mails("desk_link")) == 1
    browser.press(RENEW)
    assert len(backend.mails("desk_link")) == 2


def test_locked_meanwhile_she_is_told_instead_of_mailed(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    with backend.transaction("clerk:1") as tx:
        tx.session.get(Customer, erika.id).locked_at = tx.now
    browser.press(RENEW)
    assert browser.status == 403
    assert "Ihr Konto ist gesperrt" in browser.text
    assert len(backend.mails("desk_link")) == 1


def test_a_dead_link_shows_nothing_of_the_account(browser, backend, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    for fact in (erika.number, erika.email, erika.last_name, erika.school, erika.phone):
        assert fact not in browser.text


def test_old_cookies_do_not_bring_a_used_link_back(browser, app, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    there, kept = browser.path, browser.client.get_cookie(COOKIE, HOST).value
    browser.submit("Passwort speichern", NEW)
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, kept, domain=HOST, secure=True)
    assert thief.open(there).heading == DEAD


def tab(browser, app):
    """Another tab of the same browser."""
    other = Browser(app, browser.htmx)
    other.client = browser.client
    return other


def test_two_tabs_with_two_links_never_mix(browser, app, backend, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    other = tab(browser, app)
    browser.open(mailed(hers))
    other.open(mailed(his))
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, people.OTHER_PASSWORD))
    assert (browser.heading, other.heading) == ("Fertig", "Fertig")
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.log_in(max_.email, people.OTHER_PASSWORD)


def test_one_link_in_two_tabs_counts_once(browser, app, backend, erika, issue, mailed):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    other = tab(browser, app)
    browser.open(path)
    other.open(path)
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, people.OTHER_PASSWORD))
    assert (other.status, other.heading) == (410, DEAD)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)


def test_of_six_who_use_a_link_at_once_one_gets_in(app, browser, backend, erika, issue, mailed):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    six = [Browser(app, browser.htmx).open(path) for _ in range(6)]
    meeting = threading.Barrier(6)

    def use(one):
        meeting.wait(20)
        return one.submit("Passwort speichern", NEW).heading

    with ThreadPoolExecutor(6) as threads:
        headings = sorted(threads.map(use, six))
    assert headings == [DEAD] * 5 + ["Fertig"]
    assert len(backend.mails("password_set")) == 1


def test_where_somebody_else_is_logged_in_they_log_out_first(browser, backend, erika, max_, issue, mailed):
    browser.log_in(max_).open(mailed(issue(LinkKind.RECOVERY, erika)))
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert "Max Mustermann" in browser.text
    assert erika.email not in browser.text
    browser.press("Abmelden und weiter")
    browser.submit("Passwort speichern", NEW)
    assert backend.log_in(erika.email, people.NEW_PASSWORD)
    assert backend.log_in(max_.email, people.password_of(max_))


def test_logged_in_meanwhile_as_somebody_else_nothing_is_set(browser, app, backend, erika, max_, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    tab(browser, app).log_in(max_)
    browser.submit("Passwort speichern", NEW)
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert backend.log_in(erika.email, people.NEW_PASSWORD) is None


def test_where_she_is_logged_in_herself_the_link_just_works(browser, backend, erika, issue, mailed):
    browser.log_in(erika).open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"
    assert browser.open("/einstellungen").heading == "Anmelden"


def test_a_link_ends_all_sessions_of_its_holder(browser, app, erika, issue, mailed):
    elsewhere = Browser(app).log_in(erika)
    browser.open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert elsewhere.open("/einstellungen").heading == "Anmelden"
