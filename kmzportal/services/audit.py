"""The audit trail (Protokoll) for admins, and the history and all data of one customer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import (
    ENTRIES,
    MAIL_STATES,
    AccountLink,
    AuditEvent,
    CaseEntry,
    Clerk,
    Customer,
    CustomerAccess,
    LinkKind,
    LoginSession,
    OutgoingMail,
    Passkey,
    SupportCase,
)
from kmzportal.plain_text import canonical_number
from kmzportal.services import devices
from kmzportal.services.retention import LINKS_KEPT

EVENTS_SHOWN = 50
EVENTS_LOOKED_AT = 2000  # of an account, the newest, for those that can be caused without a login
#: Events that can be caused without a login. The history shows fewer of them, so that they cannot displace others.
CAUSED_WITHOUT_LOGIN = (
    "login.refused",
    "login.throttled",
    "recovery.sent",
    "recovery.extra",
    "recovery.capped",
    "recovery.locked",
    "mail.capped",
    "letter.refused",
    "letter.throttled",
)


@dataclass(frozen=True)
class AuditQuery:
    """The filter of the Protokoll; None means any."""

    action: str | None = None
    person: str | None = None  #: a Kundennummer, a mail address, or a clerk's initials
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None  #: id of the last event on the previous page


def events(session: Session, query: AuditQuery) -> Sequence[AuditEvent]:
    """Return the matching events, latest first; one more than is shown when older ones follow."""
    if query.person is None:
        return session.scalars(_page(query)).all()
    conditions: list[ColumnElement[bool]] = []
    for person in _find_people(session, query.person):  # each condition has an index of its own
        name = person.__tablename__
        column = AuditEvent.clerk_id if isinstance(person, Clerk) else AuditEvent.customer_id
        conditions += [column == person.id, AuditEvent.actor == f"{name}:{person.id}"]
    found = {event for condition in conditions for event in session.scalars(_page(query, condition))}
    return sorted(found, key=lambda event: (event.at, event.id), reverse=True)[: EVENTS_SHOWN + 1]


def _page(query: AuditQuery, *conditions: ColumnElement[bool]) -> Select[AuditEvent]:
    found = select(AuditEvent).where(*conditions)
    if query.action:
        found = found.where(AuditEvent.action == query.action)
    if query.since:
        found = found.where(AuditEvent.at >= query.since)
    if query.until:
        found = found.where(AuditEvent.at < query.until)
    if query.before:
        at = select(AuditEvent.at).where(AuditEvent.id == query.before).scalar_subquery()
        found = found.where(tuple_(AuditEvent.at, AuditEvent.id) < tuple_(at, query.before))
    return found.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(EVENTS_SHOWN + 1)


def _find_people(session: Session, text: str) -> list[Customer | Clerk]:
    """Return the customer and the clerk with this number, address or initials."""
    text = text.strip()
    try:
        address = mail_address.canonical(text)
    except mail_address.InvalidAddress:
        address = ""
    is_customer = Customer.number_canonical == canonical_number(text), Customer.number == text
    customer = select(Customer).where(or_(*is_customer, Customer.email_canonical == address))
    clerk = select(Clerk).where(or_(func.lower(Clerk.initials) == text.lower(), Clerk.email_canonical == address))
    return [*session.scalars(customer), *session.scalars(clerk)]


def people(session: Session, events: Iterable[AuditEvent]) -> dict[str, Customer | Clerk]:
    """Return the actors and the people concerned by these events, by keys such as `customer:12`."""
    names = {event.actor for event in events}
    names |= {f"customer:{event.customer_id}" for event in events} | {f"clerk:{event.clerk_id}" for event in events}
    found: dict[str, Customer | Clerk] = {}
    tables: dict[str, Any] = {"customer": Customer, "clerk": Clerk}
    for kind, table in tables.items():
        ids = {int(id_) for name, _, id_ in (actor.partition(":") for actor in names) if name == kind and id_.isdigit()}
        found |= {f"{kind}:{one.id}": one for one in session.scalars(select(table).where(table.id.in_(ids)))}
    return found


def history(session: Session, customer: Customer, limit: int = 100) -> Sequence[AuditEvent]:
    """Return the events of the account, latest first, without the fate of mails to new addresses.

    What became of such a mail tells whether the address is taken, or whether its mailbox exists. So does a refusal when
    the desk enters it.
    """
    told = AuditEvent.details["template"].as_string().is_distinct_from("address_link")
    without_login = AuditEvent.action.in_(CAUSED_WITHOUT_LOGIN)
    latest_first = AuditEvent.at.desc(), AuditEvent.id.desc()
    events = select(AuditEvent).where(told, AuditEvent.action != "address.refused").order_by(*latest_first)
    others: set[AuditEvent] = set()
    by_strangers: set[AuditEvent] = set()
    # Each condition has an index that ends with `at`; with `or` all events of the account would be sorted.
    for concerned in (AuditEvent.customer_id == customer.id, AuditEvent.actor == f"customer:{customer.id}"):
        newest = select(AuditEvent.id).where(concerned).order_by(*latest_first).limit(EVENTS_LOOKED_AT)
        others.update(session.scalars(events.where(concerned, ~without_login).limit(limit)))
        by_strangers.update(session.scalars(events.where(AuditEvent.id.in_(newest), without_login).limit(limit // 5)))
    return _latest([*_latest(others, limit), *_latest(by_strangers, limit // 5)])


def _latest(events: Iterable[AuditEvent], number: int | None = None) -> list[AuditEvent]:
    return sorted(events, key=lambda event: (event.at, event.id), reverse=True)[:number]


def all_data(session: Session, customer: Customer) -> dict[str, object]:
    """Return all data stored about the customer, with German names, without secrets and data of others (GDPR 15)."""
    logins = select(LoginSession).where(LoginSession.customer_id == customer.id)
    mails = select(OutgoingMail).where(OutgoingMail.customer_id == customer.id, OutgoingMail.template != "address_link")
    # In their place the links: their mails may not have left, see outbox.claim.
    new_addresses = select(AccountLink).where(
        AccountLink.customer_id == customer.id,
        AccountLink.kind == LinkKind.ADDRESS,
        AccountLink.issued_at > datetime.now(UTC) - LINKS_KEPT,  # how long it is kept tells when it ended, and so why
    )
    seen = select(CustomerAccess.day, Clerk.initials).join(Clerk, Clerk.id == CustomerAccess.clerk_id)
    seen = seen.where(CustomerAccess.customer_id == customer.id).order_by(CustomerAccess.day.desc())
    written = (
        select(CaseEntry).join(SupportCase).where(SupportCase.customer_id == customer.id, CaseEntry.kind != "note")
    )
    return {
        "Kundennummer": customer.number,
        "E-Mail-Adresse": customer.email,
        "Neue E-Mail-Adresse, noch nicht bestätigt": customer.pending_email,
        **{label: getattr(customer, name) for name, (label, _) in Customer.DATA_FIELDS.items()},
        "Konto angelegt": customer.created_at,
        "Passwort gesetzt": customer.password_set_at,
        "Konto gesperrt": customer.locked_at,
        "Zuletzt angemeldet": customer.last_login_at,
        "Anmeldungen": [
            {"Angemeldet": one.started_at, "Zuletzt benutzt": one.last_seen, "Gerät": one.device}
            for one in session.scalars(logins.order_by(LoginSession.id.desc()))
        ],
        "Bekannte Geräte": [
            {"Seit": one.created_at, "Zuletzt angemeldet": one.last_used, "Gerät": one.device}
            for one in devices.all_of(session, customer)
        ],
        "Passkeys": [
            {"Name": one.name, "Seit": one.created_at, "Zuletzt benutzt": one.last_used, "Unter": one.host}
            for one in session.scalars(select(Passkey).where(Passkey.customer_id == customer.id).order_by(Passkey.id))
        ],
        "E-Mails": [
            {"Zeit": one.queued_at, "An": one.recipient, "Zustand": MAIL_STATES[one.state]}
            for one in session.scalars(mails.order_by(OutgoingMail.id.desc()))
        ],
        "Links an neue E-Mail-Adressen": [
            {"Zeit": one.issued_at, "An": one.email}
            for one in session.scalars(new_addresses.order_by(AccountLink.issued_at.desc()))
        ],
        "Anfragen": [_entry(entry, customer) for entry in session.scalars(written.order_by(CaseEntry.id.desc()))],
        "Vom Kundenservice angesehen": [
            {"Tag": f"{day:%d.%m.%Y}", "Von": f"Kundenservice ({initials})"} for day, initials in session.execute(seen)
        ],
        "Verlauf": [
            {"Zeit": event.at, "Vorgang": event.label, "Dazu": event.remark, "Von": event.actor_label}
            for event in history(session, customer, limit=1000)
        ],
    }


def _entry(entry: CaseEntry, customer: Customer) -> dict[str, object]:
    """Return what is shown of an entry; of what another person may have written, only that it came (GDPR 15 (4)).

    A clerk may assign a request from any address to the account, also by mistake. An objection comes from an earlier
    mailbox, and so do replies in a request for deletion after a move: its holder may be another person.
    """
    case = entry.case
    shown = {"Zeit": entry.at, "Vorgangsnummer": case.reference}
    asked_inside = case.branch == "deletion" and entry.kind == "received"
    own = asked_inside or case.email_canonical == customer.email_canonical
    if entry.kind == "foreign_reply" or not own:
        return {**shown, "Art": ENTRIES[entry.kind]}
    return {**shown, "Von": entry.author, "Text": entry.text}
