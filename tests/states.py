"""Every state of every page, reached by walking through the portal; used by tests, checkers and screenshots.

A flow is a generator. It drives a browser of the scenario, the simulated one of tests/browser.py or the real one of
tests/e2e/real_browser.py, and yields ("page/state", browser) whenever the browser shows a state that is to be checked.
A new page is added to a flow, and all checks of all pages include it.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kmzportal.models import (
    CODE_TRIES,
    AccountLink,
    AddressProposal,
    Clerk,
    Customer,
    LinkKind,
    LinkState,
    LoginSession,
    MailState,
    Objection,
    Passkey,
    RequestCount,
    SupportCase,
)
from kmzportal.server import sample_people
from kmzportal.services import accounts, devices, diagnosis, links, outbox, recovery, sessions, support, support_mail
from kmzportal.services.transaction import Transaction, upsert
from tests import people
from tests.backend import Backend
from tests.people import NEW

State = tuple[str, Any]
LONG = "Wolfeschlegelsteinhausenbergerdorff-Müller-Lüdenscheidt"
SOME_RESULTS = [
    diagnosis.Result(
        "disk",
        "Dateien",
        "fail",
        "Es sind nur noch 12 MB frei.",
        "Nichts wird gespeichert.",
        "Löschen Sie Entbehrliches.",
    ),
    diagnosis.Result(
        "spf", "Absender im DNS", "warn", "Die Domain kmz.example hat 0 SPF-Einträge.", "Spam.", "Legen Sie einen an."
    ),
    diagnosis.Result("wal", "Datenbank", "ok"),
]
LONG_ADDRESS = "anna.wolfeschlegelsteinhausenbergerdorff@gesamtschule-beispielhausen.example"


class Scenario:
    """The sample people in the database, and browsers that act for them."""

    def __init__(self, new_browser: Callable[[], Any], backend: Backend):
        self.new_browser = new_browser
        self.backend = backend
        samples = (people.ERIKA, people.MAX, people.ANNELIESE, people.ROSA, people.TIM)
        self.erika, self.max, self.anneliese, self.rosa, self.tim = (
            backend.add(people.person(sample)) for sample in samples
        )

    def log_in(self, person: Any) -> Any:
        fields = {"E-Mail-Adresse": person.email, "Passwort": people.password_of(person)}
        return self.new_browser().open("/anmelden").submit("Anmelden", fields)

    def desk_browser(self, clerk: Any) -> Any:
        return self.new_browser().come_in(session_token(self.backend, clerk))

    def issue(self, kind: LinkKind, person: Any) -> AccountLink:
        return self.backend.run(links.issue, kind, person)

    def open_link(self, link: AccountLink) -> Any:
        """Open the link in a new browser, as from the mail."""
        return self.new_browser().open(self.link_path(link))

    def link_path(self, link: AccountLink) -> str:
        return f"/link/{self.backend.keys.token(link)}"

    def set(self, row: Any, **values: Any) -> None:
        """Write columns of a stored row."""
        with self.backend.transaction("console") as tx:
            stored = tx.session.get(type(row), row.id)
            for name, value in values.items():
                setattr(stored, name, value)


def prove(tx: Transaction, clerk: Clerk) -> None:
    """As if the clerk had just entered the second factor in all sessions."""
    for login_session in tx.session.scalars(select(LoginSession).where(LoginSession.clerk_id == clerk.id)):
        login_session.password_checked_at = tx.now


def session_token(backend: Backend, person: Any) -> str:
    """Return the token of a new login session, without the login page."""
    return backend.run(sessions.start_session, person, "Firefox unter Linux").token


def login_flow(scenario: Scenario) -> Iterator[State]:
    browser = scenario.new_browser()
    yield "anmelden/neu", browser.open("/anmelden")
    yield "anmelden/leer", browser.press("Anmelden")
    wrong = {"E-Mail-Adresse": scenario.erika.email, "Passwort": "falsches passwort"}
    yield "anmelden/abgewiesen", browser.submit("Anmelden", wrong)
    yield "anmelden/lange-offen", browser.stale().submit("Anmelden", wrong)
    yield "passwort-vergessen/neu", browser.follow("Passwort vergessen?")
    yield "passwort-vergessen/abgewiesen", browser.submit("Link anfordern", {"E-Mail-Adresse": "kein"})
    yield "gesendet/neu", browser.submit("Link anfordern", {"E-Mail-Adresse": scenario.erika.email})
    yield "gesendet/noch-einmal", browser.press("Noch einmal senden")
    browser.open("/passwort-vergessen")
    yield "gesendet/meinten-sie", browser.submit("Link anfordern", {"E-Mail-Adresse": "erika@gmial.com"})
    yield "fehler/404", browser.open("/gibt-es-nicht")
    yield "fehler/405", browser.open("/abmelden")


def account_flow(scenario: Scenario) -> Iterator[State]:
    browser = scenario.log_in(scenario.erika)
    yield "einstellungen/neu", browser
    yield "konto-anpassen/passwort", browser.follow("Konto anpassen")
    yield "konto-anpassen/falsches-passwort", browser.submit("Weiter", {"Aktuelles Passwort": "falsches passwort"})
    current = {"Aktuelles Passwort": people.password_of(scenario.erika)}
    yield "konto-anpassen/formular", browser.submit("Weiter", current)
    wrong = {"Neue E-Mail-Adresse": "kein", "Passwort": "x", "Nachname": ""}
    yield "konto-anpassen/abgewiesen", browser.submit("Speichern", wrong)
    yield "konto-anpassen/gespeichert", browser.submit("Speichern", {"Nachname": LONG, "Schule": LONG})
    yield "einstellungen/neue-adresse", browser.submit("Speichern", {"Neue E-Mail-Adresse": LONG_ADDRESS})
    yield "einstellungen/lange-namen", browser.open("/einstellungen")
    yield "fehler/keine-berechtigung", browser.open("/kundenservice/kunden")
    browser.open("/einstellungen")
    scenario.log_in(scenario.erika)
    for page in ("geraete", "verlauf", "daten"):
        yield f"{page}/neu", browser.open(f"/einstellungen/{page}")
    browser.open("/einstellungen/geraete")
    yield "geraete/abgemeldet", browser.press("Alle anderen Geräte abmelden")
    yield "abmelden/lange-offen", browser.stale().press("Abmelden")
    yield "anmelden/abgemeldet", browser.open("/einstellungen").press("Abmelden")
    browser = scenario.log_in(scenario.erika).follow("Konto anpassen")
    scenario.backend.run(sessions.end_all, scenario.erika)
    yield "anmelden/sitzung-beendet", browser.submit("Weiter", current)


def link_flow(scenario: Scenario) -> Iterator[State]:
    """Links of each kind, from opening to the last page, and every page for a link that cannot be used."""
    yield from new_password_flow(scenario)
    yield "adresse-bestaetigen/neu", scenario.open_link(scenario.issue(LinkKind.ADDRESS, scenario.max))
    yield from ended_link_flow(scenario)
    browser = scenario.open_link(scenario.issue(LinkKind.OBJECTION, scenario.max))
    yield "das-war-ich-nicht/neu", browser
    yield "das-war-ich-nicht/gesperrt", browser.press("Das war ich nicht – Konto sperren")


def new_password_flow(scenario: Scenario) -> Iterator[State]:
    link = scenario.issue(LinkKind.RECOVERY, scenario.max)
    browser = scenario.open_link(link)
    yield "neues-passwort/neu", browser
    yield "neues-passwort/ungleich", browser.submit("Passwort speichern", NEW | {"Wdh. Passwort": "anders"})
    yield "neues-passwort/abbrechen", browser.stale().press("Abbrechen")
    browser.open(scenario.link_path(link))
    yield "fertig/neues-passwort", browser.submit("Passwort speichern", NEW)
    yield "link-gilt-nicht-mehr/benutzt", browser.open(scenario.link_path(link))
    other = scenario.log_in(scenario.erika)
    yield "jemand-anderes/neu", other.open(scenario.link_path(scenario.issue(LinkKind.RECOVERY, scenario.max)))


def ended_link_flow(scenario: Scenario) -> Iterator[State]:
    old = scenario.issue(LinkKind.DESK, scenario.max)
    unusable = scenario.issue(LinkKind.DESK, scenario.max)
    browser = scenario.open_link(old)
    yield "link-gilt-nicht-mehr/ersetzt", browser
    yield "link-erneuert/neu", browser.press("Neuen Link an dieselbe Adresse senden")
    for end in (LinkState.EXPIRED, LinkState.WITHDRAWN):
        scenario.set(unusable, ended_at=unusable.issued_at + timedelta(minutes=1), ended_as=end)
        yield f"link-gilt-nicht-mehr/{end}", scenario.open_link(unusable)
    yield "link-unbekannt/neu", scenario.new_browser().open("/link/x")
    link = scenario.issue(LinkKind.RECOVERY, scenario.max)
    scenario.set(scenario.max, locked_at=link.issued_at)
    yield "konto-gesperrt/neu", scenario.open_link(link)


def desk_link_flow(scenario: Scenario) -> Iterator[State]:
    """The steps of the hand-out, with every refusal."""
    link = scenario.issue(LinkKind.DESK, scenario.anneliese)
    browser = scenario.open_link(link)
    yield "link-zum-konto/neu", browser
    yield "link-zum-konto/ohne-haken", browser.press("Weiter")
    browser.check("Ich bin kein Roboter")
    yield "bilderraetsel/neu", browser if browser.htmx else browser.press("Weiter")
    yield "bilderraetsel/falsch", browser.press("Bestätigen")
    yield "bilderraetsel/neues-raetsel", browser.follow("Neues Rätsel")
    yield "code/neu", browser.follow("Code aus der E-Mail eingeben")
    yield "code/unvollstaendig", browser.submit("Bestätigen", {"Code aus der E-Mail": "falsch"})
    yield "code/falsch", browser.submit("Bestätigen", {"Code aus der E-Mail": "AAAA-AAAA"})
    yield "bestaetigt/neu", browser.submit("Bestätigen", {"Code aus der E-Mail": scenario.backend.keys.code(link)})
    yield "konto-bearbeiten/neu", browser.follow("Konto bearbeiten")
    yield "konto-bearbeiten/abgewiesen", browser.submit("Registrieren", {"Passwort": "kurz", "Nachname": ""})
    yield "fertig/registriert", browser.submit("Registrieren", {"Nachname": LONG, **NEW})
    yield from letter_flow(scenario)
    unusable = scenario.issue(LinkKind.DESK, scenario.anneliese)
    scenario.set(unusable, code_tries=CODE_TRIES)
    yield "code/verbraucht", scenario.open_link(unusable).follow("Code aus der E-Mail eingeben")


def letter_flow(scenario: Scenario) -> Iterator[State]:
    """The Zugangsbrief, from the page that prints it to the end of its use."""
    factor = scenario.backend.add_second_factor(scenario.tim)
    desk = scenario.desk_browser(scenario.tim)
    desk.open(f"/kundenservice/kunden/{scenario.anneliese.id}")
    yield "bestaetigen/code", desk.follow("Zugangsbrief drucken")
    yield "bestaetigen/falscher-code", desk.submit("Weiter", {"Code aus der App": "000000"})
    yield "zugangsbrief-drucken/neu", desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    yield "zugangsbrief-drucken/leer", desk.press("Zugangsbrief drucken")
    desk.check("Rückruf").check("Ich übergebe ihn")
    yield "zugangsbrief/neu", desk.press("Zugangsbrief drucken")
    letter = scenario.backend.links(LinkKind.LETTER)[-1]
    yield "kunde/zugangsbrief", desk.open(f"/kundenservice/kunden/{scenario.anneliese.id}")
    browser = scenario.new_browser()
    yield "zugangsbrief-einloesen/neu", browser.open("/link")
    number, code = scenario.anneliese.number, scenario.backend.keys.letter_code(letter)
    wrong = {"Kundennummer": number, "Code aus dem Zugangsbrief": "falsch"}
    yield "zugangsbrief-einloesen/falsch", browser.submit("Bestätigen", wrong)
    browser.submit("Bestätigen", {"Code aus dem Zugangsbrief": code}).follow("Konto bearbeiten")
    yield "fertig/zugangsbrief", browser.submit("Registrieren", NEW)
    browser.open("/link").submit("Bestätigen", {"Kundennummer": number, "Code aus dem Zugangsbrief": code})
    yield "link-gilt-nicht-mehr/zugangsbrief", browser
    without_factor = scenario.desk_browser(scenario.rosa).open(f"/kundenservice/kunden/{scenario.max.id}")
    yield "bestaetigen/ohne-zweiten-faktor", without_factor.follow("Zugangsbrief drucken")


def send_and_return(tx: Transaction, customer: Customer) -> None:
    """Queue a mail to the customer that has come back."""
    outbox.mark_bounced(tx, tx.send("password_changed", customer), 550, "Adresse unbekannt")


def desk_flow(scenario: Scenario) -> Iterator[State]:
    desk = scenario.desk_browser(scenario.rosa)
    yield "kunden/neu", desk.open("/kundenservice/kunden")
    for query in ("must", "mustremann", "niemand"):
        yield f"kunden/{query}", desk.submit("Suchen", {"Kunden suchen": query})
    screen = f"/kundenservice/kunden/{scenario.erika.id}"
    yield "kunde/neu", desk.open(screen)
    yield "kunde/ohne-pruefung", desk.press("Adresse berichtigen und Link senden")
    new = {"Neue E-Mail-Adresse": "e@web.de"}
    yield "kunde/berichtigt", desk.check("Rückruf").submit("Adresse berichtigen und Link senden", new)
    yield "kunde/link-gesendet", desk.press("Link senden")
    yield "kunde/erneut-gesendet", desk.press("Erneut senden")
    scenario.backend.run(send_and_return, scenario.anneliese)
    yield "kunde/unerreichbar", desk.open(f"/kundenservice/kunden/{scenario.anneliese.id}")
    desk.open(screen)
    yield "kunde/gesperrt", desk.press("Konto sperren")
    yield "vorschau/tippfehler", desk.open(f"{screen}/vorschau?email=erika@gmx.ed")
    yield "daten-am-schalter/abgewiesen", desk.open(f"{screen}/daten").submit("Speichern", {"Nachname": ""})
    yield "neuer-kunde/abgewiesen", desk.open("/kundenservice/kunden/neu").press("Konto anlegen")
    taken = {"Kundennummer": "K-77", "E-Mail-Adresse": scenario.max.email, "Nachname": "Neu"}
    yield "neuer-kunde/adresse-vergeben", desk.submit("Konto anlegen", taken)
    desk.open(f"/kundenservice/kunden/{scenario.anneliese.id}").check("Kundennummer genannt")
    yield "kunde/kundennummer-genuegt-nicht", desk.submit("Adresse berichtigen und Link senden", new)
    yield "kunde/noch-einmal", desk.press("Link senden")
    yield "kunden/liste", desk.open("/kundenservice/kunden/liste/nie-aktiviert")


def objection_flow(scenario: Scenario) -> Iterator[State]:
    """A customer who objected and whose new address waits for a second person; another objection after that."""
    customer, desk = scenario.backend.add(people.person(people.LIESELOTTE)), scenario.desk_browser(scenario.rosa)
    scenario.set(customer, objection=Objection.OPEN)
    waiting = {"email": "l@web.de", "check": "callback", "note": "Sekretariat", "proposed_at": people.LONG_AGO}
    scenario.backend.add(AddressProposal(customer_id=customer.id, clerk_id=scenario.tim.id, **waiting))
    yield "anfragen/vorschlag", desk.open("/kundenservice/anfragen")
    yield "kunde/vorschlag", desk.open(f"/kundenservice/kunden/{customer.id}")
    scenario.backend.run(prove, scenario.rosa)
    yield "kunde/entsperren-ohne-pruefung", desk.submit("Konto entsperren", {"Grund": "Anruf"})
    yield "kunde/abgelehnt", desk.press("Ablehnen")
    scenario.set(customer, objection=Objection.SETTLED, locked_at=None)
    link = scenario.backend.run(links.issue, LinkKind.OBJECTION, customer, "alt@schule.example")
    yield "das-war-ich-nicht/noch-einmal", scenario.open_link(link).press("Das war ich nicht – Konto sperren")


def clerk_flow(scenario: Scenario) -> Iterator[State]:
    tim, browser = scenario.tim, scenario.new_browser()
    yield "kundenservice-anmelden/neu", browser.open("/kundenservice/anmelden")
    login = {"E-Mail-Adresse": tim.email, "Passwort": people.password_of(tim)}
    wrong = browser.submit("Anmelden", login | {"Passwort": "falsches passwort"})
    yield "kundenservice-anmelden/abgewiesen", wrong
    yield "kundenservice-anmelden/ohne-zugang", browser.submit("Anmelden", login)
    link = scenario.issue(LinkKind.CLERK_FIRST, tim)
    yield "zugang-einrichten/neu", browser.open(scenario.link_path(link))
    yield "zugang-einrichten/kurzes-passwort", browser.submit("Weiter", NEW | {"Passwort": "kurz"})
    yield "zugang-einrichten/code", browser.submit("Weiter", NEW)
    yield "zugang-einrichten/falscher-code", browser.submit("Zugang einrichten", {"Code aus der App": "000000"})
    code = scenario.backend.totp_code(browser.read("code"))
    yield "zugang-einrichten/fertig", browser.submit("Zugang einrichten", {"Code aus der App": code})
    browser.check("Ich habe die Ersatzcodes aufbewahrt").press("Weiter")
    yield "zweiter-faktor/neu", browser.submit("Anmelden", login | {"Passwort": people.NEW_PASSWORD})
    yield "zweiter-faktor/falsch", browser.submit("Weiter", {"Code aus der App": "000000"})
    yield "zugang-einrichten/benutzt", browser.open(scenario.link_path(link))
    desk = scenario.desk_browser(scenario.rosa)
    yield "mitarbeitende/neu", desk.open("/kundenservice/mitarbeitende")
    yield "mitarbeitende/sperren", desk.follow("Sperren")
    yield "mitarbeitende/gesperrt", desk.press("Ja, sperren")
    scenario.backend.run(prove, scenario.rosa)
    yield "mitarbeitende/anlegen", desk.follow("Zugang anlegen")
    yield "mitarbeitende/abgewiesen", desk.submit("Anlegen und Link senden", {"Kürzel": "x"})
    yield "mitarbeitende/aendern", desk.open("/kundenservice/mitarbeitende").follow("Ändern")
    yield "mitarbeitende/aendern-abgewiesen", desk.submit("Speichern", {"Kürzel": "ro"})
    yield "mitarbeitende/ausscheiden", desk.open("/kundenservice/mitarbeitende").follow("Ausgeschieden")
    yield "mitarbeitende/ausgeschieden", desk.press("Ja, ausgeschieden")
    yield from own_access_flow(scenario)


def own_access_flow(scenario: Scenario) -> Iterator[State]:
    """Mein Zugang of a clerk with a second factor, who has just entered it, and who is logged in twice."""
    scenario.backend.add_second_factor(scenario.rosa)
    for device in ("Safari unter iOS", "Edge unter Windows"):
        scenario.backend.run(devices.remember, scenario.rosa, device)
    session_token(scenario.backend, scenario.rosa)
    desk = scenario.desk_browser(scenario.rosa)
    yield "mein-zugang/neu", desk.open("/kundenservice/zugang")
    yield "mein-zugang/abgemeldet", desk.press("Alle anderen Geräte abmelden")
    scenario.backend.run(prove, scenario.rosa)
    yield "mein-zugang/passwort", desk.follow("Passwort ändern")
    yield "mein-zugang/falsches-passwort", desk.submit("Passwort speichern", {"Aktuelles Passwort": "falsch", **NEW})
    yield "mein-zugang/ersatzcodes", desk.open("/kundenservice/zugang").follow("Neue Ersatzcodes")
    yield "mein-zugang/neue-ersatzcodes", desk.press("Neue Ersatzcodes zeigen")
    yield "mein-zugang/app", desk.open("/kundenservice/zugang").follow("Neue App einrichten")
    yield "mein-zugang/falscher-code", desk.submit("Einrichten", {"Code aus der App": "000000"})
    code = scenario.backend.totp_code(desk.read("code"))
    yield "mein-zugang/app-eingerichtet", desk.submit("Einrichten", {"Code aus der App": code})


def desk_list_flow(scenario: Scenario) -> Iterator[State]:
    browser = scenario.desk_browser(scenario.rosa)
    refused = scenario.backend.run(lambda tx, person: tx.send("password_changed", person), scenario.erika)
    scenario.set(refused, state=MailState.REFUSED, leased_until=None)  # not settled again by the worker
    yield "anfragen/neu", browser.open("/kundenservice/anfragen")
    yield "anfragen/falsche-nummer", browser.open("/kundenservice/anfragen?nummer=x")
    yield "postausgang/abgelehnt", browser.open("/kundenservice/postausgang?zustand=abgelehnt")
    yield "postausgang/erneut", browser.press("Erneut senden")
    yield "kunde-emails/neu", browser.open(f"/kundenservice/kunden/{scenario.erika.id}/emails")
    yield "bericht/neu", browser.open("/kundenservice/bericht")
    yield "diagnose/neu", browser.open("/kundenservice/diagnose")
    scenario.backend.run(diagnosis.register_host, "konto.kmz.example")
    yield "diagnose/noch-nicht", browser.open("/kundenservice/diagnose")
    scenario.backend.run(diagnosis.store, "konto.kmz.example", SOME_RESULTS)
    yield "diagnose/ergebnis", browser.open("/kundenservice/diagnose")
    yield "diagnose/angefordert", browser.press("Jetzt prüfen")
    yield "protokoll/neu", browser.open("/kundenservice/protokoll")
    yield "protokoll/abgewiesen", browser.open("/kundenservice/protokoll?von=1999-12-31&person=ro")


def mailbox_outage_flow(scenario: Scenario) -> Iterator[State]:
    """A support mailbox that cannot be read. A served portal has a setting of its own: see tests/e2e/test_cases.py."""
    scenario.backend.run(support_mail.record_outage, "imap.kmz.example:993 ist nicht erreichbar.")
    browser = scenario.desk_browser(scenario.rosa)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(scenario.backend.app.config, "IMAP_SERVER", "imap.kmz.example")
        yield "anfragen/postfach-gestoert", browser.open("/kundenservice/anfragen")


def case_flow(scenario: Scenario) -> Iterator[State]:
    """The written requests at the desk, up to the link that answers one of them."""
    with scenario.backend.transaction() as tx:
        cases = [sample_people.open_case(tx, dict(case)) for case in people.CASES]
        taken = support.open_case(tx, "address_changed", "form", LONG_ADDRESS, LONG * 9, new_email=scenario.max.email)
        tx.session.flush()
        support.add_reply(tx, taken, "fremd@nirgends.example", "Auch ich.", attachments=["Ausweis.pdf"])
    browser = scenario.desk_browser(scenario.rosa)
    yield "anfragen/schriftliche", browser.open("/kundenservice/anfragen")
    yield "anfragen/abgeschlossene", browser.open("/kundenservice/anfragen?stand=abgeschlossen")
    yield "kunden/vorgangsnummer", browser.open(f"/kundenservice/kunden?suche={taken.reference}")
    yield "anfrage/adresse-vergeben", browser.follow(f"Anfrage {taken.reference}")
    scenario.backend.run(accounts.request_address_change, scenario.anneliese, cases[0].new_email)
    yield "anfrage/adresse-unbestaetigt", browser.open(f"/kundenservice/anfragen/{cases[0].id}")
    browser.open(f"/kundenservice/kunden/{scenario.anneliese.id}?anfrage={cases[0].id}")
    yield "kunde/adresse-verworfen", browser.press("Unbestätigte Adresse verwerfen")
    yield "anfrage/vorlage", browser.open(f"/kundenservice/anfragen/{taken.id}?vorlage=person")
    yield "anfrage/ohne-grund", browser.press("Abschließen")
    yield "anfrage/rueckfrage-gesendet", browser.submit("Rückfrage senden", {"Text der Rückfrage": "Wer sind Sie?"})
    yield "anfrage/notiz-gespeichert", browser.submit("Notiz speichern", {"Text der Notiz": LONG})
    yield (
        "anfrage/zusammengefuehrt",
        browser.submit("Zusammenführen", {"Vorgangsnummer der anderen Anfrage": cases[1].reference}),
    )
    browser.open(f"/kundenservice/anfragen?nummer={taken.reference}").follow(taken.reference)
    yield "anfrage/wieder-offen", browser.press("Wieder öffnen")
    yield "anfrage/in-bearbeitung", browser.press("In Bearbeitung nehmen")
    yield "kunde/fremde-anfrage", browser.open(f"/kundenservice/kunden/{scenario.erika.id}?anfrage={cases[0].id}")
    yield "kunde/anfrage-zugeordnet", browser.press("Diesem Kunden zuordnen")
    yield "kunde/anfrage-ohne-pruefung", browser.press("Adresse berichtigen und Link senden")
    yield "kunde/anfrage-beantwortet", browser.check("Rückruf").press("Adresse berichtigen und Link senden")
    yield "anfrage/beantwortet", browser.follow(f"Anfrage {cases[0].reference}")


def deletion_flow(scenario: Scenario) -> Iterator[State]:
    """The deletion of an account, from Einstellungen to the desk."""
    leaving = scenario.backend.add(people.person(people.JUERGEN))
    browser = scenario.log_in(leaving)
    yield "konto-loeschen/passwort", browser.follow("Konto löschen")
    current = {"Aktuelles Passwort": people.password_of(leaving)}
    yield "konto-loeschen/neu", browser.submit("Weiter", current)
    yield "konto-loeschen/angefordert", browser.press("Löschung anfordern")
    scenario.backend.run(links.issue, LinkKind.DESK, leaving, leaving.pending_email)
    keeping = scenario.log_in(leaving)
    yield "adresse-behalten/passwort", keeping.press("Bisherige Adresse behalten")
    yield "adresse-behalten/neu", keeping.submit("Weiter", current)
    factor = scenario.backend.add_second_factor(scenario.rosa)
    case = scenario.backend.read(select(SupportCase).where(SupportCase.customer_id == leaving.id))[0]
    desk = scenario.desk_browser(scenario.rosa).open(f"/kundenservice/anfragen/{case.id}")
    yield "anfrage/loeschung", desk
    desk.follow("Konto löschen")
    yield "loeschen/neu", desk.submit("Weiter", {"Code aus der App": factor.recovery_codes[0]})
    yield "loeschen/abgewiesen", desk.press("Konto endgültig löschen")
    for state, objection in (("widerspruch", Objection.OPEN), ("geloescht", None)):
        scenario.set(leaving, objection=objection)
        desk.open(f"/kundenservice/kunden/{leaving.id}/loeschen")
        desk.check("Nein, es ist alles zurück").fill_in("Grund", "auf eigenen Wunsch")
        yield f"loeschen/{state}", desk.press("Konto endgültig löschen")
    yield "anmelden/konto-geloescht", browser.open("/einstellungen")


def office_pages_flow(scenario: Scenario) -> Iterator[State]:
    """The pages whose texts the operator changes."""
    browser = scenario.new_browser()
    yield "hilfe/link-geht-nicht", browser.open("/hilfe#link-geht-nicht")
    for page in ("impressum", "datenschutz", "barrierefreiheit", "leichte-sprache"):
        yield f"{page}/neu", browser.open(f"/{page}")
    for page in ("handreichung", "zettel"):
        yield f"{page}/neu", browser.open(f"/hilfe/{page}")


SUPPORT_FIELDS = {
    "Vorname": "Erika",
    "Nachname": "Mustermann",
    "Schule": "GMS Musterstadt",
    "Bisherige E-Mail-Adresse": "erika.mustermann@alte-schule.example",
    "Neue E-Mail-Adresse": "erika@privat.example",
    "Nachricht": "Benötige neue Zugangsdaten für edupool",
}


def support_flow(scenario: Scenario) -> Iterator[State]:
    """A written request: each branch, and the steps of one with every refusal."""
    browser = scenario.new_browser()
    yield "kein-zugriff/neu", browser.open("/kein-zugriff")
    for path in ("keine-mail", "adresse-unbekannt", "anderes"):
        yield f"kein-zugriff/{path}", browser.open(f"/kein-zugriff/{path}")
    browser.open("/kein-zugriff")
    yield "kein-zugriff/adresse-geaendert", browser.follow("Meine E-Mail-Adresse hat sich geändert")
    yield "kein-zugriff/leer", browser.press("Weiter")
    yield "kein-zugriff/ohne-haken", browser.submit("Weiter", SUPPORT_FIELDS)
    browser.check("Ich bin kein Roboter")
    yield "kein-zugriff/raetsel", browser if browser.htmx else browser.press("Weiter")
    yield "kein-zugriff/raetsel-falsch", browser.press("Bestätigen")
    yield "kein-zugriff/code", browser.press("Code aus der E-Mail eingeben")
    yield "kein-zugriff/code-falsch", browser.submit("Bestätigen", {"Code aus der E-Mail": "falsch"})
    yield "kein-zugriff/kein-code-mehr", browser.press("Neuen Code senden").press("Neuen Code senden")
    code = support.code_of(scenario.backend.keys, scenario.backend.mails("case_code")[-1].message_id)
    yield "kein-zugriff/lange-offen", browser.stale().submit("Bestätigen", {"Code aus der E-Mail": code})
    yield "kein-zugriff/gesendet", browser.press("Bestätigen")


def flood_flow(scenario: Scenario) -> Iterator[State]:
    """More requests for a new password than are stored."""

    def flood(tx: Transaction) -> None:
        for counted in (recovery.IN_ALL, recovery.DROPPED):
            row = {"counted": counted, "hour": tx.hour, "number": 5000}
            upsert(tx.session, RequestCount, row, {"number": 5000})

    scenario.backend.run(flood)
    browser = scenario.new_browser().open("/passwort-vergessen")
    yield "gesendet/sehr-viele", browser.submit("Link anfordern", {"E-Mail-Adresse": scenario.erika.email})
    yield "anfragen/sehr-viele", scenario.desk_browser(scenario.rosa).open("/kundenservice/anfragen")


def passkey(backend: Backend, person: Any, name: str, **values: Any) -> Passkey:
    """Store a passkey whose device does not exist."""
    owner = {f"{person.__tablename__}_id": person.id}
    row = {
        "credential_id": name.encode().hex(),
        "public_key": "x",
        "user_handle": "x",
        "host": "localhost",
        "sign_count": 0,
    }
    return backend.add(Passkey(**row | owner | values, name=name, created_at=datetime.now(UTC)))


def passkey_flow(scenario: Scenario) -> Iterator[State]:
    passkey(scenario.backend, scenario.erika, "Mein Telefon", last_used=datetime.now(UTC))
    passkey(scenario.backend, scenario.erika, LONG, host="alt.kmz.example")
    browser = scenario.log_in(scenario.erika)
    yield "passkeys/passwort", browser.open("/einstellungen").follow("Passkeys")
    wrong = {"Aktuelles Passwort": "falsches passwort"}
    yield "passkeys/falsches-passwort", browser.submit("Weiter", wrong)
    current = {"Aktuelles Passwort": people.password_of(scenario.erika)}
    yield "passkeys/liste", browser.submit("Weiter", current)
    yield "passkeys/aendern", browser.follow("Mein Telefon ändern oder entfernen")
    yield "passkeys/abgewiesen", browser.submit("Speichern", {"Name": " "})
    yield "passkeys/umbenannt", browser.submit("Speichern", {"Name": "Altes Telefon"})
    browser = scenario.open_link(scenario.issue(LinkKind.RECOVERY, scenario.erika))
    yield "neues-passwort/passkeys", browser
    yield "neues-passwort/passkeys-abgewiesen", browser.submit("Passwort speichern", {"Passwort": "x"})
    yield "fertig/passkeys", browser.submit("Passwort speichern", NEW)
    scenario.set(scenario.erika, password_hash=scenario.erika.password_hash)  # that of before, for the flows after it
    passkey(scenario.backend, scenario.rosa, "Schlüssel am Bund")
    desk = scenario.desk_browser(scenario.rosa)
    yield "mein-zugang/passkey", desk.open("/kundenservice/zugang")
    yield "mein-zugang/passkey-bestaetigen", desk.follow("Passkeys ändern")
    waiting = scenario.new_browser().open("/kundenservice/anmelden")
    fields = {"E-Mail-Adresse": scenario.rosa.email, "Passwort": people.password_of(scenario.rosa)}
    yield "zweiter-faktor/passkey", waiting.submit("Anmelden", fields)


FLOWS = (
    *(login_flow, account_flow, support_flow, link_flow, desk_link_flow),
    *(desk_flow, objection_flow, clerk_flow, desk_list_flow, mailbox_outage_flow, case_flow, deletion_flow),
    *(office_pages_flow, passkey_flow, flood_flow),
)


def every_state(scenario: Scenario) -> Iterator[State]:
    for flow in FLOWS:
        yield from flow(scenario)
