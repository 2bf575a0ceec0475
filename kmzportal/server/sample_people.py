"""The fictional people of the demo and the tests."""

from datetime import timedelta
from typing import Any

from kmzportal.models import Clerk, Customer, LinkKind, MailState
from kmzportal.services import links, recovery
from kmzportal.services.passwords import hash_password
from kmzportal.services.transaction import Transaction

GMS = {"school": "GMS Musterstadt", "street": "Schulweg 1", "postcode": "75365", "town": "Musterstadt"}
KITA = {"school": "Kita Regenbogen", "street": "Am Bach 4", "postcode": "75378", "town": "Beispielhausen"}

ERIKA: dict[str, Any] = {
    "number": "K-1001",
    "salutation": "Frau",
    "first_name": "Erika",
    "last_name": "Mustermann",
    "email": "erika.mustermann@gms-musterstadt.example",
    "phone": "07051 123456",
    **GMS,
}
MAX: dict[str, Any] = {
    "number": "K-1002",
    "salutation": "Herr",
    "first_name": "Max",
    "last_name": "Mustermann",
    "email": "max.mustermann@gms-musterstadt.example",
    **GMS,
}
ANNELIESE: dict[str, Any] = {
    "number": "K-1003",
    "salutation": "Frau",
    "first_name": "Anneliese",
    "last_name": "Müller-Lüdenscheidt",
    "email": "a.mueller-luedenscheidt@kita-regenbogen.example",
    **KITA,
}
JUERGEN: dict[str, Any] = {
    "number": "K-1004",
    "salutation": "Herr",
    "first_name": "Jürgen",
    "last_name": "Groß",
    "email": "juergen.gross@alte-schule.example",
    "pending_email": "juergen.gross@gms-musterstadt.example",
    **GMS,
}
LIESELOTTE: dict[str, Any] = {
    "number": "K-1005",
    "salutation": "Frau",
    "first_name": "Lieselotte",
    "last_name": "Schäfer",
    "email": "l.schaefer@kita-regenbogen.example",
    **KITA,
}
CUSTOMERS = (ERIKA, MAX, ANNELIESE, JUERGEN, LIESELOTTE)
ROSA: dict[str, Any] = {"name": "Rosa Otto", "initials": "ro", "email": "rosa.otto@kmz.example", "admin": True}
TIM: dict[str, Any] = {"name": "Tim Beispiel", "initials": "tb", "email": "tim.beispiel@kmz.example"}
CLERKS = (ROSA, TIM)

#: Passwords by Kundennummer or initials; Anneliese has none yet.
PASSWORDS = {
    "K-1001": "kirschbaum im april",
    "K-1002": "sieben blaue fahrräder",
    "K-1004": "tafelkreide unterm dach",
    "K-1005": "regen am nachmittag",
    "ro": "leihschein liegt obenauf",
    "tb": "projektor sucht leinwand",
}
#: State, reply code and reason of a mail to each of them.
MAIL_RESULTS = {
    "K-1001": (MailState.SENT, 250, None),
    "K-1002": (MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an"),
    "K-1003": (MailState.REFUSED, 550, "Adresse unbekannt"),
    "K-1005": (MailState.BOUNCED, None, None),
}


def enter(tx: Transaction) -> None:
    """Add all people, with passwords set a month ago, an open link, a locked account, mails and requests."""
    people = {person["number"]: _customer(tx, dict(person)) for person in CUSTOMERS}
    clerks = [_clerk(tx, dict(person)) for person in CLERKS]
    people[LIESELOTTE["number"]].locked_at = tx.now - timedelta(days=2)
    tx.session.add_all([*people.values(), *clerks])
    tx.session.flush()
    juergen = people[JUERGEN["number"]]
    links.send(tx, links.issue(tx, LinkKind.DESK, juergen, juergen.pending_email, ROSA["initials"]))
    for number, (state, code, reason) in MAIL_RESULTS.items():
        mail = tx.send("password_changed", people[number])
        mail.state, mail.reply_code, mail.reason = state, code, reason
        mail.settled_at = mail.next_try_at = tx.now + timedelta(minutes=15)
    for address in ("erika.mustermnan@gms-musterstadt.example", "max.mustermann@bw.schule", "niemand@nirgends.example"):
        recovery.request_link(tx, address)


def _customer(tx: Transaction, data: dict[str, Any]) -> Customer:
    email, pending = data.pop("email"), data.pop("pending_email", None)
    customer = Customer(**data, created_at=tx.now)
    customer.set_email(email)
    customer.set_pending_email(pending)
    if password := PASSWORDS.get(customer.number):
        _give_password(tx, customer, password)
    return customer


def _clerk(tx: Transaction, data: dict[str, Any]) -> Clerk:
    email = data.pop("email")
    clerk = Clerk(**data, created_at=tx.now)
    clerk.set_email(email)
    _give_password(tx, clerk, PASSWORDS[clerk.initials])
    return clerk


def _give_password(tx: Transaction, person: Customer | Clerk, password: str) -> None:
    person.set_password_hash(hash_password(password), tx.now - timedelta(days=30))
