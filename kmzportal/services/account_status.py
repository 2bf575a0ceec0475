"""What a clerk has to know first about an account: the line below the name on the page of a customer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, cast, or_, select
from sqlalchemy.orm import Session

from kmzportal.models import AuditEvent, Customer, OutgoingMail, RecoveryRequest, fold
from kmzportal.services import outbox, sessions
from kmzportal.services.tokens import LinkKeys

CONTACT = ("first_name", "last_name", "phone", "street", "postcode", "town", "school")
CHANGED_WITHIN = timedelta(days=30)
LOCKS = ("account.locked", "address.objected")
ROUND_UP = timedelta(seconds=59)  # pages leave out the seconds
TYPED_WITHIN, TYPED_SHOWN = timedelta(days=7), 3


@dataclass(frozen=True)
class AccountStatus:
    throttled_until: datetime | None  #: only while no password of an unknown device is compared; shown in minutes
    password_disabled: bool  #: by very many failures; a link sets a new one
    lock: AuditEvent | None  #: who locked the account and why; also None for a lock older than the audit trail
    failed_mail: OutgoingMail | None  #: the last mail to the stored address, if it was refused or came back
    failed_notices: Sequence[OutgoingMail]  #: of a changed address, which did not reach the earlier one
    contact_changed: (
        datetime | None
    )  #: when name, telephone, school or postal address were lately changed, also by an import
    typed: Sequence[RecoveryRequest]  #: the newest request for a new password of each address that is probably theirs


def find(
    session: Session, keys: LinkKeys, settings: Mapping[str, Any], customer: Customer, now: datetime
) -> AccountStatus:
    """Return the status of the customer's account; the throttle of the login is found by `keys`."""
    until = sessions.throttled_until(session, keys, settings, customer)
    disabled = until == sessions.NEVER
    return AccountStatus(
        throttled_until=until + ROUND_UP if until and until > now and not disabled else None,
        password_disabled=disabled,
        lock=_lock(session, customer) if customer.locked_at else None,
        failed_mail=outbox.came_back(session, customer.email_canonical),
        failed_notices=outbox.failed_notices(session, customer, now),
        contact_changed=contact_changed(session, customer, now),
        typed=_typed(session, customer, now),
    )


def _lock(session: Session, customer: Customer) -> AuditEvent | None:
    locks = select(AuditEvent).where(AuditEvent.customer_id == customer.id, AuditEvent.action.in_(LOCKS))
    return session.scalars(locks.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(1)).first()


def contact_changed(session: Session, customer: Customer, now: datetime) -> datetime | None:
    """Return when what the desk checks a person by was last changed.

    An intruder may have changed it in the account, or have had it entered here or in the lending program by telephone.
    """
    details = cast(AuditEvent.details, String)
    changes = select(AuditEvent.at).where(
        AuditEvent.customer_id == customer.id,
        AuditEvent.action.in_(("data.changed", "data.imported")),
        AuditEvent.at > now - CHANGED_WITHIN,
        or_(*(details.contains(f'"{field}"') for field in CONTACT)),
    )
    return session.scalars(changes.order_by(AuditEvent.id.desc()).limit(1)).first()


def _typed(session: Session, customer: Customer, now: datetime) -> Sequence[RecoveryRequest]:
    """Return requests for the customer's addresses, or for the same part before the @ if it contains the last name."""
    address = RecoveryRequest.email_canonical
    similar: list[ColumnElement[bool]] = [address.in_([customer.email_canonical, customer.pending_email_canonical])]
    local = customer.email_canonical.rpartition("@")[0]
    if fold(customer.last_name) in fold(local):
        similar.append(address.startswith(f"{local}@", autoescape=True))
    recent = select(RecoveryRequest).where(RecoveryRequest.requested_at > now - TYPED_WITHIN, or_(*similar))
    newest: dict[str, RecoveryRequest] = {}
    for request in session.scalars(recent.order_by(RecoveryRequest.id.desc()).limit(50)):
        newest.setdefault(request.email_canonical, request)
    return list(newest.values())[:TYPED_SHOWN]
