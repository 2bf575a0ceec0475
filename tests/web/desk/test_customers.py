"""Kunden at the desk: the search, the screen of a customer, address, links, data, lock."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from kmzportal.models import (
    Clerk,
    ClerkDay,
    Customer,
    CustomerAccess,
    LinkKind,
    LinkState,
    LoginSession,
    RecoveryRequest,
)
from kmzportal.services import accounts, audit, devices, outbox, sessions, support
from kmzportal.services import desk as desk_service
from kmzportal.services.passwords import hash_password
from tests import answers, people
from tests.browser import HTMX, Browser, button, by_id, field, form_of, parse, words
from tests.people import NEW_PASSWORD, NOW
from tests.states import session_token

pytestmark = pytest.mark.usefixtures("clock")
NEW = "erika@neue-schule.example"
CORRECT = "Adresse berichtigen und Link senden"
CHECK = "Wie haben Sie die Person geprüft?"
HOSTILE = '<img src=x onerror=alert(1)> {{ 7*7 }} " hx-get="/x'


def test_the_desk_starts_with_the_search_whose_hits_show_school_address_and_last_login(desk, backend, erika, max_):
    backend.add(people.person({**people.ERIKA, "number": "K-9", "email": "e@x.example", "school": "Kita Regenbogen"}))
    desk.open("/kundenservice")
    assert (desk.path, desk.heading) == ("/kundenservice/kunden", "Kunden")
    desk.submit("Suchen", {"Kunden suchen": "muster erika"})
    assert "2 Treffer" in desk.text and "GMS Musterstadt" in desk.text and "Kita Regenbogen" in desk.text
    assert erika.email in desk.text and "e@x.example" in desk.text
    assert desk.submit("Suchen", {"Kunden suchen": "max"}).follow("Mustermann, Max").heading == "Max Mustermann"


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("mu", "Geben Sie mindestens drei Zeichen ein."),
        ("niemand", "Keine Treffer."),
        ("mustremann", "Kein genauer Treffer. Ähnlich: 1 Treffer."),
    ],
)
def test_the_search_describes_its_result(desk, erika, query, result):
    desk.open("/kundenservice/kunden").submit("Suchen", {"Kunden suchen": query})
    assert (result in desk.text, desk.value("Kunden suchen")) == (True, query)


def test_the_screen_shows_that_a_mail_to_the_address_came_back(desk, backend, erika):
    mail = backend.run(lambda tx, one: tx.send("password_changed", one), erika)
    backend.run(outbox.mark_bounced, mail, 550, "Adresse unbekannt")
    desk.open(f"/kundenservice/kunden/{erika.id}")
    failed = "Letzte E-Mail zurückgekommen: Adresse unbekannt (550), 14:05 Uhr"
    assert f"{failed} Link an die hinterlegte Adresse An {erika.email} {failed}. Der Link kommt wahrs" in desk.text


def test_a_refused_mail_is_shown_at_the_address_until_a_later_one_was_delivered(desk, backend, erika):
    """Postausgang alone showed it: the desk sent a link, and was told that it was on its way."""
    for answer, shown in ((answers.UNKNOWN, True), (answers.TAKEN, False)):
        mail = backend.run(lambda tx, one: tx.send("password_changed", one), erika)
        backend.update(mail, state=answer.state, settled_at=NOW, reply_code=answer.code, reason=answer.reason)
        acts = words(by_id(desk.open(f"/kundenservice/kunden/{erika.id}").page, "acts"))
        assert ("Letzte E-Mail abgelehnt: Adresse unbekannt (550), 14:05 Uhr" in acts) == shown


def state(desk, person):
    """The line below the name."""
    page = desk.open(f"/kundenservice/kunden/{person.id}").page
    return words(next(one for one in page.iter("ul") if one.get("aria-label") == "Stand des Kontos"))


def test_the_page_begins_with_the_state_of_the_account(desk, backend, clock, erika, juergen):
    backend.run(devices.remember, erika, "Firefox")
    assert state(desk, erika) == "Noch keine Anmeldung bekannt", "to set a password by a link is no login"
    backend.log_in(erika.email, people.password_of(erika))
    assert state(desk, erika) == "Letzte Anmeldung: 14:05 Uhr"
    for _ in range(7):
        backend.log_in(erika.email, "falsches passwort")
    assert "Anmeldung gebremst, frei ab 14:06 Uhr" in state(desk, erika)
    clock.shift(timedelta(minutes=2))
    assert "gebremst" not in state(desk, erika)
    assert f"Wartet auf Bestätigung: {juergen.pending_email}" in state(desk, juergen)


@pytest.mark.parametrize("by", ["customer", "clerk"])
def test_a_telephone_number_that_was_lately_changed_proves_nobody(desk, backend, erika, prove, by):
    """An intruder changes it, or has a clerk enter it, before he asks for a new address: a call back reaches him."""
    page, warning = f"/kundenservice/kunden/{erika.id}", "Prüfen Sie die Person nicht damit"
    assert warning not in desk.open(page).text
    backend.run(accounts.change_data, erika, {"phone": "07051 666"}, actor=f"{by}:{erika.id}")
    for _ in range(60):
        backend.run(lambda tx, one: tx.record("data.changed", one, fields=["salutation"]), erika)
    assert warning in desk.open(page).text, "later changes hide it not"
    prove()
    assert warning in desk.open(f"{page}/zugangsbrief").text


def test_a_password_that_is_disabled_by_failures_is_shown_as_such(desk, backend, erika, monkeypatch, app):
    monkeypatch.setitem(app.config, "THROTTLE_DISABLED_AT", 1)
    backend.log_in(erika.email, "falsches passwort")
    assert "Passwort gilt nicht mehr, zu viele Fehlversuche: Nur ein Link hilft" in state(desk, erika)


def test_the_state_names_who_locked_the_account_and_why(desk, backend, screen, erika, issue, max_, mailed, app):
    screen.submit("Konto sperren", {"Grund": "Gerät gestohlen"})
    assert "Gesperrt von Kundenservice (ro): Gerät gestohlen" in state(desk, erika)
    Browser(app).open(mailed(issue(LinkKind.OBJECTION, max_))).press("Das war ich nicht – Konto sperren")
    assert "Gesperrt: „Das war ich nicht“ gemeldet" in state(desk, max_)


def test_the_state_shows_what_was_probably_typed_by_this_customer_under_passwort_vergessen(desk, backend, erika):
    typed = (erika.email, "erika.mustermann@alte-schule.example", "erika@alte-schule.example")
    for number, email in enumerate(typed):
        outcome = "unknown" if number else "sent"
        row = {"reference": f"V-{number}", "requested_at": NOW, "answered_at": NOW, "outcome": outcome}
        backend.add(RecoveryRequest(email_canonical=email, **row))
    shown = state(desk, erika)
    assert f"Unter „Passwort vergessen“ eingegeben: {erika.email}, 14:05 Uhr" in shown
    assert "eingegeben: erika.mustermann@alte-schule.example (unbekannt), 14:05 Uhr" in shown
    assert "erika@alte-schule.example" not in shown


def test_the_acts_come_first_and_the_previews_are_closed(screen):
    text = screen.text
    order = ("Letzte Anmeldung" if "Letzte Anmeldung" in text else "Noch keine", "Anlass", "Neue E-Mail", "Anschrift")
    assert sorted(order, key=text.index) == list(order)
    letters = [one for one in screen.page.iter("details") if one.get("class") == "kmz-letter"]
    assert [one.get("open") for one in letters] == [None] * 3
    paragraphs = [words(one) for one in letters[0].iter("p")]
    assert "Guten Tag Frau Mustermann," in paragraphs and "Bearbeiter: ro" in " ".join(paragraphs[-3:])


def test_the_screen_shows_data_links_and_logins(desk, backend, juergen, issue):
    issue(LinkKind.DESK, juergen, juergen.pending_email)
    backend.log_in(juergen.email, "falsches passwort")
    text = desk.open(f"/kundenservice/kunden/{juergen.id}").text
    shown = (juergen.number, juergen.email, juergen.pending_email, juergen.school, "Anmeldung abgelehnt", "gilt bis")
    assert [one for one in shown if one not in text] == []


def test_who_opens_the_page_is_recorded_once_a_day_and_shown_to_the_customer(desk, backend, clock, erika, rosa):
    for minutes in (0, 10, 14 * 60):
        clock.shift(timedelta(minutes=minutes))
        if desk.open(f"/kundenservice/kunden/{erika.id}").path == "/kundenservice/anmelden":  # the session is over
            with backend.transaction() as tx:
                tx.session.add(CustomerAccess(customer_id=erika.id, clerk_id=rosa.id, day=date(2026, 11, 24)))
    assert [one.day for one in backend.read(select(CustomerAccess))] == [date(2026, 11, 23), date(2026, 11, 24)]
    with backend.transaction() as tx:
        data = audit.all_data(tx.session, tx.session.get(Customer, erika.id))
    seen = [{"Tag": f"{day}.11.2026", "Von": "Kundenservice (ro)"} for day in (24, 23)]
    assert data["Vom Kundenservice angesehen"] == seen


@pytest.mark.parametrize("page", ["", "/vorschau", "/zugangsbrief"])
def test_whose_case_is_shown_on_the_page_of_another_customer_was_seen_as_well(desk, backend, prove, erika, max_, page):
    """Otherwise a stolen session reads all requests one after the other, and one customer counts as seen."""
    prove()
    case = backend.run(lambda tx, one: support.open_case(tx, "other", "mail", one.email, "Geheim", customer=one), erika)
    assert "Geheim" in desk.open(f"/kundenservice/kunden/{max_.id}{page}?anfrage={case.id}").text
    seen = {one.customer_id for one in backend.read(select(CustomerAccess))}
    assert seen == {erika.id, max_.id}


def test_a_link_is_sent_from_a_page_that_was_opened_the_day_before(desk, backend, clock, erika):
    """The customer of the case is recorded as seen when a page is shown, not within the act."""
    clock.move_to(NOW.replace(hour=22, minute=59))  # in Berlin it is 23:59
    case = backend.run(lambda tx, one: support.open_case(tx, "other", "mail", one.email, "Hilfe", customer=one), erika)
    desk.open("/kundenservice/anmelden").come_in(session_token(backend, backend.read(select(Clerk))[0]))
    desk.open(f"/kundenservice/kunden/{erika.id}?anfrage={case.id}")
    clock.shift(timedelta(minutes=2))
    desk.press("Link senden")
    assert [link.kind for link in backend.links()] == [LinkKind.DESK] and len(backend.mails("desk_link")) == 1


@pytest.mark.parametrize("path", ["/9999", "/2147483648", "/0", "/1e3", "/9999/daten", "/9999/vorschau"])
def test_an_unknown_customer_is_not_found(desk, path):
    assert desk.open(f"/kundenservice/kunden{path}").status == 404


# Address


def test_a_corrected_address_is_sent_the_mail_that_the_preview_showed(backend, erika, screen, newest_link):
    shown = ("/link/••••••••", "Code aus der E-Mail: ••••-••••", "Guten Tag Frau Mustermann,", "Bearbeiter: ro")
    assert [one for one in shown if one not in screen.text] == []
    fields = {"Neue E-Mail-Adresse": f" Erika <{NEW}> ", "Anmerkung zur Prüfung": HOSTILE}
    screen.check("Sonstiges").submit(CORRECT, fields)
    assert f"Der Link zum Konto ist unterwegs an {NEW}. Die alte Adresse wird benachrichtigt." in screen.text
    assert f"Sonstiges – {HOSTILE}" in screen.text
    assert backend.read(erika).pending_email == NEW
    assert [mail.recipient for mail in backend.mails()] == [NEW, erika.email]
    token, code = backend.keys.token(newest_link()), backend.keys.code(newest_link())
    text = screen.open(f"/kundenservice/kunden/{erika.id}").answer.text
    assert [secret for secret in (token, code, code.replace("-", "")) if secret in text] == []


@pytest.mark.parametrize(
    ("email", "check", "error"),
    [
        (NEW, None, "Wählen Sie aus, wie Sie die Person geprüft haben."),
        ("kein", "Rückruf", "Das ist keine vollständige E-Mail-Adresse."),
        ("käthe@gs.example", "Rückruf", "Vor dem @ steht „ä“. Dort sind keine Umlaute möglich"),
        ("", "Rückruf", "Geben Sie die neue E-Mail-Adresse ein."),
        (NEW, "Sonstiges", "Schreiben Sie bei „Sonstiges“ dazu"),
        (people.ERIKA["email"], "Rückruf", "Diese Adresse gilt schon."),
    ],
)
def test_a_refused_correction_names_the_error_and_sends_nothing(backend, screen, email, check, error):
    if check:
        screen.check(check)
    screen.submit(CORRECT, {"Neue E-Mail-Adresse": email})
    assert (screen.status, error in screen.text, screen.value("Neue E-Mail-Adresse")) == (422, True, email)
    assert backend.mails() == []


def test_a_check_that_the_form_does_not_offer_is_refused(backend, erika, screen):
    path = f"/kundenservice/kunden/{erika.id}/adresse"
    assert screen.post(path, email=NEW, check="geglaubt", version=str(erika.version)).status_code == 422
    assert backend.mails() == []


def test_the_address_of_another_customer_links_to_that_customer(backend, screen, max_):
    screen.check("Persönlich").submit(CORRECT, {"Neue E-Mail-Adresse": max_.email})
    assert screen.status == 422
    owner = f"Max Mustermann, {max_.number}"
    assert words(by_id(screen.page, "email-error")) == f"Diese Adresse gehört schon zu {owner}."
    assert screen.follow(owner).heading == "Max Mustermann"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("erika@gmx.ed", "Meinten Sie erika@gmx.de?"),
        ("erika@web.de", "Eine Adresse bei diesem Anbieter kann jeder anlegen"),
        (people.MAX["email"], "Diese Adresse gehört schon zu Max Mustermann, K-1002."),
        (NEW, "Diese Domain kennen wir von der Schule noch nicht."),
    ],
)
def test_hints_appear_while_the_address_is_typed(desk, erika, max_, typed, hint):
    path = f"/kundenservice/kunden/{erika.id}/vorschau?email={typed}"
    answer = desk.client.get(path, base_url=desk.site, headers=HTMX)
    assert hint in words(parse(answer.text))
    for page in (path, f"/kundenservice/kunden/{erika.id}?neue-adresse={typed}"):
        region = by_id(desk.open(page).page, "hints")
        assert (hint in words(region), region.get("role")) == (True, "status")
        before, after = desk.text.split(hint)
        assert "Neue E-Mail-Adresse" in before and CHECK in after, "between the address and the check"


def test_the_hints_say_when_the_number_is_not_enough_as_someone_can_object(backend, screen, erika):
    backend.update(erika, imported={"school": erika.school, "email": erika.email})
    backend.run(accounts.request_address_change, erika, NEW)
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    screen.open(f"{screen.path}?neue-adresse=erika@{erika.email.partition('@')[2]}")
    assert "Gegen eine Änderung der Adresse hat jemand" in words(by_id(screen.page, "hints"))


@pytest.mark.parametrize(
    ("email", "school", "status"),
    [
        ("erika@gmx.de", "GMS Musterstadt", 422),
        ("erika@magenta.de", "GMS Nachbarstadt", 422),
        ("e.m@gms-nachbar.example", "GMS Musterstadt", 422),
        ("e.m@gms-nachbar.example", "GMS Nachbarstadt", 200),
    ],
)
def test_the_kundennummer_alone_counts_only_for_a_domain_that_is_known_for_the_school(
    backend, screen, erika, max_, email, school, status
):
    """A stranger may know the number, but hardly has a mailbox at the school."""
    known = "max@magenta.de" if email.endswith("magenta.de") else "max@gms-nachbar.example"
    imported = {"school": "GMS Nachbarstadt", "email": known}
    backend.update(max_, email=known, email_canonical=known, school="GMS Nachbarstadt", imported=imported)
    backend.update(erika, school=school, imported={"school": school})
    screen.open(screen.path).check("Kundennummer genannt").submit(CORRECT, {"Neue E-Mail-Adresse": email})
    assert screen.status == status
    if status == 200:
        assert backend.read(erika).pending_email == email
        return
    assert "Bei dieser Adresse genügt die Kundennummer allein nicht." in words(by_id(screen.page, "check-error"))
    assert (backend.read(erika).pending_email, backend.mails()) == (None, [])
    assert screen.check("Rückruf").press(CORRECT).status == 200


@pytest.mark.parametrize(
    "imported", [{"school": "GMS Nachbarstadt"}, {}, {"school": "GMS", "email": "max@gms.example"}]
)
def test_a_customer_alone_cannot_make_a_domain_known_by_changing_school_or_address(
    backend, screen, erika, max_, anneliese, imported
):
    """Imported, created at the desk, or a real colleague who moved to a domain of his own; two colleagues can."""
    backend.update(erika, school="GMS", imported={"school": "GMS"})
    moved = {"email": "max@dieb.example", "email_canonical": "max@dieb.example"}
    backend.update(max_, school="GMS", imported=imported, **moved)
    screen.open(screen.path).check("Kundennummer genannt").submit(
        CORRECT, {"Neue E-Mail-Adresse": "erika@dieb.example"}
    )
    assert (screen.status, backend.mails()) == (422, [])
    moved = {"email": "a@dieb.example", "email_canonical": "a@dieb.example"}
    backend.update(anneliese, school="GMS", imported={"school": "GMS"}, **moved)
    status = screen.check("Kundennummer genannt").press(CORRECT).status
    assert status == (200 if "email" in imported else 422)


def test_after_a_correction_the_page_shows_what_waits_and_what_to_say_instead_of_the_filled_form(
    backend, screen, erika
):
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert f"Wartet auf Bestätigung durch {NEW} · gilt bis Donnerstag, 14:05 Uhr" in screen.text
    say = (
        "Sagen Sie: Betreff „Ihr Link zum Konto – Kreismedienzentrum Calw“, Absender Kreismedienzentrum Calw (support@"
    )
    assert say in screen.text and "gilt bis Donnerstag, 14:05 Uhr. Auch im Spam-Ordner nachsehen." in screen.text
    assert screen.text.index(say) < screen.text.index("wird damit verworfen"), "before the button that drops it"
    assert screen.value("Neue E-Mail-Adresse") == ""
    folded = next(one for one in field(screen.page, "Neue E-Mail-Adresse").iterancestors("details"))
    assert (words(next(folded.iter("summary"))), folded.get("open")) == ("Andere Adresse eintragen", None)
    screen.press("Erneut senden")
    assert f"Der Link ist noch einmal unterwegs an {NEW}." in screen.text
    screen.press("Zurückziehen")
    assert "Die unbestätigte Adresse ist verworfen." in screen.text
    assert (backend.read(erika).pending_email, backend.links(LinkKind.DESK)[-1].ended_as) == (None, "withdrawn")


def test_the_state_of_the_sent_mail_is_polled(desk, backend, erika, screen):
    screen.press("Link senden")
    mail = backend.mails("desk_link")[0]
    polled = by_id(screen.page, "sent-mail")
    assert (words(polled), polled.get("hx-trigger")) == ("E-Mail: wartet", "every 3s")
    for answer, shown in (
        (answers.TAKEN, "E-Mail: an den Mailserver übergeben 14:05"),
        (answers.UNKNOWN, "E-Mail: abgelehnt: Adresse unbekannt (550)"),
    ):
        backend.update(
            backend.read(mail), state=answer.state, settled_at=NOW, reply_code=answer.code, reason=answer.reason
        )
        got = desk.client.get(polled.get("hx-get"), base_url=desk.site, headers=HTMX)
        assert words(parse(got.text)) == shown
    assert desk.open(polled.get("hx-get")).heading == erika.name


def test_an_address_with_a_typing_error_is_accepted_with_a_hint(backend, screen):
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "erika@gmial.com"})
    assert "Meinten Sie erika@gmail.com?" in screen.text
    assert backend.mails("desk_link")[0].recipient == "erika@gmial.com"


def test_a_correction_after_another_change_is_refused_once_and_keeps_the_input(backend, erika, screen):
    backend.update(erika, phone="07051 999")
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert "Jemand anderes hat diese Daten inzwischen geändert" in screen.text
    assert (screen.value("Neue E-Mail-Adresse"), backend.mails()) == (NEW, [])
    screen.press(CORRECT)
    assert backend.read(erika).pending_email == NEW


# Links


def test_a_link_is_sent_sent_again_and_withdrawn(browser, backend, erika, screen, newest_link):
    waits = "Der Mailversand ist gerade gestört: Die E-Mail wartet im Postausgang."
    screen.press("Link senden")
    assert f"Der Link zum Konto ist unterwegs an {erika.email}. {waits}" in screen.text
    screen.press("Erneut senden")
    assert f"Der Link ist noch einmal unterwegs an {erika.email}. {waits}" in screen.text
    screen.press("Zurückziehen")
    assert "ist zurückgezogen und gilt nicht mehr." in screen.text and waits not in screen.text
    answer = screen.post(f"/kundenservice/kunden/{erika.id}/links/{newest_link().id}/erneut")
    assert (answer.status_code, "Dieser Link gilt nicht mehr. Senden Sie einen neuen." in answer.text) == (422, True)
    assert len(backend.mails("desk_link")) == 2
    history = browser.press("Abmelden").log_in(erika).open("/einstellungen/verlauf").text
    assert (
        "Link zum Konto: gesendet, erneut gesendet, zurückgezogen Anruf" in history and "Kundenservice (ro)" in history
    )


def test_a_link_says_before_what_it_ends_and_the_notice_names_it_after(backend, clock, erika, screen):
    assert "Noch einmal?" not in screen.text
    screen.press("Link senden")
    clock.shift(timedelta(seconds=70))
    assert "Gesendet vor 1 Minute. Noch einmal?" in screen.open(f"/kundenservice/kunden/{erika.id}").text
    screen.press("Link senden")
    assert "Der Link von 14:05 Uhr gilt nicht mehr." in screen.text
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert f"Die Berichtigung auf {NEW} wird damit verworfen." in screen.text
    screen.press("Link senden")
    assert (
        f"Der Link zum Konto ist unterwegs an {erika.email}. Die Berichtigung auf {NEW} ist verworfen." in screen.text
    )
    assert backend.read(erika).pending_email is None


def test_a_double_click_sends_one_link(backend, erika, screen):
    page = screen.page
    screen.press("Link senden")
    screen.page = page
    screen.press("Link senden")
    assert screen.status == 200
    assert f"Der Link zum Konto ist schon unterwegs an {erika.email}, seit 14:05 Uhr." in screen.text
    assert len(backend.mails("desk_link")) == len(backend.links(LinkKind.DESK)) == 1


@pytest.mark.parametrize("withdrawn", [False, True])
def test_a_link_is_sent_where_the_page_is_old_and_none_is_open(backend, erika, screen, withdrawn):
    """The newest link of the page may have been deleted since, and the next one withdrawn by a colleague."""
    by_id(screen.page, "seen_link").set("value", "4711")
    if withdrawn:
        backend.update(backend.issue(LinkKind.DESK, erika), ended_at=NOW, ended_as=LinkState.WITHDRAWN)
    screen.press("Link senden")
    assert f"Der Link zum Konto ist unterwegs an {erika.email}." in screen.text
    assert len(backend.mails("desk_link")) == 1 + withdrawn


def test_a_double_click_corrects_an_address_once(backend, screen):
    page = screen.check("Rückruf").page
    screen.submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    screen.page = page
    screen.press(CORRECT)
    assert screen.status == 200 and f"Der Link zum Konto ist schon unterwegs an {NEW}." in screen.text
    assert len(backend.mails("desk_link")) == 1


@pytest.mark.parametrize("action", ["erneut", "zurueckziehen"])
def test_a_link_of_another_customer_is_not_found(backend, erika, max_, issue, screen, action):
    link = issue(LinkKind.DESK, max_)
    assert screen.post(f"/kundenservice/kunden/{erika.id}/links/{link.id}/{action}").status_code == 404
    assert backend.read(link).ended_at is None


# Data and lock


def test_a_clerk_corrects_data(backend, erika, screen):
    screen.follow("Daten berichtigen").submit("Speichern", {"Telefon": "07051 4711", "Schule": "Kita Sonne"})
    assert screen.heading == "Erika Mustermann"
    assert "Die Daten sind gespeichert." in screen.text and "Daten geändert Schule, Telefon" in screen.text
    assert (backend.read(erika).phone, backend.read(erika).school) == ("07051 4711", "Kita Sonne")


def test_who_saves_second_sees_the_other_change_and_keeps_the_input(app, backend, erika, screen, adjust):
    """A clerk and a customer alike."""
    customer = adjust(Browser(app), erika)
    screen.follow("Daten berichtigen")
    backend.update(erika, school="Gymnasium Musterstadt")
    for browser in (customer, screen):
        browser.submit("Speichern", {"Telefon": "07051 4711"})
        assert (browser.status, browser.value("Telefon")) == (422, "07051 4711")
        assert "Schule „Gymnasium Musterstadt“" in browser.text
    assert backend.read(erika).phone == erika.phone


def test_a_new_customer_is_added_and_sent_a_link(backend, desk):
    desk.open("/kundenservice/kunden").follow("Konto anlegen")
    desk.submit("Konto anlegen", {"Kundennummer": "K-2001", "E-Mail-Adresse": "neu@schule.example", "Nachname": "Neu"})
    assert desk.heading == "Neu"
    desk.press("Link senden")
    assert backend.mails("desk_link")[0].recipient == "neu@schule.example"


def test_a_refused_new_customer_names_the_errors_and_keeps_the_input(desk, erika):
    desk.open("/kundenservice/kunden/neu").submit("Konto anlegen", {"E-Mail-Adresse": "kein", "Schule": "GMS"})
    assert desk.status == 422
    assert "Geben Sie eine Kundennummer ein." in desk.text and "Geben Sie den Nachnamen ein." in desk.text
    assert "keine vollständige E-Mail-Adresse" in desk.text
    fields = {"Kundennummer": erika.number, "E-Mail-Adresse": "neu@schule.example", "Nachname": "Neu"}
    taken = "Diese Kundennummer gibt es schon. Suchen Sie danach unter „Kunden“."
    assert taken in desk.submit("Konto anlegen", fields).text
    fields |= {"Kundennummer": "K-2001", "E-Mail-Adresse": erika.email}
    desk.submit("Konto anlegen", fields)
    assert words(by_id(desk.page, "email-error")) == "Diese Adresse gehört schon zu Erika Mustermann, K-1001."
    assert desk.value("Schule") == "GMS"
    assert desk.follow("Erika Mustermann, K-1001").heading == erika.name


def test_a_clerk_locks_and_unlocks_with_a_reason(backend, erika, screen, factor):
    assert "Geben Sie einen Grund an." in screen.submit("Konto sperren", {"Grund": "   "}).text
    assert (screen.status, backend.read(erika).locked_at) == (422, None)
    screen.submit("Konto sperren", {"Grund": "Gerät gestohlen"})
    assert "Das Konto ist gesperrt." in screen.text
    assert "Konto gesperrt Gerät gestohlen" in screen.text
    assert "Entsperren Sie es zuerst, dann senden Sie den Link." in screen.text
    assert "Link senden" not in [words(one) for one in screen.page.iter("button")], "it would be refused"
    answer = screen.post(f"/kundenservice/kunden/{erika.id}/link", why="Anruf", seen_link="0")
    assert (answer.status_code, backend.mails("desk_link")) == (422, []), "nor from a page that was open before"
    assert "Entsperren Sie es zuerst." in answer.text
    screen.submit("Konto entsperren", {"Grund": "gefunden"})
    assert screen.heading == "Bitte bestätigen" and backend.read(erika).locked_at
    screen.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    assert screen.value("Grund") == "gefunden"
    screen.press("Konto entsperren")
    assert "Das Konto ist entsperrt." in screen.text
    assert backend.read(erika).locked_at is None


def test_after_an_objection_the_page_asks_how_it_was_checked_before_it_unlocks(
    backend, erika, desk, prove, issue, mailed, app
):
    prove()
    Browser(app).open(mailed(issue(LinkKind.OBJECTION, erika))).press("Das war ich nicht – Konto sperren")
    screen = desk.open(f"/kundenservice/kunden/{erika.id}")
    assert "Jemand hat „Das war ich nicht“ gemeldet. Berichtigen Sie zuerst die Adresse" in screen.text
    screen.submit("Konto entsperren", {"Grund": "Anruf"})
    assert screen.status == 422 and "Wählen Sie aus, wie Sie die Person geprüft haben." in screen.text
    unlock = f"/kundenservice/kunden/{erika.id}/entsperren"
    assert screen.post(unlock, reason="Anruf", unlock_check="number").status_code == 422
    assert backend.read(erika).locked_at
    answer = screen.post(unlock, reason="Anruf", unlock_check="callback")
    assert answer.status_code == 303 and backend.read(erika).locked_at is None
    assert "Widerspruch gegen eine Änderung" in desk.open("/kundenservice/anfragen").text


def test_a_clerk_ticks_that_somebody_else_was_in_the_account(backend, erika, desk, prove):
    """At once: locking never waits for the second factor."""
    screen = desk.open(f"/kundenservice/kunden/{erika.id}").check(
        "Die Person meldet, dass jemand anderes im Konto war. Das Passwort gilt dann nicht mehr."
    )
    screen.submit("Konto sperren", {"Grund": "Anruf"})
    assert "Gemeldet ist, dass jemand anderes im Konto war. Berichtigen Sie zuerst die Adresse" in screen.text
    assert "Wie haben Sie die Person geprüft?" in screen.text.split("Konto entsperren")[1]
    assert "Meldung vermerken" not in screen.text
    prove()
    screen.post(f"/kundenservice/kunden/{erika.id}/entsperren", reason="Rückruf", unlock_check="callback")
    assert (backend.read(erika).locked_at, backend.read(erika).password_hash) == (None, None)


def test_that_somebody_else_was_in_the_account_is_noted_after_the_lock_as_well(backend, erika, desk):
    screen = desk.open(f"/kundenservice/kunden/{erika.id}").submit("Konto sperren", {"Grund": "Anruf"})
    assert (
        "Vielleicht war jemand anderes" not in screen.text
        and "Wie haben Sie die Person geprüft?" not in (screen.text.split("Konto entsperren")[1])
    )
    screen.stale().press("Meldung vermerken")
    assert screen.status == 422 and "Senden Sie das Formular bitte noch einmal ab." in screen.text
    assert backend.read(erika).objection is None
    screen.press("Meldung vermerken")
    assert "Gemeldet ist, dass jemand anderes im Konto war. Berichtigen Sie zuerst die Adresse" in screen.text
    assert "Wie haben Sie die Person geprüft?" in screen.text.split("Konto entsperren")[1]
    assert "Die Meldung ist vermerkt." in screen.text and "Gemeldet, dass jemand anderes im Konto war" in screen.text
    assert backend.actions().count("account.locked") == 1
    assert backend.read(select(ClerkDay.number).where(ClerkDay.act == "locks")) == [2]


def test_it_is_not_noted_for_an_account_that_a_colleague_has_unlocked(backend, erika, desk):
    """A page that stands open since the lock would lock it again."""
    screen = desk.open(f"/kundenservice/kunden/{erika.id}").submit("Konto sperren", {"Grund": "Anruf"})
    backend.run(desk_service.unlock, erika, "geprüft", "callback")
    screen.press("Meldung vermerken")
    assert screen.status == 409
    assert (backend.read(erika).locked_at, backend.read(erika).objection) == (None, None)


def test_it_is_noted_also_where_somebody_can_still_object(backend, erika, desk):
    """Otherwise the account would be deleted on the intruder's request."""
    backend.run(accounts.request_address_change, erika, "dieb@dritte.example")
    screen = desk.open(f"/kundenservice/kunden/{erika.id}").submit("Konto sperren", {"Grund": "Anruf"})
    screen.press("Meldung vermerken")
    with pytest.raises(desk_service.ObjectionOpen):
        backend.run(desk_service.delete_customer, erika, backend.read(erika).version, "Wunsch", False)


def test_while_the_earlier_address_can_object_the_page_asks_for_a_check_before_it_unlocks(backend, erika, desk, prove):
    prove()
    backend.run(accounts.request_address_change, erika, "erika.neu@gms-musterstadt.example")
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    screen = desk.open(f"/kundenservice/kunden/{erika.id}").submit("Konto sperren", {"Grund": "Anruf"})
    assert (
        "Stimmt die Adresse nicht, berichtigen Sie sie zuerst. Prüfen Sie beim Entsperren die Person" in screen.text
        and "Jemand hat" not in screen.text
    )
    screen.submit("Konto entsperren", {"Grund": "Anruf"})
    assert screen.status == 422 and "Wählen Sie aus, wie Sie die Person geprüft haben." in screen.text
    assert backend.read(erika).locked_at
    screen.post(f"/kundenservice/kunden/{erika.id}/entsperren", reason="Anruf", unlock_check="callback")
    screen.open(f"/kundenservice/kunden/{erika.id}")
    assert "Das Konto ist entsperrt. Es hat kein Passwort. Senden Sie jetzt den Link." in screen.text


@pytest.mark.parametrize("end", ["refused", "bounced", "expired", "deferred"])
def test_the_page_shows_that_the_earlier_address_never_got_the_notice_of_the_change(backend, erika, desk, end):
    backend.run(accounts.request_address_change, erika, "erika.neu@gms-musterstadt.example")
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    [notice] = backend.mails("address_changed_old")
    screen = f"/kundenservice/kunden/{erika.id}"
    still = "noch " if end == "deferred" else ""
    words = f"Nachricht über die neue Adresse kam bei {notice.recipient} {still}nicht an: Postfach voll oder gesperrt"
    assert words not in desk.open(screen).text
    backend.update(notice, state=end, settled_at=NOW, reason="Postfach voll oder gesperrt", reply_code=552)
    backend.update(notice, queued_at=NOW - timedelta(hours=5))
    assert words in desk.open(screen).text
    backend.run(accounts.request_address_change, erika, "dieb@dritte.example")
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    backend.update(backend.mails("address_changed_old")[-1], state="refused", settled_at=NOW)
    assert words in desk.open(screen).text, "a further failure hides the first not"


@pytest.mark.with_and_without_htmx
def test_the_eleventh_correction_in_an_hour_needs_the_second_factor_and_keeps_the_input(
    desk, backend, app, erika, max_, factor, monkeypatch
):
    """With a stolen cookie not every account can be moved."""
    monkeypatch.setitem(app.config, "DESK_CORRECTIONS_PER_HOUR", 2)
    for number in range(2):
        desk.open(f"/kundenservice/kunden/{erika.id}").check("Rückruf")
        desk.submit(CORRECT, {"Neue E-Mail-Adresse": f"erika{number}@neue-schule.example"})
    mails = len(backend.mails())
    desk.open(f"/kundenservice/kunden/{max_.id}").check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert (desk.heading, len(backend.mails())) == ("Bitte bestätigen", mails)
    assert backend.read(max_).pending_email is None
    desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    assert (desk.heading, desk.value("Neue E-Mail-Adresse")) == (max_.name, NEW)
    desk.press(CORRECT)
    assert backend.read(max_).pending_email == NEW


@pytest.mark.with_and_without_htmx
def test_a_correction_that_ends_the_objection_of_an_earlier_address_needs_the_second_factor(
    desk, backend, erika, factor, screen
):
    """With a stolen cookie an account can be moved, but its owner can still object: a second correction ends that."""
    owner, page = erika.email, f"/kundenservice/kunden/{erika.id}"
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "dieb@anderswo.example"})
    desk.open(page).check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert backend.read(erika).pending_email == NEW  # its owner was told of this change as well
    link = backend.links(LinkKind.DESK)[-1]
    backend.run(accounts.register, link, NOW, backend.read(erika).version, {}, hash_password(NEW_PASSWORD))
    desk.open(page).check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "dieb@nochmal.example"})
    assert (desk.heading, backend.read(erika).pending_email) == ("Bitte bestätigen", None)
    assert owner in {link.email for link in backend.links(LinkKind.OBJECTION) if link.ended_at is None}
    desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]}).press(CORRECT)
    assert backend.read(erika).pending_email == "dieb@nochmal.example"


def test_another_correction_before_the_link_of_the_last_one_was_used_needs_the_second_factor(
    desk, backend, tim, erika, factor
):
    """A stolen cookie could otherwise replace what a colleague has mended, which has ended the owner's objections."""
    for email in ("dieb@anderswo.example", NEW):
        seen = backend.read(erika).version
        backend.run(desk_service.correct_address, erika, seen, email, "callback", "", actor=f"clerk:{tim.id}")
        if email != NEW:
            link, seen = backend.links(LinkKind.DESK)[-1], backend.read(erika).version
            backend.run(accounts.register, link, NOW, seen, {}, hash_password(NEW_PASSWORD))
    desk.open(f"/kundenservice/kunden/{erika.id}").check("Rückruf")
    desk.submit(CORRECT, {"Neue E-Mail-Adresse": "dieb@nochmal.example"})
    assert (desk.heading, backend.read(erika).pending_email) == ("Bitte bestätigen", NEW)
    desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]}).press(CORRECT)
    assert backend.read(erika).pending_email == "dieb@nochmal.example"


def test_a_second_factor_that_comes_while_a_request_waits_does_not_admit_it(desk, backend, erika, factor, monkeypatch):
    """A stolen cookie sends corrections until the clerk enters her code for something else."""
    alive = sessions.ensure_alive

    def proved_meanwhile(tx, login_session):
        mine = update(LoginSession).where(LoginSession.id == login_session.id)
        tx.session.execute(mine.values(password_checked_at=tx.now))
        alive(tx, login_session)

    backend.update(erika, objection="open")
    desk.open(f"/kundenservice/kunden/{erika.id}")
    form = form_of(button(desk.page, CORRECT))
    next(box for box in form.iter("input") if box.get("value") == "callback").checked = True
    monkeypatch.setattr(sessions, "ensure_alive", proved_meanwhile)
    desk.submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert (desk.heading, backend.read(erika).objection) == ("Bitte bestätigen", "open")


def test_a_correction_after_an_objection_needs_the_second_factor(desk, backend, erika, factor):
    """It settles the objection, so that a stolen cookie must not be enough."""
    backend.run(accounts.request_address_change, erika, "dieb@anderswo.example")
    backend.run(accounts.object_to_change, backend.links(LinkKind.OBJECTION)[0], NOW)
    desk.open(f"/kundenservice/kunden/{erika.id}")
    form = form_of(button(desk.page, CORRECT))
    next(box for box in form.iter("input") if box.get("value") == "callback").checked = True
    desk.submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert (desk.heading, backend.read(erika).objection) == ("Bitte bestätigen", "open")
    desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]}).press(CORRECT)
    assert (backend.read(erika).email, backend.read(erika).objection) == (NEW, "settled")


@pytest.mark.with_and_without_htmx
def test_many_new_accounts_and_corrections_in_an_hour_need_the_second_factor(
    desk, backend, screen, factor, monkeypatch, app
):
    """An account with a link would be one for good, made with a stolen cookie."""
    monkeypatch.setitem(app.config, "DESK_CORRECTIONS_PER_HOUR", 2)
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})

    def create(number):
        fields = {"Kundennummer": f"K-77{number}", "E-Mail-Adresse": f"neu{number}@schule.example", "Nachname": "Neu"}
        desk.open("/kundenservice/kunden/neu").submit("Konto anlegen", fields)

    create(1), create(2)
    assert desk.heading == "Bitte bestätigen"
    assert backend.read(select(Customer.number).where(Customer.number.startswith("K-77"))) == ["K-771"]
    desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    assert (desk.value("Kundennummer"), desk.value("E-Mail-Adresse")) == ("K-772", "neu2@schule.example")
    desk.press("Konto anlegen")
    assert "Das Konto ist angelegt." in desk.text


def test_with_a_second_person_another_clerk_confirms_the_address_on_the_page(
    app, backend, erika, screen, tim, monkeypatch
):
    monkeypatch.setitem(app.config, "SECOND_PERSON", True)
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "erika@web.de"})
    assert "Jemand anderes im Kundenservice muss sie bestätigen." in screen.text and backend.mails() == []
    assert "Rosa Otto (ro) möchte erika@web.de eintragen" in screen.text
    with pytest.raises(AssertionError):
        screen.press("Bestätigen")
    other = Browser(app).come_in(backend.run(sessions.start_session, tim, "Firefox").token)
    assert "erika@web.de, vorgeschlagen von ro" in other.open("/kundenservice/anfragen").text
    other.open(f"/kundenservice/kunden/{erika.id}").press("Bestätigen")
    assert "Der Link zum Konto ist unterwegs an erika@web.de." in other.text
    assert backend.read(erika).pending_email == "erika@web.de"
    screen.open(screen.path).check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "e.mustermann@web.de"})
    other.open(f"/kundenservice/kunden/{erika.id}")
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "dieb@web.de"})
    assert other.press("Bestätigen").status == 422, "another one than the page showed"
    assert [mail.template for mail in backend.mails()] == ["desk_link", "address_corrected"]
    other.open(other.path.removesuffix("/vorschlag/bestaetigen")).press("Ablehnen")
    assert "Die vorgeschlagene Adresse dieb@web.de ist abgelehnt." in other.text
    assert backend.read(erika).pending_email == "erika@web.de"


def test_the_address_of_a_locked_account_counts_at_once_without_a_link(backend, screen, erika):
    screen.submit("Konto sperren", {"Grund": "Das war ich nicht"})
    assert "Ein Link wird nicht gesendet." in screen.text and "Diese E-Mails werden gesendet" not in screen.text
    screen.check("Rückruf").submit("Adresse berichtigen und Link senden", {"Neue E-Mail-Adresse": NEW})
    assert f"Jetzt gilt {NEW}, ohne Passwort. Entsperren Sie das Konto." in screen.text
    assert (backend.read(erika).email, backend.mails("desk_link")) == (NEW, [])


def test_what_programs_leave_in_pasted_text_is_removed(desk, backend, erika):
    pasted = {"Telefon": "\u202d+49 7051 4711\u202c", "Vorname": "Ka\u0308the\u200b", "Ort": "Bad\u00a0Liebenzell"}
    desk.open(f"/kundenservice/kunden/{erika.id}/daten").submit("Speichern", pasted)
    saved = backend.read(erika)
    assert (saved.phone, saved.first_name, saved.town) == ("+49 7051 4711", "Käthe", "Bad Liebenzell")


# Hostile text


@pytest.mark.parametrize("turning", ["\u202e", "\u202b", "\u2067"])
def test_characters_of_a_name_that_reverse_the_text_are_removed(desk, backend, erika, turning):
    desk.open(f"/kundenservice/kunden/{erika.id}/daten").submit("Speichern", {"Nachname": f"Mu{turning}ster"})
    assert backend.read(erika).last_name == "Muster"
    desk.open(f"/kundenservice/kunden/{erika.id}/daten").submit("Speichern", {"Nachname": "علي"})
    assert backend.read(erika).last_name == "علي"


def test_hostile_text_is_escaped_on_every_page_of_a_customer(desk, backend, erika):
    backend.update(erika, last_name=HOSTILE, school=HOSTILE, street=HOSTILE)
    for path in (f"?suche={HOSTILE[:8]}", f"/{erika.id}", f"/{erika.id}/daten", f"/{erika.id}?neue-adresse={HOSTILE}"):
        desk.open(f"/kundenservice/kunden{path}")
        assert "{{ 7*7 }}" in desk.text, path
        assert [one for one in desk.page.iter() if "/x" in one.get("hx-get", "") or one.get("src") == "x"] == [], path


LOOKS_LIKE = "erika@sch\u0443le.example"


def test_a_clerk_is_warned_of_a_domain_that_looks_like_that_of_a_customer_and_may_use_it(screen, backend, erika):
    backend.update(erika, email="erika@schyle.example", email_canonical="erika@schyle.example")
    screen.open(f"/kundenservice/kunden/{erika.id}/vorschau?email={LOOKS_LIKE}")
    assert "Diese Domain kann täuschen" in screen.text and "schyle.example" in screen.text
    assert "xn--schle-gze.example" in screen.text
    screen.check("Rückruf").press("Adresse berichtigen und Link senden")
    assert (screen.status, backend.read(erika).pending_email) == (200, LOOKS_LIKE)
    assert f"{LOOKS_LIKE} (xn--schle-gze.example)" in screen.text
    assert (
        "Diese Domain kann täuschen"
        not in screen.open(f"/kundenservice/kunden/{erika.id}/vorschau?email=a@b.example").text
    )


@pytest.mark.parametrize("corrected", [False, True])
def test_a_link_whose_code_is_used_up_can_be_withdrawn_on_the_page(desk, backend, erika, corrected):
    page = f"/kundenservice/kunden/{erika.id}"
    if corrected:
        desk.open(page).check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    else:
        desk.open(page).press("Link senden")
    (link,) = backend.links(LinkKind.DESK)
    backend.update(link, code_tries=5)
    desk.open(page)
    assert "Der Code wurde fünfmal falsch eingegeben. Mit dem Bilderrätsel geht der Link noch." in desk.text
    assert desk.page.xpath("//button[normalize-space()='Erneut senden']") == []
    assert desk.press("Zurückziehen").status == 200 and backend.read(link).ended_as == LinkState.WITHDRAWN


@pytest.mark.parametrize("new", [True, False])
def test_an_address_that_was_lately_taken_from_a_customer_is_given_to_another_only_with_the_second_factor(
    desk, backend, erika, max_, factor, new
):
    """A stolen cookie could otherwise move her account, and make another one with her address: she asks in vain."""
    backend.run(accounts.request_address_change, erika, NEW)
    backend.run(accounts.confirm_address, backend.links(LinkKind.ADDRESS)[-1], NOW)
    if new:
        desk.open("/kundenservice/kunden/neu")
        desk.submit(
            "Konto anlegen", {"Kundennummer": "K-9", "Nachname": "Muster", "E-Mail-Adresse": erika.email.upper()}
        )
    else:
        desk.open(f"/kundenservice/kunden/{max_.id}").check("Rückruf")
        desk.submit(CORRECT, {"Neue E-Mail-Adresse": erika.email})
    assert desk.heading == "Bitte bestätigen" and len(backend.read(select(Customer))) == 2
    assert backend.read(max_).pending_email is None
