"""Adds the fictional people of sample_people.toml to the demo and the tests."""

import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from kmzportal.models import Clerk, Customer, LinkKind, MailState, SupportCase
from kmzportal.services import desk, links, recovery, support
from kmzportal.services.passwords import hash_password
from kmzportal.services.transaction import Transaction

_PEOPLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
CUSTOMERS = ERIKA, MAX, ANNELIESE, JUERGEN, LIESELOTTE = _PEOPLE["customers"]
CLERKS = ROSA, TIM = _PEOPLE["clerks"]
CASES = _PEOPLE["cases"]
PASSWORDS: dict[str, str] = _PEOPLE["passwords"]  #: by Kundennummer or initials; Anneliese has none yet

#: State, reply code and reason of a mail to each of them.
MAIL_RESULTS = {
    "K-1001": (MailState.SENT, 250, None),
    "K-1002": (MailState.REFUSED, 550, "Adresse unbekannt"),
    "K-1004": (MailState.DEFERRED, 450, "Der Mailserver nimmt die E-Mail gerade nicht an"),
    "K-1005": (MailState.BOUNCED, 550, "Adresse unbekannt"),
}


def enter(tx: Transaction) -> None:
    """Add all people, with passwords set a month ago, an open link, a locked account, mails, requests and cases."""
    people = {person["number"]: _person(tx, Customer, dict(person)) for person in CUSTOMERS}
    clerks = [_person(tx, Clerk, dict(person)) for person in CLERKS]
    tx.session.add_all([*people.values(), *clerks])
    tx.session.flush()
    lieselotte = people[LIESELOTTE["number"]]
    lieselotte.locked_at = tx.now
    by_rosa = replace(tx, actor=f"clerk:{clerks[0].id}", initials=ROSA["initials"])
    by_rosa.record("account.locked", lieselotte, why="Anruf der Schule: Sie ist bis zum Sommer beurlaubt.")
    juergen = people[JUERGEN["number"]]
    by_rosa.record("address.corrected", juergen, check="callback", note="")
    links.send(tx, links.issue(tx, LinkKind.DESK, juergen, juergen.pending_email, ROSA["initials"]))
    anneliese = people[ANNELIESE["number"]]
    desk.print_letter(tx, anneliese, anneliese.version, 0, "callback", "", posted=True)
    for number, (state, code, reason) in MAIL_RESULTS.items():
        mail = tx.send("password_changed", people[number])
        mail.state, mail.reply_code, mail.reason = state, code, reason
        if state is MailState.DEFERRED:
            mail.next_try_at = tx.now + timedelta(minutes=15)
        else:
            mail.settled_at = tx.now
    for address in ("erika.mustermnan@gms-musterstadt.example", "max.mustermann@bw.schule", "niemand@nirgends.example"):
        recovery.request_link(tx, address)
    for case in CASES:
        open_case(tx, dict(case))


def open_case(tx: Transaction, data: dict[str, Any]) -> SupportCase:
    """Open a case of the samples, `days_ago` of which is when it was received."""
    received_at = tx.now - timedelta(days=data.pop("days_ago"))
    case = support.open_case(tx, **data)
    case.received_at, case.promised_on = received_at, support.promised_day(received_at, tx.settings)
    case.entries[0].at = received_at
    return case


def _person(tx: Transaction, table: type[Any], data: dict[str, Any]) -> Any:
    email, pending = data.pop("email"), data.pop("pending_email", None)
    person = table(**data, created_at=tx.now - timedelta(days=90))
    person.set_email(email)
    if pending:
        person.set_pending_email(pending)
    if password := PASSWORDS.get(data.get("number") or data["initials"]):
        person.set_password_hash(hash_password(password), tx.now - timedelta(days=30))
    return person
