"""Links to the account: the steps of the hand-out, refused input, ended links, renewal, two tabs."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from kmzportal.mail.compose import subject_of
from kmzportal.models import AuditEvent, LinkKind, LinkState
from kmzportal.services import links, outbox
from tests import people, secret_scan
from tests.browser import SOURCE, Browser, by_id, words
from tests.people import NEW, NEW_PASSWORD, OTHER_PASSWORD

pytestmark = pytest.mark.usefixtures("clock")
LOST, DEAD = "Diesen Link können wir nicht öffnen", "Dieser Link gilt nicht mehr"
LOGGED_OUT = "Auf allen Geräten sind Sie abgemeldet."
RENEW, SAVE = "Neuen Link an dieselbe Adresse senden", "Passwort speichern"
POSTBOX = "Schauen Sie in Ihr Postfach"
OF_CUSTOMERS = [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS, LinkKind.OBJECTION]


@pytest.mark.with_and_without_htmx
def test_the_seven_steps_of_the_hand_out_with_its_labels(browser, backend, juergen, issue, mailed):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    browser.open(mailed(link)).check("Ich bin kein Roboter")
    if not browser.htmx:
        browser.press("Weiter")
    assert "Wählen Sie alle Bilder mit " in browser.text
    browser.follow("Code aus der E-Mail eingeben")
    browser.submit("Bestätigen", {"Code aus der E-Mail": backend.keys.code(link)})
    browser.follow("Konto bearbeiten")
    assert "Persönliche Daten" in map(words, browser.page.iter("h2"))
    assert browser.value("Nachname") == "Groß"
    assert juergen.number in browser.text and juergen.pending_email in browser.text
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert browser.heading == "Fertig" and LOGGED_OUT not in browser.text
    assert "https://kmz-calw.de" in [one.get("href") for one in browser.page.iter("a")]
    assert browser.follow("Zur Anmeldung").value("E-Mail-Adresse") == juergen.pending_email
    assert browser.submit("Anmelden", {"Passwort": NEW_PASSWORD}).heading == "Einstellungen"
    assert backend.read(juergen).phone == "07051 4711"


@pytest.mark.with_and_without_htmx
def test_each_page_of_the_way_names_its_step_and_success_has_a_panel(browser, backend, erika, link, mailed):
    def step():
        [bar] = browser.page.iter("progress")
        [heading] = browser.page.iter("h1")
        text = words(by_id(browser.page, heading.get("aria-describedby")))
        assert text == f"Schritt {bar.get('value')} von {bar.get('max')}"
        return heading.text, text, bool(browser.page.find_class("kmz-panel"))

    browser.open(mailed(link))
    ways = [step()]
    browser.check("Ich bin kein Roboter")
    ways.append((browser if browser.htmx else browser.press("Weiter")) and step())
    browser.follow("Code aus der E-Mail eingeben")
    ways.append(step())
    browser.submit("Bestätigen", {"Code aus der E-Mail": backend.keys.code(link)})
    ways.append(step())
    browser.follow("Konto bearbeiten")
    ways.append(step())
    browser.submit("Registrieren", NEW)
    ways.append(step())
    assert ways == [
        ("Link zum Konto", "Schritt 1 von 4", False),
        ("Bilderrätsel", "Schritt 1 von 4", False),
        ("Code aus der E-Mail", "Schritt 1 von 4", False),
        ("Bestätigt", "Schritt 2 von 4", True),
        ("Konto bearbeiten", "Schritt 3 von 4", False),
        ("Fertig", "Schritt 4 von 4", True),
    ]


def test_the_page_of_a_new_password_names_its_account(browser, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    assert f"für {erika.email}" in browser.text and not list(browser.page.iter("progress"))
    browser.submit(SAVE, NEW)
    assert browser.page.find_class("kmz-panel") and not list(browser.page.iter("progress"))


@pytest.mark.parametrize("button", [SAVE, RENEW])
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
    ("new", "repeat", "error"),
    [
        ("", "", "Geben Sie ein neues Passwort ein."),
        ("kurz", "kurz", "Das Passwort ist zu kurz."),
        (NEW_PASSWORD, OTHER_PASSWORD, "Die beiden Passwörter sind nicht gleich."),
    ],
)
def test_a_refused_password_is_not_shown_again_and_the_other_input_is_kept(
    browser, backend, erika, link, enter_code, new, repeat, error
):
    enter_code(browser, link)
    browser.submit("Registrieren", {"Schule": "GMS Neustadt", "Passwort": new, "Wdh. Passwort": repeat})
    assert (browser.status, error in browser.text) == (422, True)
    assert (browser.value("Passwort"), browser.value("Wdh. Passwort")) == ("", "")
    assert NEW_PASSWORD not in browser.answer.text and backend.read(link).ended_at is None
    browser.submit("Registrieren", NEW)
    assert backend.read(erika).school == "GMS Neustadt"


@pytest.mark.parametrize(
    ("kind", "button", "fields"),
    [
        (LinkKind.RECOVERY, SAVE, NEW),
        (LinkKind.DESK, "Registrieren", NEW),
        (LinkKind.ADDRESS, "Bestätigen", {}),
        (LinkKind.OBJECTION, "Das war ich nicht – Konto sperren", {}),
    ],
)
def test_a_stale_form_is_refused_with_its_input_and_works_the_second_time(
    browser, backend, juergen, issue, mailed, enter_code, kind, button, fields
):
    link = issue(kind, juergen, juergen.pending_email)
    browser.open(mailed(link))
    if kind is LinkKind.DESK:
        enter_code(browser, link).fill_in("Telefon", "07051 4711")
    browser.stale().submit(button, fields)
    assert (browser.status, "Senden Sie das Formular bitte noch einmal ab." in browser.text) == (422, True)
    assert NEW_PASSWORD not in browser.answer.text and backend.read(link).ended_at is None
    assert kind is not LinkKind.DESK or browser.value("Telefon") == "07051 4711"
    browser.submit(button, fields)
    assert backend.read(link).ended_as == LinkState.REDEEMED


def test_an_address_taken_by_another_customer_is_refused(browser, backend, juergen, erika, issue, enter_code):
    link = issue(LinkKind.DESK, juergen, juergen.pending_email)
    enter_code(browser, link)
    backend.run(lambda tx, customer: customer.set_email(juergen.pending_email), erika)
    browser.submit("Registrieren", {"Telefon": "07051 4711", **NEW})
    assert (browser.status, browser.value("Telefon")) == (422, "07051 4711")
    assert "Diese Adresse gehört inzwischen zu einem anderen Konto." in browser.text
    assert backend.read(link).ended_at is None


@pytest.mark.parametrize("kind", OF_CUSTOMERS)
def test_the_token_is_neither_in_the_address_bar_nor_in_page_or_cookie(app, backend, juergen, issue, mailed, kind):
    link, browser = issue(kind, juergen, juergen.pending_email), Browser(app)
    answer = browser.client.get(mailed(link), base_url=browser.site, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.location) == (303, f"/konto-link/{link.id}")
    assert (answer.headers["Referrer-Policy"], answer.headers["Cache-Control"]) == ("no-referrer", "no-store")
    browser.open(answer.location)
    for secret in (backend.keys.token(link), backend.keys.code(link), link.token_hash, link.nonce):
        assert not secret_scan.contains_secret(secret, repr(browser.session) + answer.text + browser.answer.text)


@pytest.mark.parametrize(
    "junk", [".", ">", ")", "%3E", "%3E.", "/", "?utm_source=mail", "%20", "*", "…", "%00", "%FF", "%0A", "%0D%0A"]
)
def test_characters_that_mail_programs_append_are_ignored(browser, erika, issue, mailed, junk):
    assert browser.open(mailed(issue(LinkKind.RECOVERY, erika)) + junk).heading == "Neues Passwort"


@pytest.mark.parametrize("kind", OF_CUSTOMERS)
def test_requests_of_mail_scanners_change_nothing(app, browser, juergen, issue, mailed, kind):
    path = mailed(issue(kind, juergen, juergen.pending_email))

    def dump():
        with app.app_context():
            return [row for row in secret_scan.dump().splitlines() if not row.startswith("link_visit ")]

    before = dump()
    for method in ("HEAD", "GET", "OPTIONS") * 2:
        scanner, onward = app.test_client(), method != "OPTIONS"
        assert scanner.open(path, method=method, base_url=browser.site, follow_redirects=onward).status_code == 200
    assert dump() == before
    assert browser.open(path).status == 200


def test_a_scanner_that_fills_in_and_sends_every_form_stops_at_the_robot_check(
    app, browser, backend, anneliese, issue, mailed, enter_code
):
    """It opens the link as a browser does, ticks all boxes and types the same into all fields, again and again."""
    link, scanner = issue(LinkKind.DESK, anneliese), Browser(app)
    for page in ("", "/raetsel", "/code", "/konto") * 6:
        scanner.open(mailed(link)).open(f"/konto-link/{link.id}{page}")
        for form in [form for form in scanner.page.forms if form.method == "POST"]:
            fields = {one.name: one.get("value") or "Scanner-Passwort-12" for one in form.iter("input") if one.name}
            for _ in range(2):
                scanner.client.post(form.action, data=fields, base_url=scanner.site)
    assert scanner.open(f"/konto-link/{link.id}/konto").status in (200, 404) and "Registrieren" not in scanner.text
    assert (backend.read(anneliese).password_hash, backend.read(link).ended_at) == (None, None)
    assert backend.read(link).code_tries == 0
    enter_code(browser, link)
    assert browser.submit("Registrieren", NEW).heading == "Fertig"


@pytest.mark.parametrize(
    "text", ["x", "x" * 43, "x" * 5000, "%00", "..%2f..", "%F0%9F%98%80", "' OR 1=1 --", "{{7*7}}"]
)
def test_an_invalid_token_gets_one_neutral_page(browser, text):
    browser.open(f"/link/{text}")
    assert (browser.status, browser.heading) == (404, LOST)


def test_a_used_link_shows_when_and_offers_no_renewal(browser, erika, issue, mailed, clock):
    path = mailed(issue(LinkKind.RECOVERY, erika))
    browser.open(path).submit(SAVE, NEW)
    clock.shift(60)
    browser.open(path)
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "am 23.11.2026, 14:05 Uhr benutzt" in browser.text and RENEW not in browser.text


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
    assert "Senden Sie das Formular bitte noch einmal ab." in browser.stale().press(RENEW).text
    assert browser.press(RENEW).heading == POSTBOX
    assert [mail.recipient for mail in backend.mails("recovery_link")] == [erika.email] * 2
    assert browser.open(mailed(newest_link())).submit(SAVE, NEW).heading == "Fertig"


def test_a_replaced_link_names_the_newer_mail_and_is_renewed_three_times_at_most(
    browser, backend, erika, issue, mailed
):
    old, _ = issue(LinkKind.DESK, erika), issue(LinkKind.DESK, erika)
    browser.open(mailed(old))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "Nehmen Sie bitte die neueste E-Mail." in browser.text
    browser.press(RENEW)
    assert len(backend.mails("desk_link")) == 3
    browser.open(mailed(old))
    backend.update(old, renewals=3)
    assert "Heute können wir keinen weiteren Link senden." in browser.press(RENEW).text
    assert RENEW not in browser.open(mailed(old)).text
    assert len(backend.mails("desk_link")) == 3


@pytest.mark.parametrize(
    ("kind", "subject", "until"),
    [
        (LinkKind.DESK, "Ihr Link zum Konto", "29.11.2026, 14:05 Uhr"),
        (LinkKind.RECOVERY, subject_of("recovery_link"), "26.11.2026, 16:05 Uhr"),
        (LinkKind.ADDRESS, "Bitte bestätigen Sie Ihre E-Mail-Adresse", "27.11.2026, 14:05 Uhr"),
    ],
)
def test_a_renewed_link_leads_to_a_page_that_names_the_mail(
    app, browser, backend, juergen, issue, mailed, clock, monkeypatch, kind, subject, until
):
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    link = issue(kind, juergen, juergen.pending_email)
    clock.shift(timedelta(days=3))
    for loop in outbox.MAIL_LOOPS:
        backend.run(outbox.record_heartbeat, loop)
    browser.open(mailed(link)).press(RENEW)
    assert browser.heading == POSTBOX and DEAD not in browser.text and RENEW not in browser.text
    assert "Ein neuer Link ist unterwegs an dieselbe Adresse." in browser.text
    for fact in ("Kreismedienzentrum Calw (support@kmz-cw.de)", f"{subject} – Kreismedienzentrum Calw", until):
        assert fact in browser.text
    assert juergen.pending_email not in browser.text and juergen.email not in browser.text


@pytest.mark.with_and_without_htmx
def test_of_a_renewed_link_a_second_one_is_sent_after_a_minute_and_the_page_stays(
    browser, backend, erika, link, mailed, newest_link, clock
):
    clock.shift(timedelta(days=4))
    browser.open(mailed(link)).press(RENEW)
    first = newest_link()
    clock.shift(20)
    assert "Wieder möglich in 40 Sekunden." in browser.open(browser.path).text
    browser.press("Noch einmal senden")
    assert "In einer Minute können Sie es noch einmal versuchen." in browser.text
    assert (browser.heading, newest_link().id) == (POSTBOX, first.id)
    clock.shift(40)
    assert "Wieder möglich" not in browser.open(browser.path).text
    assert browser.press("Noch einmal senden").heading == POSTBOX
    assert newest_link().id != first.id
    clock.shift(60)
    browser.press("Noch einmal senden")
    assert "Noch einmal senden" not in browser.text, "three times at most"
    assert len(backend.mails("desk_link")) == 4
    browser.open(mailed(newest_link()))
    backend.update(newest_link(), ended_at=people.NOW, ended_as=LinkState.WITHDRAWN)
    assert browser.open(f"/konto-link/{link.id}/neuer-link").heading == DEAD


@pytest.mark.parametrize(("change", "recorded"), [
    ({"ended_as": LinkState.WITHDRAWN, "ended_at": people.NOW}, []),
    ({"expires_at": people.NOW}, ["mail.capped"]),
])  # fmt: skip
def test_refused_renewals_do_not_fill_the_trail(browser, backend, erika, issue, mailed, change, recorded):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link))
    backend.update(link, **change)
    with backend.transaction("worker") as tx:
        for _ in range(10):
            tx.warn("password_changed", erika)
    before = len(backend.actions())
    for _ in range(5):
        answer = browser.post(f"/konto-link/{link.id}/erneuern")
        assert "Heute können wir keinen weiteren Link senden." in answer.text
    assert backend.actions()[before:] == recorded


def test_refused_renewals_of_a_locked_account_are_recorded_once(browser, backend, erika, issue, mailed):
    link = issue(LinkKind.RECOVERY, erika)
    browser.open(mailed(link))
    backend.update(link, expires_at=people.NOW)
    backend.update(erika, locked_at=people.NOW)
    for _ in range(5):
        browser.post(f"/konto-link/{link.id}/erneuern")
    assert backend.actions().count("link.refused") == 1


def test_a_withdrawn_link_offers_no_renewal(browser, backend, erika, link, mailed):
    backend.run(links.end, erika, LinkState.WITHDRAWN, {LinkKind.DESK}, actor="clerk:1")
    browser.open(mailed(link))
    assert (browser.status, browser.heading) == (410, DEAD)
    assert "zurückgezogen" in browser.text and RENEW not in browser.text


def tab(browser, app):
    """Another tab of the same browser."""
    other = Browser(app)
    other.client = browser.client
    return other


def test_two_links_in_two_tabs_stay_apart(browser, app, backend, erika, max_, issue, mailed):
    other = tab(browser, app)
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    other.open(mailed(issue(LinkKind.RECOVERY, max_)))
    browser.submit(SAVE, NEW)
    other.submit(SAVE, dict.fromkeys(NEW, OTHER_PASSWORD))
    assert (browser.heading, other.heading) == ("Fertig", "Fertig")
    assert backend.log_in(erika.email, NEW_PASSWORD) and backend.log_in(max_.email, OTHER_PASSWORD)


def test_one_link_in_two_tabs_works_once(browser, app, backend, erika, issue, mailed):
    path, other = mailed(issue(LinkKind.RECOVERY, erika)), tab(browser, app)
    browser.open(path)
    other.open(path)
    browser.submit(SAVE, NEW)
    other.submit(SAVE, dict.fromkeys(NEW, OTHER_PASSWORD))
    assert (other.status, other.heading) == (410, DEAD)
    assert backend.log_in(erika.email, NEW_PASSWORD)


def test_another_customer_who_is_logged_in_has_to_log_out_first(browser, app, backend, erika, max_, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    tab(browser, app).log_in(max_)
    browser.submit(SAVE, NEW)
    assert browser.heading == "Jemand anderes ist angemeldet"
    assert "Max Mustermann" in browser.text and erika.email not in browser.text
    assert backend.log_in(erika.email, NEW_PASSWORD) is None
    browser.press("Abmelden und weiter").submit(SAVE, NEW)
    assert backend.log_in(erika.email, NEW_PASSWORD)
    assert backend.log_in(max_.email, people.password_of(max_))


def test_the_customer_who_is_logged_in_uses_the_link_and_is_logged_out(browser, erika, issue, mailed):
    browser.log_in(erika).open(mailed(issue(LinkKind.RECOVERY, erika))).submit(SAVE, NEW)
    assert browser.heading == "Fertig" and LOGGED_OUT in browser.text
    assert browser.open("/einstellungen").heading == "Anmelden"


@pytest.mark.parametrize("first", ["the link", "the login"])
def test_a_copied_cookie_of_a_session_opens_no_link_that_sets_the_password(browser, app, erika, issue, mailed, first):
    """The session alone asks for the current password."""
    link = issue(LinkKind.RECOVERY, erika)
    steps = [lambda: browser.open(mailed(link)), lambda: browser.log_in(erika)]
    copies = []
    for step in steps if first == "the link" else reversed(steps):
        step()
        copies.append(browser.cookie)
    if first == "the login":
        assert "Sie sind abgemeldet. Mit diesem Link geht es ohne Anmeldung weiter." in browser.text
    both = []
    for copy in copies:
        thief = Browser(app).open("/anmelden")
        thief.cookie = copy
        inside = thief.open("/einstellungen").path == "/einstellungen"
        both.append((inside, thief.open(f"/konto-link/{link.id}/passwort").status == 200))
    assert (True, True) not in both
    assert browser.open(mailed(link)).submit(SAVE, NEW).heading == "Fertig", "the link in the mail stays valid"


@pytest.mark.parametrize("idle", [20, 90])
@pytest.mark.parametrize("kind", [LinkKind.RECOVERY, LinkKind.DESK, LinkKind.OBJECTION])
@pytest.mark.parametrize("who", ["erika", "max_"])
def test_a_link_opens_whoever_is_logged_in_and_however_long_ago_the_last_request_was(
    request, browser, erika, issue, mailed, clock, who, kind, idle
):
    browser.log_in(request.getfixturevalue(who))
    clock.shift(idle)
    browser.open(mailed(issue(kind, erika)))
    assert browser.status == 200
    assert (browser.heading == "Jemand anderes ist angemeldet") is (who == "max_")


def test_what_was_typed_in_another_tab_comes_back_after_the_own_link_ended_the_session(
    browser, app, erika, issue, mailed
):
    browser.log_in(erika).open("/einstellungen/konto")
    browser.submit("Weiter", {"Aktuelles Passwort": people.password_of(erika)})
    other = tab(browser, app).open(mailed(issue(LinkKind.RECOVERY, erika)))
    browser.submit("Speichern", {"Straße": "Neue Straße 7"})
    assert browser.heading == "Anmelden"
    assert other.submit(SAVE, NEW).heading == "Fertig"
    browser.log_in(erika, NEW_PASSWORD).open("/einstellungen/konto")
    assert browser.value("Straße") == "Neue Straße 7"


def test_the_history_names_who_ended_the_session_by_opening_the_own_link(browser, backend, erika, issue, mailed):
    browser.log_in(erika).open(mailed(issue(LinkKind.RECOVERY, erika)))
    [event] = backend.read(select(AuditEvent).where(AuditEvent.action == "logout"))
    assert (event.actor, event.source) == (f"customer:{erika.id}", SOURCE)


def test_who_knows_the_password_ends_no_opened_link_of_the_owner(browser, app, erika, issue, mailed):
    """Otherwise she could neither object nor set a new password for as long as he goes on."""
    thief = Browser(app).log_in(erika)
    browser.open(mailed(issue(LinkKind.RECOVERY, erika)))
    Browser(app).log_in(erika)
    thief.open("/einstellungen/geraete").press("Alle anderen Geräte abmelden")
    assert browser.submit(SAVE, NEW).heading == "Fertig"


def test_all_errors_of_a_new_password_come_at_once(browser, erika, issue, mailed):
    browser.open(mailed(issue(LinkKind.RECOVERY, erika))).submit("Passwort speichern", {"Passwort": "kurz"})
    assert browser.status == 422 and "Das Passwort ist zu kurz." in browser.text
    assert "Geben Sie das neue Passwort noch einmal ein." in browser.text
