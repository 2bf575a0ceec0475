"""What happened to an account, and all that is kept about its customer."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.customer import Customer
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.german import MAIL_STATES

#: What anybody can cause from outside; it must not push the rest out of view.
BY_STRANGERS = (
    "login.refused",
    "login.throttled",
    "recovery.sent",
    "recovery.capped",
    "recovery.locked",
    "mail.capped",
)
T = TypeVar("T", LoginSession, OutgoingMail)


def history(session: Session, customer: Customer, limit: int = 100) -> Sequence[AuditEvent]:
    """Return what happened to the account, the desk's acts included, latest first."""
    by_or_about = or_(AuditEvent.customer_id == customer.id, AuditEvent.actor == f"customer:{customer.id}")
    events = select(AuditEvent).where(by_or_about).order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
    knocking = AuditEvent.deed.in_(BY_STRANGERS)
    own = session.scalars(events.where(~knocking).limit(limit)).all()
    foreign = session.scalars(events.where(knocking).limit(limit // 5)).all()
    return sorted([*own, *foreign], key=lambda event: (event.at, event.id), reverse=True)


def all_data(session: Session, customer: Customer) -> dict[str, object]:
    """Return all that is kept about the customer, with German names; no secret, nobody else's data."""
    events = history(session, customer, limit=1000)
    return {
        "Kundennummer": customer.number,
        "E-Mail-Adresse": customer.email,
        "Neue E-Mail-Adresse, noch nicht bestätigt": customer.pending_email,
        **{label: getattr(customer, name) for name, (label, _) in Customer.DATA.items()},
        "Konto angelegt": customer.created_at,
        "Passwort gesetzt": customer.password_set_at,
        "Konto gesperrt": customer.locked_at,
        "Anmeldungen": [
            {"Angemeldet": one.started_at, "Zuletzt benutzt": one.last_seen, "Gerät": one.device}
            for one in _of(session, customer, LoginSession)
        ],
        "E-Mails": [
            {"Zeit": one.queued_at, "An": one.recipient, "Zustand": MAIL_STATES[one.state]}
            for one in _of(session, customer, OutgoingMail)
        ],
        "Verlauf": [
            {"Zeit": event.at, "Vorgang": event.in_german, "Dazu": event.remark, "Von": event.actor_in_german}
            for event in events
        ],
    }


def _of(session: Session, customer: Customer, table: type[T]) -> Sequence[T]:
    """Return the customer's rows of a table, latest first."""
    return session.scalars(select(table).where(table.customer_id == customer.id).order_by(table.id.desc())).all()
