"""From the mail to Fertig: the hand-out's steps, in its words, and everything that can come between."""

import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.customer import Customer
from kmzportal.services import account_link
from tests import canary, cast
from tests.browser import Browser

pytestmark = pytest.mark.usefixtures("clock")
on_sqlite = pytest.mark.parametrize("portal", ["sqlite"], indirect=True)
COOKIE, HOST = "__Host-kmzportal", "konto.kmz.example"
NEW = {"Passwort": cast.NEW_PASSWORD, "Wdh. Passwort": cast.NEW_PASSWORD}
LOST = "Diesen Link können wir nicht öffnen"
DEAD = "Dieser Link gilt nicht mehr"
RENEW = "Neuen Link an dieselbe Adresse senden"


@pytest.fixture
def mailed(deeds):
    """Return the path of a link as it stands in the mail."""
    return lambda link: f"/link/{deeds.keys.token(link)}"


def pass_the_robot_check(browser, deeds, link):
    browser.follow("Code aus der E-Mail eingeben")
    return browser.submit("Bestätigen", {"Code aus der E-Mail": deeds.keys.code(link)})


def tab(browser, app):
    """Another tab of the same browser."""
    other = Browser(app, browser.htmx)
    other.client = browser.client
    return other


def newest(deeds):
    return deeds.read(select(AccountLink).order_by(AccountLink.id))[-1]


@on_sqlite
def test_the_hand_outs_seven_steps_in_its_own_words(browser, deeds, juergen, issue, mailed):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    browser.open(mailed(link))
    assert browser.value("Ich bin kein Roboter") == ""
    browser.check("Ich bin kein Roboter")
    if not browser.htmx:
        browser.press("Weiter")
    assert "Wählen Sie alle Bilder mit " in browser.text
    browser.follow("Code aus der E-Mail eingeben")
    browser.submit("Bestätigen", {"Code aus der E-Mail": deeds.keys.code(link)})
    browser.follow("Konto bearbeiten")
    assert browser.value("Nachname") == "Groß"
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.heading == "Fertig"
    browser.follow("Zur Anmeldung")
    assert browser.value("E-Mail-Adresse") == juergen.pending_email
    browser.submit("Anmelden", {"Passwort": cast.NEW_PASSWORD})
    assert browser.heading == "Einstellungen"
    assert deeds.read(juergen).phone == "07051 4711"


@on_sqlite
def test_the_token_leaves_the_address_bar_before_anything_is_shown(app, deeds, erika, issue, mailed):
    link = issue(LinkKind.RECOVERY, erika)
    answer = app.test_client().get(mailed(link), base_url=app.config["PUBLIC_URL"])
    assert (answer.status_code, answer.location) == (303, f"/konto-link/{link.id}")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert deeds.keys.token(link) not in answer.text


@on_sqlite
@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_the_cookie_holds_no_token_of_a_link(browser, deeds, juergen, issue, mailed, kind):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    with browser.client.session_transaction(base_url=browser.site) as session:
        everything = repr(dict(session))
    for secret in (deeds.keys.token(link), deeds.keys.code(link), link.token_hash, link.nonce):
        assert not canary.sings(secret, everything + browser.answer.text)


@on_sqlite
@pytest.mark.parametrize(
    "junk", [".", ">", ")", "%3E", "%3E.", "/", "?utm_source=mail", "%20", "*", "…", "%00", "%FF", "%0A", "%0D%0A"]
)
def test_what_mail_programs_hang_on_to_a_link_does_no_harm(browser, erika, issue, mailed, junk):
    assert browser.open(mailed(issue(LinkKind.RECOVERY, erika)) + junk).heading == "Neues Passwort"


@on_sqlite
@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_scanners_may_look_as_often_as_they_like(app, browser, juergen, issue, mailed, kind):
    path = mailed(issue(kind, juergen, juergen.pending_email))
    with app.app_context():
        before = canary.dump()
    for _ in range(3):
        for method in ("HEAD", "GET", "OPTIONS"):
            scanner, onward = app.test_client(), method != "OPTIONS"
            answer = scanner.open(path, method=method, base_url=browser.site, follow_redirects=onward)
            assert answer.status_code == 200
    with app.app_context():
        assert canary.dump() == before
    assert browser.open(path).status == 200


@on_sqlite
def test_a_used_link_says_when_and_offers_no_other(browser, erika, issue, mailed, clock):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    browser.open(path).submit("Passwort speichern", NEW)
    clock.shift(60)
    browser.open(path)
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "am 23.11.2026, 14:05 Uhr benutzt" in browser.text
    assert RENEW not in browser.text


@on_sqlite
def test_an_expired_link_says_until_when_it_was_good_and_brings_another(browser, deeds, erika, issue, mailed, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.shift(timedelta(hours=3))
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Er galt bis 23.11.2026, 16:05 Uhr" in browser.text
    browser.press(RENEW)
    assert "Ein neuer Link ist unterwegs an dieselbe Adresse." in browser.text
    assert [mail.recipient for mail in deeds.mails("recovery_link")] == [erika.email] * 2
    browser.open(mailed(newest(deeds))).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"


@on_sqlite
def test_a_replaced_link_points_to_the_newer_mail(browser, deeds, erika, issue, mailed):
    old, _ = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, erika)
    browser.open(mailed(old))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Nehmen Sie bitte die neueste E-Mail." in browser.text
    browser.press(RENEW)
    assert len(deeds.mails("desk_link")) == 3


@on_sqlite
def test_a_withdrawn_link_shows_whom_to_call(browser, deeds, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    deeds.do(account_link.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK}, actor="clerk:1")
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "zurückgezogen" in browser.text
    assert RENEW not in browser.text


@on_sqlite
def test_a_link_is_renewed_three_times_and_then_one_calls(browser, deeds, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    for _ in range(3):
        clock.shift(timedelta(hours=73))
        browser.open(mailed(link)).press(RENEW)
        link = newest(deeds)
    clock.shift(timedelta(hours=73))
    assert RENEW not in browser.open(mailed(link)).text
    assert len(deeds.mails("desk_link")) == 4


@on_sqlite
def test_a_page_that_still_offers_a_fourth_gets_none(browser, deeds, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    with deeds.work() as work:
        work.session.get(AccountLink, link.id).renewals = 3
    browser.press(RENEW)
    assert "Heute können wir keinen weiteren Link senden." in browser.text
    assert len(deeds.mails("desk_link")) == 1


@on_sqlite
def test_a_fresh_link_from_an_old_page_takes_a_second_click(browser, deeds, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link)).stale().press(RENEW)
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert len(deeds.mails("desk_link")) == 1
    browser.press(RENEW)
    assert len(deeds.mails("desk_link")) == 2


@on_sqlite
def test_locked_meanwhile_she_is_told_instead_of_mailed(browser, deeds, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    with deeds.work("clerk:1") as work:
        work.session.get(Customer, erika.id).locked_at = work.now
    browser.press(RENEW)
    assert browser.status == 403
    assert "Ihr Konto ist gesperrt" in browser.text
    assert len(deeds.mails("desk_link")) == 1


@on_sqlite
@pytest.mark.parametrize(
    "text", ["x", "x" * 43, "x" * 5000, "%00", "..%2f..", "%F0%9F%98%80", "' OR 1=1 --", "{{7*7}}"]
)
def test_what_was_never_a_link_gets_one_neutral_page(browser, erika, issue, text):
    issue(LinkKind.RECOVERY, erika)
    browser.open(f"/link/{text}")
    assert (browser.status, browser.heading) == (404, LOST)


@on_sqlite
def test_a_links_number_opens_nothing(browser, app, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    browser.open(mailed(his))
    for page in ("", "/passwort", "/konto", "/roboter", "/raetsel", "/code", "/adresse", "/widerspruch", "/fertig"):
        assert browser.open(f"/konto-link/{hers.id}{page}").status == 404
    assert Browser(app).open(f"/konto-link/{his.id}").status == 404


@on_sqlite
@pytest.mark.parametrize("page", ["/konto", "/roboter", "/raetsel", "/code", "/adresse", "/widerspruch", "/fertig"])
def test_a_link_opens_the_pages_of_its_kind_only(browser, erika, issue, mailed, page):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link))
    assert browser.open(f"/konto-link/{link.id}{page}").status == 404


@on_sqlite
def test_the_robot_check_cannot_be_stepped_over(browser, deeds, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    browser.open(mailed(link))
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    data = {"csrf_token": token, "last_name": "Dieb", "new": cast.NEW_PASSWORD, "repeat": cast.NEW_PASSWORD}
    answer = browser.client.post(f"/konto-link/{link.id}/konto", data=data, base_url=browser.site)
    assert (answer.status_code, answer.location) == (303, f"/konto-link/{link.id}")
    assert browser.open(f"/konto-link/{link.id}/konto").path == f"/konto-link/{link.id}/roboter"
    assert deeds.read(erika).last_name == "Mustermann"
    assert deeds.read(link).ended_at is None


@on_sqlite
def test_the_robot_check_of_one_link_is_none_for_another(browser, deeds, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, max_)
    browser.open(mailed(his))
    browser.open(mailed(hers))
    pass_the_robot_check(browser, deeds, hers)
    assert browser.open(f"/konto-link/{his.id}/konto").path == f"/konto-link/{his.id}/roboter"


@on_sqlite
def test_two_tabs_with_two_links_never_mix(browser, app, deeds, erika, max_, issue, mailed):
    hers, his = issue(LinkKind.RECOVERY, erika), issue(LinkKind.RECOVERY, max_)
    other = tab(browser, app)
    browser.open(mailed(hers))
    other.open(mailed(his))
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, cast.OTHER_PASSWORD))
    assert (browser.heading, other.heading) == ("Fertig", "Fertig")
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)
    assert deeds.log_in(max_.email, cast.OTHER_PASSWORD)


@on_sqlite
def test_one_link_in_two_tabs_counts_once(browser, app, deeds, erika, issue, mailed):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    other = tab(browser, app)
    browser.open(path)
    other.open(path)
    browser.submit("Passwort speichern", NEW)
    other.submit("Passwort speichern", dict.fromkeys(NEW, cast.OTHER_PASSWORD))
    assert (other.status, other.heading) == (410, DEAD)
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)


def test_of_six_who_use_a_link_at_once_one_gets_in(app, browser, deeds, erika, issue, mailed):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    six = [Browser(app, browser.htmx).open(path) for _ in range(6)]
    meeting = threading.Barrier(6)

    def use(one):
        meeting.wait(20)
        return one.submit("Passwort speichern", NEW).heading

    with ThreadPoolExecutor(6) as threads:
        headings = sorted(threads.map(use, six))
    assert headings == [DEAD] * 5 + ["Fertig"]
    assert len(deeds.mails("password_set")) == 1


@on_sqlite
def test_where_somebody_else_is_logged_in_they_log_out_first(browser, deeds, erika, max_, issue, mailed):
    browser.log_in(max_).open(mailed(issue(LinkKind.RECOVERY, erika)))
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert "Max Mustermann" in browser.text
    assert erika.email not in browser.text
    browser.press("Abmelden und weiter")
    browser.submit("Passwort speichern", NEW)
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)
    assert deeds.log_in(max_.email, cast.password_of(max_))


@on_sqlite
def test_logged_in_meanwhile_as_somebody_else_nothing_is_set(browser, app, deeds, erika, max_, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    tab(browser, app).log_in(max_)
    browser.submit("Passwort speichern", NEW)
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD) is None


@on_sqlite
def test_where_she_is_logged_in_herself_the_link_just_works(browser, deeds, erika, issue, mailed):
    browser.log_in(erika).open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert browser.heading == "Fertig"
    assert browser.open("/einstellungen").heading == "Anmelden"


@on_sqlite
def test_a_link_ends_all_sessions_of_its_holder(browser, app, erika, issue, mailed):
    elsewhere = Browser(app).log_in(erika)
    browser.open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert elsewhere.open("/einstellungen").heading == "Anmelden"


@on_sqlite
def test_an_opened_link_rests_half_an_hour(browser, erika, issue, mailed, clock):
    path = mailed(issue(LinkKind.DESK, erika))
    browser.open(path)
    clock.shift(timedelta(minutes=29))
    assert browser.open(browser.path).heading == "Link zum Konto"
    clock.shift(timedelta(minutes=30))
    assert browser.open(browser.path).heading == LOST
    assert browser.open(path).heading == "Link zum Konto"


@on_sqlite
def test_an_opened_link_stays_open_two_hours_at_most(browser, erika, issue, mailed, clock):
    browser.open(mailed(issue(LinkKind.DESK, erika)))
    for _ in range(5):
        clock.shift(timedelta(minutes=20))
        assert browser.open(browser.path).heading == "Link zum Konto"
    clock.shift(timedelta(minutes=20))
    assert browser.open(browser.path).heading == LOST


@on_sqlite
def test_a_form_that_was_open_outlives_the_link(browser, deeds, erika, issue, mailed, clock):
    link = issue(LinkKind.RECOVERY, erika)
    clock.move_to(link.expires_at - timedelta(seconds=1))
    browser.open(mailed(link))
    clock.shift(timedelta(minutes=20))
    browser.submit("Passwort speichern", NEW)
    assert deeds.log_in(erika.email, cast.NEW_PASSWORD)


@on_sqlite
@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_every_link_can_be_left_without_harm(browser, deeds, juergen, issue, mailed, kind):
    path = mailed(issue(kind, juergen, juergen.pending_email))
    browser.open(path)
    there = browser.path
    browser.press("Abbrechen")
    assert browser.path == "/anmelden"
    assert "Sie haben abgebrochen. Nichts wurde geändert. Ihr Link gilt weiter." in browser.text
    assert browser.open(there).heading == LOST
    assert browser.open(path).status == 200


@on_sqlite
def test_leaving_from_an_old_page_takes_a_second_click(browser, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    there = browser.path
    browser.stale().press("Abbrechen")
    assert (browser.status, browser.heading) == (422, "Abbrechen")
    browser.press("Abbrechen")
    assert browser.path == "/anmelden"
    assert browser.open(there).heading == LOST


@on_sqlite
def test_the_office_can_stop_a_link_by_locking_the_account(browser, deeds, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    with deeds.work("clerk:1") as work:
        work.session.get(Customer, erika.id).locked_at = work.now
    browser.submit("Passwort speichern", NEW)
    assert browser.status == 403
    assert "Ihr Konto ist gesperrt" in browser.text
    assert deeds.read(erika).password_hash == erika.password_hash


@on_sqlite
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
def test_a_password_that_does_not_suit_is_never_shown(browser, deeds, erika, issue, mailed, new, repeat, said):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link)).submit("Passwort speichern", {"Passwort": new, "Wdh. Passwort": repeat})
    assert browser.status == 422
    assert said in browser.text
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert "kanarienvogel" not in browser.answer.text
    assert deeds.read(link).ended_at is None


@on_sqlite
def test_a_mistake_in_the_passwords_loses_none_of_the_data(browser, deeds, erika, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), deeds, link).follow("Konto bearbeiten")
    browser.submit("Registrieren", {"Schule": "GMS Neustadt", "Passwort": cast.NEW_PASSWORD, "Wdh. Passwort": "anders"})
    assert browser.status == 422
    assert browser.value("Schule") == "GMS Neustadt"
    browser.submit("Registrieren", NEW)
    assert deeds.read(erika).school == "GMS Neustadt"


@on_sqlite
@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION])
def test_every_step_from_an_old_page_works_at_the_second_click(browser, deeds, juergen, issue, mailed, kind):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    if kind is LinkKind.DESK:
        pass_the_robot_check(browser, deeds, link).follow("Konto bearbeiten").fill_in("Telefon", "07051 4711")
    button, fields = {
        LinkKind.RECOVERY: ("Passwort speichern", NEW),
        LinkKind.DESK: ("Registrieren", NEW),
        LinkKind.ADDRESS: ("Bestätigen", {}),
        LinkKind.OBJECTION: ("Das war ich nicht – Konto sperren", {}),
    }[kind]
    browser.stale().submit(button, fields)
    assert browser.status == 422
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.text
    assert cast.NEW_PASSWORD not in browser.answer.text
    assert deeds.read(link).ended_at is None
    assert kind is not LinkKind.DESK or browser.value("Telefon") == "07051 4711"
    browser.submit(button, fields)
    assert deeds.read(link).ended_as == LinkState.REDEEMED


@on_sqlite
def test_number_and_address_are_shown_and_cannot_be_changed_over_a_link(browser, deeds, erika, max_, issue, mailed):
    link = issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), deeds, link).follow("Konto bearbeiten")
    assert erika.number in browser.text
    assert erika.email in browser.text
    token = next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")
    smuggled = {
        "number": "K-0000", "email": "dieb@evil.example", "email_canonical": "dieb@evil.example", "id": str(max_.id),
        "customer_id": str(max_.id), "link_id": "1", "locked_at": "", "password_hash": "x",
        "pending_email": "dieb@evil.example", "imported": "{}", "kind": "address",
    }  # fmt: skip
    data = {"csrf_token": token, "last_name": "Neu", "new": cast.NEW_PASSWORD, "repeat": cast.NEW_PASSWORD, **smuggled}
    data["version"] = str(erika.version)
    browser.client.post(f"/konto-link/{link.id}/konto", data=data, base_url=browser.site)
    hers, his = deeds.read(erika), deeds.read(max_)
    assert (hers.last_name, hers.number, hers.email, hers.pending_email) == ("Neu", erika.number, erika.email, None)
    assert (his.last_name, his.password_hash) == (max_.last_name, max_.password_hash)


def test_an_address_that_somebody_else_has_by_now_is_not_taken_away(browser, deeds, juergen, erika, issue, mailed):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    pass_the_robot_check(browser.open(mailed(link)), deeds, link).follow("Konto bearbeiten")
    with deeds.work("console") as work:
        work.session.get(Customer, erika.id).move_to(juergen.pending_email)
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.status == 422
    assert "Diese Adresse gehört inzwischen zu einem anderen Konto." in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert deeds.read(link).ended_at is None


@on_sqlite
def test_a_dead_link_shows_nothing_of_the_account(browser, deeds, erika, issue, mailed, clock):
    link = issue(LinkKind.DESK, erika)
    clock.shift(timedelta(hours=73))
    browser.open(mailed(link))
    for fact in (erika.number, erika.email, erika.last_name, erika.school, erika.phone):
        assert fact not in browser.text


@on_sqlite
def test_old_cookies_do_not_bring_a_used_link_back(browser, app, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    there, kept = browser.path, browser.client.get_cookie(COOKIE, HOST).value
    browser.submit("Passwort speichern", NEW)
    thief = Browser(app)
    thief.client.set_cookie(COOKIE, kept, domain=HOST, secure=True)
    assert thief.open(there).heading == DEAD


@on_sqlite
def test_the_office_is_linked_from_the_end_and_no_login_elsewhere_is_promised(browser, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", NEW)
    assert re.findall(r'href="(https://[^"]+)"', browser.answer.text).count("https://kmz-calw.de") >= 1


@on_sqlite
def test_a_browser_remembers_five_links_and_forgets_the_oldest(browser, deeds, erika, issue, mailed):
    links = [issue(LinkKind.RECOVERY, erika) for _ in range(6)]
    for link in links:
        browser.open(mailed(link))
    assert browser.open(f"/konto-link/{links[0].id}").heading == LOST
    assert "Ihre Eingaben" not in browser.text and "Ihr Browser muss Cookies erlauben." in browser.text
    assert browser.open(f"/konto-link/{links[5].id}").heading == "Neues Passwort"


def test_what_was_typed_too_late_stands_there_when_the_link_is_opened_again(app, deeds, erika, issue, mailed, clock):
    browser, link = Browser(app), issue(LinkKind.DESK, erika)
    pass_the_robot_check(browser.open(mailed(link)), deeds, link).follow("Konto bearbeiten")
    clock.shift(timedelta(minutes=31))
    browser.submit("Registrieren", {"Telefon": "07051 4711", "Passwort": cast.NEW_PASSWORD})
    assert "Öffnen Sie bitte den Link in der E-Mail noch einmal." in browser.text
    assert "Dann stehen Ihre Eingaben wieder da." in browser.text
    pass_the_robot_check(browser.open(mailed(link)), deeds, link).follow("Konto bearbeiten")
    assert "Ihre Eingaben stehen wieder im Formular." in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert browser.value("Passwort") == ""
    assert deeds.read(erika).phone == erika.phone


@on_sqlite
def test_where_only_passwords_were_typed_nothing_is_promised_back(app, erika, issue, mailed, clock):
    browser = Browser(app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    clock.shift(timedelta(minutes=31))
    browser.submit("Passwort speichern", NEW)
    assert browser.heading == LOST and "Ihre Eingaben" not in browser.text


@on_sqlite
def test_what_is_too_long_to_keep_brings_nothing_older_back(app, deeds, erika, issue, mailed, clock):
    browser, link = Browser(app), issue(LinkKind.DESK, erika)
    form = pass_the_robot_check(browser.open(mailed(link)), deeds, link).follow("Konto bearbeiten").page
    clock.shift(timedelta(minutes=31))
    browser.submit("Registrieren", {"Telefon": "07051 4711"})
    browser.page = form
    browser.submit("Registrieren", {"Telefon": "07051 4712", "Schule": secrets.token_hex(3000)})
    assert browser.heading == LOST and "Ihre Eingaben" not in browser.text
