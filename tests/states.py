"""Every state of every page: one walk through the whole house, for house rules, browsers, checkers and pictures alike.

A way is a generator: it walks with whatever browser the house gives it, the simulated one of tests/browser.py or the
real one of tests/e2e/sitting.py, and yields the name of a state, "page/state", with the browser that stands before it.
A new errand adds its way to WAYS, and everything that must be true of all pages is asked of its pages too.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from kmzportal.models.account_link import CODE_TRIES, AccountLink, LinkKind, LinkState
from kmzportal.models.outgoing_mail import MailState
from kmzportal.services import links, sessions
from tests import people as people_module
from tests.backend import Backend
from tests.people import NEW

State = tuple[str, Any]
LONG = "Wolfeschlegelsteinhausenbergerdorff-Müller-Lüdenscheidt"
LONG_ADDRESS = "anna.wolfeschlegelsteinhausenbergerdorff@gesamtschule-beispielhausen.example"


class House:
    """The portal with its people; whoever sits down gets a browser of their own."""

    def __init__(self, sit_down: Callable[[], Any], backend: Backend):
        self.sit_down = sit_down
        self.backend = backend
        people = (
            people_module.ERIKA,
            people_module.MAX,
            people_module.ANNELIESE,
            people_module.ROSA,
            people_module.TIM,
        )
        self.erika, self.max, self.anneliese, self.rosa, self.tim = (
            backend.add(people_module.person(one)) for one in people
        )

    def log_in(self, person: Any) -> Any:
        browser = self.sit_down().open("/anmelden")
        return browser.submit(
            "Anmelden", {"E-Mail-Adresse": person.email, "Passwort": people_module.password_of(person)}
        )

    def at_the_desk(self, clerk: Any) -> Any:
        return self.sit_down().come_in(self.backend.run(sessions.start_session, clerk, "Firefox unter Linux").token)

    def issue(self, kind: LinkKind, person: Any) -> AccountLink:
        return self.backend.run(links.issue, kind, person)

    def follow(self, link: AccountLink) -> Any:
        """Open the link as from the mail."""
        return self.sit_down().open(self.mailed(link))

    def mailed(self, link: AccountLink) -> str:
        return f"/link/{self.backend.keys.token(link)}"

    def set(self, thing: Any, **values: Any) -> None:
        """Let something be as time, or the office, makes it."""
        with self.backend.transaction("console") as tx:
            found = tx.session.get(type(thing), thing.id)
            for name, value in values.items():
                setattr(found, name, value)


def the_ways_in(house: House) -> Iterator[State]:
    stranger = house.sit_down()
    yield "anmelden/neu", stranger.open("/anmelden")
    yield "anmelden/leer", stranger.press("Anmelden")
    wrong = {"E-Mail-Adresse": house.erika.email, "Passwort": "falsches passwort"}
    yield "anmelden/abgewiesen", stranger.submit("Anmelden", wrong)
    yield "anmelden/lange-offen", stranger.stale().submit("Anmelden", wrong)
    yield "passwort-vergessen/neu", stranger.follow("Passwort vergessen?")
    yield "passwort-vergessen/abgewiesen", stranger.submit("Link anfordern", {"E-Mail-Adresse": "kein"})
    yield "gesendet/neu", stranger.submit("Link anfordern", {"E-Mail-Adresse": house.erika.email})
    yield "gesendet/noch-einmal", stranger.press("Noch einmal senden")
    yield "fehler/404", stranger.open("/gibt-es-nicht")
    yield "fehler/405", stranger.open("/abmelden")


def the_account(house: House) -> Iterator[State]:
    browser = house.log_in(house.erika)
    yield "einstellungen/neu", browser
    yield "konto-anpassen/passwort", browser.follow("Konto anpassen")
    yield "konto-anpassen/falsches-passwort", browser.submit("Weiter", {"Aktuelles Passwort": "falsches passwort"})
    hers = {"Aktuelles Passwort": people_module.password_of(house.erika)}
    yield "konto-anpassen/formular", browser.submit("Weiter", hers)
    wrong = {"Neue E-Mail-Adresse": "kein", "Passwort": "x", "Nachname": ""}
    yield "konto-anpassen/abgewiesen", browser.submit("Speichern", wrong)
    long = {"Nachname": LONG, "Schule": LONG, "Neue E-Mail-Adresse": LONG_ADDRESS}
    yield "konto-anpassen/gespeichert", browser.submit("Speichern", long)
    yield "einstellungen/lange-namen", browser.open("/einstellungen")
    house.log_in(house.erika)
    for page in ("geraete", "verlauf", "daten"):
        yield f"{page}/neu", browser.open(f"/einstellungen/{page}")
    browser.open("/einstellungen/geraete")
    yield "geraete/abgemeldet", browser.press("Alle anderen Geräte abmelden")
    yield "abmelden/lange-offen", browser.stale().press("Abmelden")
    yield "anmelden/abgemeldet", browser.open("/einstellungen").press("Abmelden")
    browser = house.log_in(house.erika).follow("Konto anpassen")
    house.backend.run(sessions.end_all, house.erika)
    yield "anmelden/sitzung-beendet", browser.submit("Weiter", hers)


def the_links(house: House) -> Iterator[State]:
    """From opening a link of each kind to Fertig, and every page a link can end on."""
    yield from the_new_password(house)
    yield "adresse-bestaetigen/neu", house.follow(house.issue(LinkKind.ADDRESS, house.max))
    yield from the_dead_links(house)
    browser = house.follow(house.issue(LinkKind.OBJECTION, house.max))
    yield "das-war-ich-nicht/neu", browser
    yield "das-war-ich-nicht/gesperrt", browser.press("Das war ich nicht – Konto sperren")


def the_new_password(house: House) -> Iterator[State]:
    link = house.issue(LinkKind.RECOVERY, house.max)
    browser = house.follow(link)
    yield "neues-passwort/neu", browser
    yield "neues-passwort/ungleich", browser.submit("Passwort speichern", NEW | {"Wdh. Passwort": "anders"})
    yield "neues-passwort/abbrechen", browser.stale().press("Abbrechen")
    browser.open(house.mailed(link))
    yield "fertig/neues-passwort", browser.submit("Passwort speichern", NEW)
    yield "link-gilt-nicht-mehr/benutzt", browser.open(house.mailed(link))
    somebody = house.log_in(house.erika)
    yield "jemand-anderes/neu", somebody.open(house.mailed(house.issue(LinkKind.RECOVERY, house.max)))


def the_dead_links(house: House) -> Iterator[State]:
    old = house.issue(LinkKind.DESK, house.max)
    stuck = house.issue(LinkKind.DESK, house.max)
    browser = house.follow(old)
    yield "link-gilt-nicht-mehr/ersetzt", browser
    yield "link-gilt-nicht-mehr/erneuert", browser.press("Neuen Link an dieselbe Adresse senden")
    for end in (LinkState.EXPIRED, LinkState.WITHDRAWN):
        house.set(stuck, ended_at=stuck.issued_at + timedelta(minutes=1), ended_as=end)
        yield f"link-gilt-nicht-mehr/{end}", house.follow(stuck)
    yield "link-unbekannt/neu", house.sit_down().open("/link/x")
    link = house.issue(LinkKind.RECOVERY, house.max)
    house.set(house.max, locked_at=link.issued_at)
    yield "konto-gesperrt/neu", house.follow(link)


def the_desk_link(house: House) -> Iterator[State]:
    """The seven steps of the hand-out, with every way to go wrong in them."""
    link = house.issue(LinkKind.DESK, house.anneliese)
    browser = house.follow(link)
    yield "link-zum-konto/neu", browser
    yield "link-zum-konto/ohne-haken", browser.press("Weiter")
    browser.check("Ich bin kein Roboter")
    yield "bilderraetsel/neu", browser if browser.htmx else browser.press("Weiter")
    yield "bilderraetsel/falsch", browser.press("Bestätigen")
    yield "bilderraetsel/neues-raetsel", browser.follow("Neues Rätsel")
    yield "code/neu", browser.follow("Code aus der E-Mail eingeben")
    yield "code/falsch", browser.submit("Bestätigen", {"Code aus der E-Mail": "falsch"})
    yield "bestaetigt/neu", browser.submit("Bestätigen", {"Code aus der E-Mail": house.backend.keys.code(link)})
    yield "konto-bearbeiten/neu", browser.follow("Konto bearbeiten")
    yield "konto-bearbeiten/abgewiesen", browser.submit("Registrieren", {"Passwort": "kurz", "Nachname": ""})
    yield "fertig/registriert", browser.submit("Registrieren", {"Nachname": LONG, **NEW})
    stuck = house.issue(LinkKind.DESK, house.anneliese)
    house.set(stuck, code_tries=CODE_TRIES)
    yield "code/verbraucht", house.follow(stuck).follow("Code aus der E-Mail eingeben")


def the_desk(house: House) -> Iterator[State]:
    desk = house.at_the_desk(house.rosa)
    yield "kunden/neu", desk.open("/kundenservice/kunden")
    for query in ("must", "mustremann", "niemand"):
        yield f"kunden/{query}", desk.submit("Suchen", {"Kunden suchen": query})
    screen = f"/kundenservice/kunden/{house.erika.id}"
    yield "kunde/neu", desk.open(screen)
    yield "kunde/ohne-pruefung", desk.press("Adresse berichtigen und Link senden")
    new = {"Neue E-Mail-Adresse": "e@web.de"}
    yield "kunde/berichtigt", desk.check("Rückruf").submit("Adresse berichtigen und Link senden", new)
    yield "kunde/link-gesendet", desk.press("Link senden")
    yield "kunde/erneut-gesendet", desk.press("Erneut senden")
    yield "kunde/gesperrt", desk.press("Konto sperren")
    yield "vorschau/tippfehler", desk.open(f"{screen}/vorschau?email=erika@gmx.ed")
    yield "daten-am-schalter/abgewiesen", desk.open(f"{screen}/daten").submit("Speichern", {"Nachname": ""})
    yield "neuer-kunde/abgewiesen", desk.open("/kundenservice/kunden/neu").press("Konto anlegen")


def the_staff(house: House) -> Iterator[State]:
    tim, browser = house.tim, house.sit_down()
    yield "kundenservice-anmelden/neu", browser.open("/kundenservice/anmelden")
    hers = {"E-Mail-Adresse": tim.email, "Passwort": people_module.password_of(tim)}
    wrong = browser.submit("Anmelden", hers | {"Passwort": "falsches passwort"})
    yield "kundenservice-anmelden/abgewiesen", wrong
    yield "kundenservice-anmelden/ohne-zugang", browser.submit("Anmelden", hers)
    link = house.issue(LinkKind.CLERK_FIRST, tim)
    yield "zugang-einrichten/neu", browser.open(house.mailed(link))
    yield "zugang-einrichten/falscher-code", browser.submit("Zugang einrichten", NEW | {"Code aus der App": "000000"})
    code = house.backend.totp_code(browser.read("code"))
    yield "zugang-einrichten/fertig", browser.submit("Zugang einrichten", NEW | {"Code aus der App": code})
    browser.follow("Zur Anmeldung im Kundenservice")
    yield "zweiter-faktor/neu", browser.submit("Anmelden", {"Passwort": people_module.NEW_PASSWORD})
    yield "zweiter-faktor/falsch", browser.submit("Weiter", {"Code aus der App": "000000"})
    yield "zugang-einrichten/benutzt", browser.open(house.mailed(link))
    desk = house.at_the_desk(house.rosa)
    yield "mitarbeitende/neu", desk.open("/kundenservice/mitarbeitende")
    yield "mitarbeitende/gesperrt", desk.press("Sperren")
    yield "mitarbeitende/anlegen", desk.follow("Jemanden anlegen")
    yield "mitarbeitende/abgewiesen", desk.submit("Anlegen und Link senden", {"Kürzel": "x"})


def the_lists(house: House) -> Iterator[State]:
    browser = house.at_the_desk(house.rosa)
    refused = house.backend.run(lambda tx, person: tx.send("password_changed", person), house.erika)
    house.set(refused, state=MailState.REFUSED)
    yield "anfragen/neu", browser.open("/kundenservice/anfragen")
    yield "anfragen/falsche-nummer", browser.open("/kundenservice/anfragen?nummer=x")
    yield "postausgang/abgelehnt", browser.open("/kundenservice/postausgang?zustand=abgelehnt")
    yield "postausgang/erneut", browser.press("Erneut senden")
    yield "kunde-emails/neu", browser.open(f"/kundenservice/kunden/{house.erika.id}/emails")
    yield "protokoll/neu", browser.open("/kundenservice/protokoll")
    yield "protokoll/abgewiesen", browser.open("/kundenservice/protokoll?von=1999-12-31&person=ro")


def the_office(house: House) -> Iterator[State]:
    """The pages of the office; the operator changes their texts."""
    browser = house.sit_down()
    yield "hilfe/link-geht-nicht", browser.open("/hilfe#link-geht-nicht")
    for page in ("impressum", "datenschutz", "barrierefreiheit", "leichte-sprache"):
        yield f"{page}/neu", browser.open(f"/{page}")


WAYS = (the_ways_in, the_account, the_links, the_desk_link, the_desk, the_staff, the_lists, the_office)


def every_state(house: House) -> Iterator[State]:
    for way in WAYS:
        yield from way(house)
