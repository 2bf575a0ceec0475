"""Deletion of a customer's account (GDPR 17): requested under Einstellungen, done by a clerk."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, delete, func, or_, select, update
from sqlalchemy.orm import Session

from kmzportal.models import (
    AccountLink,
    AddressProposal,
    AuditEvent,
    CaseEntry,
    CaseState,
    Customer,
    CustomerAccess,
    DeletedCustomer,
    KeptEntry,
    KnownDevice,
    LoginSession,
    OutgoingMail,
    Passkey,
    RecoveryRequest,
    SupportCase,
)
from kmzportal.plain_text import canonical_number
from kmzportal.services import audit_chain, sessions, support
from kmzportal.services.refusals import Refusal
from kmzportal.services.tokens import LinkKeys
from kmzportal.services.transaction import Transaction, upsert

REQUEST = "Bitte löschen Sie mein Konto. (In den Einstellungen angefordert, nach dem aktuellen Passwort.)"
EVENTS_AT_ONCE = 500
NO_PERSON = dict.fromkeys(("email", "email_canonical", "name", "school", "old_email", "new_email", "phone"), "")


class LoansOpen(Refusal):
    """The customer still has media of the office."""

    message = "Es sind noch Medien ausgeliehen. Löschen Sie das Konto erst, wenn alles zurück ist."
    field = "loans"


def requested(session: Session, customer: Customer) -> SupportCase | None:
    """Return the customer's open request for deletion."""
    mine = SupportCase.customer_id == customer.id, SupportCase.branch == "deletion"
    return session.scalars(select(SupportCase).where(*mine, SupportCase.state != CaseState.CLOSED)).first()


def request(tx: Transaction, customer: Customer) -> SupportCase:
    """Open a case for the desk and notify the customer; a second request is part of the first."""
    tx.lock(customer)
    if case := requested(tx.session, customer):
        return case
    fields = {"name": customer.name, "school": customer.school, "customer": customer}
    case = support.open_case(tx, "deletion", "account", customer.email, REQUEST, proven=True, **fields)
    tx.warn("deletion_requested", customer, case=case)
    return case


def delete_customer(
    tx: Transaction, customer: Customer, seen_version: int, why: str, loans_open: bool, before: datetime | None = None
) -> None:
    """Delete all data of the customer; history and cases stay without the person. Raises LoansOpen, ChangedMeanwhile.
    After a restored backup, `before` is the time of the first deletion, and no second mail is sent.

    The Kundennummer stays as a keyed hash, so that an import or a restored backup does not bring the account back.
    """
    tx.lock(customer, seen_version)
    if loans_open:
        raise LoansOpen
    at = {"deleted_at": before or tx.now}
    upsert(tx.session, DeletedCustomer, {"number_hash": _hashes(tx.keys, customer.number)[0], **at}, at)
    sessions.clear_failures(tx, customer)
    _forget_cases(tx, customer)
    _forget_in_audit(tx, customer.id, why)
    mailed = _belongs_to(customer, OutgoingMail, OutgoingMail.recipient_canonical, OutgoingMail.clerk_id.is_(None))
    tx.session.execute(delete(OutgoingMail).where(mailed))
    asked = _belongs_to(customer, RecoveryRequest, RecoveryRequest.email_canonical)
    tx.session.execute(delete(RecoveryRequest).where(asked))
    links = select("link:" + cast(AccountLink.id, String)).where(AccountLink.customer_id == customer.id)
    typed = KeptEntry.actor == f"customer:{customer.id}", KeptEntry.actor.in_(links)
    of_address = KeptEntry.email_canonical == customer.email_canonical
    tx.session.execute(delete(KeptEntry).where(or_(*typed, of_address)))
    for table in (AccountLink, LoginSession, KnownDevice, Passkey, CustomerAccess, AddressProposal):
        tx.session.execute(delete(table).where(table.customer_id == customer.id))
    if not before:
        tx.send("account_deleted", None, to=customer.email, always=True)
    tx.session.delete(customer)


def _belongs_to(customer: Customer, table: Any, address: Any, *unnamed: ColumnElement[bool]) -> ColumnElement[bool]:
    """Match rows of the customer, and rows of no account with the confirmed address: anyone may enter a new address."""
    of_no_account = and_(table.customer_id.is_(None), address == customer.email_canonical, *unnamed)
    return or_(table.customer_id == customer.id, of_no_account)


def _forget_cases(tx: Transaction, customer: Customer) -> None:
    """Delete what was written, also in cases that were merged into these, and keep the rows for the Jahresbericht.

    In cases of others the replies from the customer's address, and from those of the customer's cases merged into them.
    The cases are locked first, as a reply does: one that is written at this moment is deleted as well.
    """
    mine = _belongs_to(customer, SupportCase, SupportCase.email_canonical)
    merged = mine, SupportCase.merged_into_id.is_not(None)
    author = func.lower(CaseEntry.author)  # stored as it was written, so the domain may have umlauts
    of_customer = or_(
        author.in_((customer.email_canonical, customer.email.lower())),
        author.in_(select(SupportCase.email_canonical).where(*merged)),
        author.in_(select(func.lower(SupportCase.email)).where(*merged)),
    )
    not_of_others = func.coalesce(SupportCase.customer_id, customer.id) == customer.id
    ids: set[int] = set()
    found = set(tx.session.scalars(select(SupportCase.id).where(mine).with_for_update()))
    while found:
        ids |= found
        doubles = select(SupportCase.id).where(SupportCase.merged_into_id.in_(found), not_of_others)
        found = set(tx.session.scalars(doubles.with_for_update())) - ids
    tx.session.execute(delete(CaseEntry).where(CaseEntry.kind == "foreign_reply", of_customer))
    tx.session.execute(delete(OutgoingMail).where(OutgoingMail.case_id.in_(ids)))
    tx.session.execute(delete(CaseEntry).where(CaseEntry.case_id.in_(ids)))
    theirs = update(SupportCase).where(SupportCase.id.in_(ids))
    tx.session.execute(theirs.values(customer_id=None, clerk_id=None, **NO_PERSON))
    closed: dict[str, Any] = {"state": CaseState.CLOSED, "state_since": tx.now, "closed_as": "deleted"}
    answered = {"answered_at": func.coalesce(SupportCase.answered_at, tx.now)}
    tx.session.execute(theirs.where(SupportCase.state != CaseState.CLOSED).values(closed | answered))


def _forget_in_audit(tx: Transaction, customer_id: int, why: str) -> None:
    """Replace the customer by a random name, so that the events of one account still belong together."""
    pseudonym = f"gelöscht-{secrets.token_hex(4)}"
    actor = f"customer:{customer_id}"
    links = select(AccountLink.id).where(AccountLink.customer_id == customer_id)
    actors = {actor, *(f"link:{link_id}" for link_id in tx.session.scalars(links))}
    about = or_(AuditEvent.customer_id == customer_id, AuditEvent.actor.in_(actors))
    last = 0
    while events := tx.session.scalars(
        select(AuditEvent).where(about, AuditEvent.id > last).order_by(AuditEvent.id).limit(EVENTS_AT_ONCE)
    ).all():
        for event in events:
            event.customer_id, event.details, event.source = None, {"pseudonym": pseudonym}, None
            event.actor = f"customer:{pseudonym}" if event.actor == actor else event.actor
            audit_chain.erase(tx.settings, event)
        tx.session.flush()
        last = events[-1].id
    tx.record("customer.deleted", why=why, pseudonym=pseudonym)


def number_of_deleted(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(DeletedCustomer)) or 0


def deleted_numbers(session: Session, keys: LinkKeys, numbers: Iterable[str]) -> dict[str, datetime]:
    """Return those of the Kundennummern whose customers were deleted here, with the time."""
    stored = {row.number_hash: row.deleted_at for row in session.scalars(select(DeletedCustomer))}
    found = ((number, hashed) for number in numbers if stored for hashed in _hashes(keys, number))
    return {number: stored[hashed] for number, hashed in found if hashed in stored}


def allow_again(tx: Transaction, number: str) -> None:
    """Forget that this Kundennummer was deleted, because the desk adds it again."""
    tx.session.execute(delete(DeletedCustomer).where(DeletedCustomer.number_hash.in_(_hashes(tx.keys, number))))


def _hashes(keys: LinkKeys, number: str) -> list[str]:
    """Return the keyed hashes of a Kundennummer under each key, that of today first."""
    # Hashes of earlier versions are of the number as it was spelled.
    spellings = dict.fromkeys((canonical_number(number), number, number.upper()))
    return [digest.hex() for each in spellings for digest in keys.derive("deleted-customer", each)]
