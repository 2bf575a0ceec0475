"""The desk's pages: search, the one screen, and what its forms say."""

import pytest
from sqlalchemy import select

from kmzportal.domain.account_link import AccountLink, LinkKind, LinkState
from kmzportal.domain.customer import Customer
from kmzportal.services import desk as deeds_of_the_desk
from tests import cast, page

pytestmark = [
    pytest.mark.usefixtures("clock", "portal"),
    pytest.mark.parametrize("portal", ["sqlite"], indirect=True),  # what the databases differ in, services prove
]
NEW = "erika@neue-schule.example"
CORRECT = "Adresse berichtigen und Link senden"
HOSTILE = '<img src=x onerror=alert(1)> {{ 7*7 }} " hx-get="/x'


@pytest.fixture
def screen(desk, erika):
    """Rosa in front of Erika's screen."""
    return desk.open(f"/kundenservice/kunden/{erika.id}")


def token(browser):
    return next(one.get("value") for one in browser.page.iter("input") if one.get("name") == "csrf_token")


# Search


def test_the_desk_begins_with_the_search(desk):
    assert desk.open("/kundenservice").path == "/kundenservice/kunden"
    assert desk.heading == "Kunden"


def test_a_customer_is_found_and_opened(desk, erika, max_):
    desk.open("/kundenservice/kunden").submit("Suchen", {"Kunden suchen": "muster erika"})
    assert "1 Treffer" in desk.text
    assert desk.follow("Mustermann, Erika").heading == "Erika Mustermann"


def test_hits_tell_two_of_a_name_apart_by_their_schools(desk, deeds, erika):
    deeds.enter(cast.person({**cast.ERIKA, "number": "K-9", "email": "e@x.example", "school": "Kita Regenbogen"}))
    desk.open("/kundenservice/kunden?suche=erika")
    assert "GMS Musterstadt" in desk.text
    assert "Kita Regenbogen" in desk.text
    assert erika.email not in desk.text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("mu", "Geben Sie mindestens drei Zeichen ein."),
        ("niemand", "Keine Treffer."),
        ("mustremann", "Genau so heißt niemand. Ähnlich: 1 Treffer."),
    ],
)
def test_the_search_says_what_it_found(desk, erika, query, says):
    desk.open("/kundenservice/kunden").submit("Suchen", {"Kunden suchen": query})
    assert says in desk.text
    assert desk.value("Kunden suchen") == query


# The screen


def test_the_screen_shows_what_a_clerk_needs(desk, deeds, juergen, issue):
    issue(LinkKind.DESK, juergen, juergen.pending_email)
    deeds.log_in(juergen.email, "falsches passwort")
    text = desk.open(f"/kundenservice/kunden/{juergen.id}").text
    for there in (
        juergen.number,
        juergen.email,
        juergen.pending_email,
        juergen.school,
        "Anmeldung abgelehnt",
        "gilt bis",
    ):
        assert there in text


def test_the_preview_is_what_leaves_but_for_link_and_code(desk, deeds, erika, screen):
    shown = screen.text
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    link = deeds.read(select(AccountLink).where(AccountLink.kind == LinkKind.DESK))[-1]
    assert "/link/••••••••" in shown
    assert "Code aus der E-Mail: ••••-••••" in shown
    assert "Guten Tag Frau Mustermann," in shown
    assert "Bearbeiter: ro" in shown
    for secret in (deeds.keys.token(link), deeds.keys.code(link), deeds.keys.code(link).replace("-", "")):
        assert secret not in screen.open(screen.path).answer.text


def test_one_act_corrects_the_address_and_sends_the_link(deeds, erika, screen):
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": f" Erika <{NEW}> "})
    assert f"Der Link zum Konto ist unterwegs an {NEW}." in screen.text
    assert deeds.read(erika).pending_email == NEW
    assert [mail.recipient for mail in deeds.mails()] == [NEW, erika.email]


@pytest.mark.parametrize(
    ("email", "check", "says"),
    [
        (NEW, None, "Wählen Sie aus, wie Sie geprüft haben, wer fragt."),
        ("kein", "Rückruf", "Das ist keine vollständige E-Mail-Adresse."),
        ("", "Rückruf", "Geben Sie die neue E-Mail-Adresse ein."),
        (NEW, "Sonstiges", "Schreiben Sie bei „Sonstiges“ dazu"),
        (cast.ERIKA["email"], "Rückruf", "Diese Adresse gilt schon."),
    ],
)
def test_what_is_missing_is_said_at_its_field_and_nothing_is_sent(deeds, screen, email, check, says):
    if check:
        screen.check(check)
    screen.submit(CORRECT, {"Neue E-Mail-Adresse": email})
    assert screen.status == 422
    assert says in screen.text
    assert screen.value("Neue E-Mail-Adresse") == email
    assert deeds.mails() == []


def test_an_address_of_somebody_else_leads_there(deeds, screen, max_):
    screen.check("persönlich").submit(CORRECT, {"Neue E-Mail-Adresse": max_.email})
    assert screen.status == 422
    assert "Diese Adresse gehört schon zu einem anderen Konto" in screen.text
    assert screen.follow(f"Max Mustermann, Kundennummer {max_.number}").heading == "Max Mustermann"


def test_other_checks_are_written_down(deeds, erika, screen):
    screen.check("Sonstiges").submit(CORRECT, {"Neue E-Mail-Adresse": NEW, "Anmerkung zur Prüfung": "Dienstausweis"})
    assert "Sonstiges – Dienstausweis" in screen.text


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("erika@gmx.ed", "Meinten Sie erika@gmx.de?"),
        ("erika@web.de", "Eine Adresse bei diesem Anbieter kann jeder anlegen"),
        (cast.MAX["email"], "Diese Adresse gehört schon zu einem anderen Konto"),
        (NEW, f"An {NEW}: Ihr Link zum Konto"),
    ],
)
def test_hints_come_while_typing_and_never_block(desk, erika, max_, typed, says):
    answer = desk.client.get(
        f"/kundenservice/kunden/{erika.id}/vorschau", query_string={"email": typed}, base_url=desk.site,
        headers={"HX-Request": "true"},
    )  # fmt: skip
    assert says in page.words(page.parse(answer.text))
    assert says in desk.open(f"/kundenservice/kunden/{erika.id}?neue-adresse={typed}").text


def test_a_mistyped_domain_is_sent_to_all_the_same_with_a_word_about_it(deeds, screen):
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": "erika@gmial.com"})
    assert "Meinten Sie erika@gmail.com?" in screen.text
    assert deeds.mails("desk_link")[0].recipient == "erika@gmial.com"


def test_two_at_one_screen_are_told_and_what_was_typed_stays(deeds, erika, screen):
    with deeds.work("console") as work:
        work.session.get(Customer, erika.id).phone = "07051 999"
    screen.check("Rückruf").submit(CORRECT, {"Neue E-Mail-Adresse": NEW})
    assert "Jemand anderes hat diese Daten inzwischen geändert" in screen.text
    assert screen.value("Neue E-Mail-Adresse") == NEW
    assert deeds.mails() == []
    screen.press(CORRECT)
    assert deeds.read(erika).pending_email == NEW


def test_while_no_mail_leaves_the_desk_says_so_and_goes_on(deeds, erika, screen):
    screen.press("Link senden")
    assert "Der Mailversand ist gerade gestört: Die E-Mail wartet im Postausgang." in screen.text
    assert len(deeds.mails("desk_link")) == 1


def test_a_link_is_sent_again_and_withdrawn(deeds, erika, screen):
    screen.press("Link senden")
    assert f"Der Link zum Konto ist unterwegs an {erika.email}." in screen.text
    screen.press("Erneut senden")
    assert "Der Link ist noch einmal unterwegs" in screen.text
    screen.press("Zurückziehen")
    assert "zurückgezogen und öffnet nichts mehr" in screen.text
    assert deeds.read(select(AccountLink))[0].ended_as == LinkState.WITHDRAWN
    assert len(deeds.mails("desk_link")) == 2


def test_a_link_of_somebody_else_is_not_found(desk, deeds, erika, max_, issue, screen):
    link = issue(LinkKind.DESK, max_)
    for deed in ("erneut", "zurueckziehen"):
        path = f"/kundenservice/kunden/{erika.id}/links/{link.id}/{deed}"
        assert desk.client.post(path, data={"csrf_token": token(desk)}, base_url=desk.site).status_code == 404
    assert deeds.read(link).ended_at is None


@pytest.mark.parametrize("path", ["/9999", "/2147483648", "/0", "/1e3", "/9999/daten", "/9999/vorschau"])
def test_who_does_not_exist_is_not_found(desk, path):
    assert desk.open(f"/kundenservice/kunden{path}").status == 404


# The account


def test_a_clerk_corrects_data(deeds, erika, screen):
    screen.follow("Daten berichtigen").submit("Speichern", {"Telefon": "07051 4711", "Schule": "Kita Sonne"})
    assert screen.heading == "Erika Mustermann"
    assert "Die Daten sind gespeichert." in screen.text
    assert (deeds.read(erika).phone, deeds.read(erika).school) == ("07051 4711", "Kita Sonne")
    assert "Telefon" in screen.text


def test_two_who_correct_data_are_told_what_stands_there_now(deeds, erika, screen):
    screen.follow("Daten berichtigen")
    with deeds.work("console") as work:
        work.session.get(Customer, erika.id).school = "Gymnasium Musterstadt"
    screen.submit("Speichern", {"Telefon": "07051 4711"})
    assert screen.status == 422
    assert "Schule „Gymnasium Musterstadt“" in screen.text
    assert screen.value("Telefon") == "07051 4711"
    assert deeds.read(erika).phone == erika.phone


def test_the_customer_is_told_when_the_desk_was_quicker(app, deeds, browser, erika):
    fields = {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)}
    browser.open("/anmelden").submit("Anmelden", fields)
    browser.open("/einstellungen/konto").submit("Weiter", {"Aktuelles Passwort": cast.password_of(erika)})
    with deeds.work("clerk:1") as work:
        customer = work.session.get(Customer, erika.id)
        deeds_of_the_desk.correct_data(work, customer, customer.version, {"school": "Kita Sonne"})
    browser.submit("Speichern", {"Telefon": "07051 4711"})
    assert "Schule „Kita Sonne“" in browser.text
    assert browser.value("Telefon") == "07051 4711"
    assert deeds.read(erika).school == "Kita Sonne"


def test_a_new_customer_is_entered_and_is_sent_a_link(deeds, desk):
    desk.open("/kundenservice/kunden").follow("Konto anlegen")
    desk.submit("Konto anlegen", {"Kundennummer": "K-2001", "E-Mail-Adresse": "neu@schule.example", "Nachname": "Neu"})
    assert desk.heading == "Neu"
    desk.press("Link senden")
    assert deeds.mails("desk_link")[0].recipient == "neu@schule.example"


def test_what_a_new_customer_lacks_is_said_and_what_was_typed_stays(desk, erika):
    desk.open("/kundenservice/kunden/neu").submit("Konto anlegen", {"E-Mail-Adresse": "kein", "Schule": "GMS"})
    assert desk.status == 422
    for says in (
        "Geben Sie eine Kundennummer ein.",
        "keine vollständige E-Mail-Adresse",
        "Geben Sie den Nachnamen ein.",
    ):
        assert says in desk.text
    fields = {"Kundennummer": erika.number, "E-Mail-Adresse": "neu@schule.example", "Nachname": "Neu"}
    assert "Diese Kundennummer gibt es schon." in desk.submit("Konto anlegen", fields).text
    fields |= {"Kundennummer": "K-2001", "E-Mail-Adresse": erika.email}
    assert "Diese Adresse gehört schon zu einem anderen Konto." in desk.submit("Konto anlegen", fields).text
    assert desk.value("Schule") == "GMS"


def test_a_clerk_locks_and_unlocks_with_a_reason(deeds, erika, screen):
    assert "Geben Sie einen Grund an." in screen.press("Konto sperren").text
    screen.submit("Konto sperren", {"Grund": "Gerät gestohlen"})
    assert "Das Konto ist gesperrt." in screen.text
    assert "Konto gesperrt Gerät gestohlen" in screen.text
    assert "Entsperren Sie es zuerst." in screen.press("Link senden").text
    screen.submit("Konto entsperren", {"Grund": "gefunden"})
    assert "Das Konto ist wieder offen." in screen.text
    assert deeds.read(erika).locked_at is None


# Whatever they typed


def test_hostile_text_is_text_everywhere(desk, deeds, erika):
    with deeds.work("console") as work:
        customer = work.session.get(Customer, erika.id)
        customer.last_name = customer.school = customer.street = HOSTILE
    for path in (f"?suche={HOSTILE[:8]}", f"/{erika.id}", f"/{erika.id}/daten", f"/{erika.id}?neue-adresse={HOSTILE}"):
        desk.open(f"/kundenservice/kunden{path}")
        assert not [one for one in desk.page.iter("img") if one.get("src") == "x"], path
        assert "{{ 7*7 }}" in desk.text, path
        assert not [one for one in desk.page.iter() if one.get("hx-get") == "/x"], path
    screen = desk.open(f"/kundenservice/kunden/{erika.id}")
    screen.check("Sonstiges").submit(CORRECT, {"Neue E-Mail-Adresse": NEW, "Anmerkung zur Prüfung": HOSTILE})
    assert f"Sonstiges – {HOSTILE}" in screen.text
    assert not [one for one in screen.page.iter("img") if one.get("src") == "x"]


def test_what_the_form_never_offers_is_refused(desk, deeds, erika, screen):
    data = {"csrf_token": token(desk), "email": NEW, "check": "geglaubt", "version": str(erika.version)}
    answer = desk.client.post(f"/kundenservice/kunden/{erika.id}/adresse", data=data, base_url=desk.site)
    assert answer.status_code == 422
    assert deeds.mails() == []


def test_the_customers_own_history_names_the_clerks_initials(desk, browser, app, deeds, erika, screen):
    screen.press("Link senden")
    fields = {"E-Mail-Adresse": erika.email, "Passwort": cast.password_of(erika)}
    browser.press("Abmelden")
    browser.open("/anmelden").submit("Anmelden", fields)
    assert "Link zum Konto gesendet – Anruf" in browser.open("/einstellungen/verlauf").text
    assert "Kundenservice (ro)" in browser.text
