"""Passwort vergessen: a web request stores the request, the worker answers it with a mail; the desk reads both."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, not_, or_, select, update
from sqlalchemy.orm import Session, joinedload

from kmzportal import mail_address
from kmzportal.models import AccountLink, AuditEvent, Customer, LinkKind, RecoveryRequest, RequestCount
from kmzportal.services import alarms, links, sessions
from kmzportal.services.retention import REQUESTS_KEPT
from kmzportal.services.search import Suggestion, suggestions
from kmzportal.services.tokens import LinkKeys, new_reference, parse_reference
from kmzportal.services.transaction import Transaction

REQUESTS_SHOWN = 25
SINGLE_LINES = 3  # of one source
FLOODS_SHOWN = 24  # hours
REPEATS = 6  # stored for one address and source in an hour; more would bring no further mail
PER_KNOWN_DEVICE = 10  # stored in an hour for all devices of an account although their source is over its limit
BATCH = 500
LONGEST_LIFE = timedelta(hours=24)  # of a link, however often it is extended (NIST SP 800-63B-4, 4.2.1.2)
UNKNOWN = "unknown"  #: outcome of a request for an address without an account
MAILED = ("sent", "extra", "locked")  #: outcomes with a mail; `extra` is one over the limit
#: Counters of an hour: what is stored, what is not because of RECOVERY_IN_ALL, or of the limit of its source.
IN_ALL, DROPPED, OF_SOURCE, OF_DEVICE = "recovery", "recovery-dropped", "recovery:", "recovery-device:"


def only_counted(
    session: Session,
    now: datetime,
    settings: Mapping[str, Any],
    keys: LinkKeys,
    source: str | None,
    address: str,
    device: str | None = None,
) -> str | None:
    """Return the counter of a request that is over a limit, or None for one that is to be stored.

    Known devices have a limit of their own, counted by `device`, a name of their account. Over RECOVERY_IN_ALL the
    requests of sources with an earlier login are stored. Only reads, outside of any write transaction, by index.
    """
    if device and _number(session, f"{OF_DEVICE}{device}", now) < PER_KNOWN_DEVICE:
        return None
    if _over_source_limit(session, now, settings, source, mail_address.canonical(address)):
        return f"{OF_SOURCE}{source}"
    if not flooded(session, now, settings) or sessions.is_known_source(session, keys, source, now):
        return None
    return DROPPED


def _over_source_limit(
    session: Session, now: datetime, settings: Mapping[str, Any], source: str | None, canonical: str
) -> bool:
    """Return whether the source asked for too many addresses in the last hour, or too often for this one.

    Its rows are few, as over the limit none is stored. This machine (None), behind an untrusted proxy everybody, is
    limited for each address, and in all.
    """
    same = func.count().filter(RecoveryRequest.email_canonical == canonical)
    counted = select(func.count(), func.count(RecoveryRequest.email_canonical.distinct()), same)
    mine = RecoveryRequest.source == source, RecoveryRequest.requested_at > now - timedelta(hours=1)
    rows, addresses, repeats = session.execute(counted.where(*mine)).one()
    limit = settings["RECOVERY_PER_SOURCE"]
    too_many = rows >= 2 * limit or (addresses >= limit and not repeats)
    return repeats >= REPEATS or (source is not None and too_many)


def flooded(session: Session, now: datetime, settings: Mapping[str, Any]) -> bool:
    """Return whether so many requests came in this hour that others are not stored; everybody's page says so."""
    return _number(session, IN_ALL, now) >= int(settings["RECOVERY_IN_ALL"])


def _number(session: Session, counted: str, now: datetime) -> int:
    counter = session.get(RequestCount, (counted, now.replace(minute=0, second=0, microsecond=0)))
    return counter.number if counter else 0


def request_link(tx: Transaction, address: str, device: str | None = None) -> str:
    """Store a request for any address, known or not, and return its Vorgangsnummer, such as `V-7KQM-3PAX`."""
    if tx.count(IN_ALL, tx.hour) == tx.settings["RECOVERY_IN_ALL"]:
        alarms.raise_alarm(tx, "recovery_flood", number=tx.settings["RECOVERY_IN_ALL"])
    if device:
        tx.count(f"{OF_DEVICE}{device}", tx.hour)
    reference = new_reference()
    canonical = mail_address.canonical(address)
    tx.session.add(
        RecoveryRequest(reference=reference, email_canonical=canonical, requested_at=tx.now, source=tx.source)
    )
    return reference


# The worker


def unanswered(session: Session) -> Sequence[int]:
    """Return the ids of requests that wait for the worker, at most BATCH: the oldest of each source, then the next."""
    turn = func.row_number().over(partition_by=RecoveryRequest.source, order_by=RecoveryRequest.id)
    waiting = select(RecoveryRequest.id).where(RecoveryRequest.answered_at.is_(None))
    return session.scalars(waiting.order_by(turn, RecoveryRequest.id).limit(BATCH)).all()


def answer_unknown(tx: Transaction, request_ids: Sequence[int]) -> Sequence[int]:
    """Answer those of these requests whose address belongs to no account, and return the others, in their order.

    Two statements for all, and no audit record: anyone could cause very many. The desk sees the requests themselves.
    """
    typed, columns = RecoveryRequest.email_canonical, (Customer.email_canonical, Customer.pending_email_canonical)
    owned = or_(*(exists().where(column == typed) for column in columns))  # each has an index of its own
    known = select(RecoveryRequest.id).where(RecoveryRequest.id.in_(request_ids), owned)
    remaining = set(tx.session.scalars(known))
    unknown = select(RecoveryRequest.id).where(
        RecoveryRequest.id.in_(set(request_ids) - remaining), RecoveryRequest.answered_at.is_(None)
    )
    answered = update(RecoveryRequest).where(RecoveryRequest.id.in_(unknown.with_for_update(skip_locked=True)))
    tx.session.execute(
        answered.values(answered_at=tx.now, outcome=UNKNOWN).execution_options(synchronize_session=False)
    )
    return [one for one in request_ids if one in remaining]


def answer(tx: Transaction, request_id: int) -> None:
    """Look up the customer and mail a link to the stored address; skip a request that another worker has."""
    waiting = RecoveryRequest.id == request_id, RecoveryRequest.answered_at.is_(None)
    typed = tx.session.scalar(select(RecoveryRequest.email_canonical).where(*waiting))
    customer = _find_customer(tx, typed) if typed else None
    if customer:
        tx.lock(customer)  # before the request, as when the customer is deleted: in another order both wait for ever
    request = tx.session.scalar(select(RecoveryRequest).where(*waiting).with_for_update(skip_locked=True))
    if request is None:
        return
    request.answered_at = tx.now
    request.customer_id = customer.id if customer else None
    request.outcome = _mail_link(tx, request, customer) if customer else UNKNOWN
    # Recorded once an hour, as the history of an account must not grow with the requests of strangers.
    capped_again = request.outcome == "capped" and _reached(tx, request, ("capped",), 1, 2)
    if request.outcome != UNKNOWN and not capped_again:
        tx.record(f"recovery.{request.outcome}", customer, reference=request.reference)


def _find_customer(tx: Transaction, canonical: str) -> Customer | None:
    """Return the customer of this address, or else the one with an open desk link to it as pending address.

    Any customer may enter any address as a new one, so a pending address counts only with a link from the desk.
    """
    stored = tx.session.scalar(select(Customer).where(Customer.email_canonical == canonical))
    link = None if stored else tx.session.scalar(_newest_open_desk_link(tx, canonical))
    return link.owner if link else stored


def _mail_link(tx: Transaction, request: RecoveryRequest, customer: Customer) -> str:
    """Queue the mail, unless a limit is reached, and return the outcome of the request."""
    capped = _over_limit(tx, request) or not tx.may_mail(request.email_canonical, customer)
    if request.email_canonical == customer.email_canonical and not customer.locked_at:
        return _mail_recovery_link(tx, request, customer, capped)
    if capped:
        return "capped"
    if customer.locked_at:
        tx.notify("account_locked", customer)
        return "locked"
    if link := tx.session.scalar(_newest_open_desk_link(tx, request.email_canonical)):
        links.send(tx, link)
    return "sent"


def _mail_recovery_link(tx: Transaction, request: RecoveryRequest, customer: Customer, capped: bool) -> str:
    """Mail the open link issued within SAME_LINK_WITHIN, with a new expiry, or else a further one.

    Over the limit the newest open link lives longer instead; where none is open, one mail a day is sent all the same,
    whose link lives as long.
    So using up the limit does not keep the owner out. Older links stay open for the same reason.
    """
    newest = select(AccountLink).where(
        AccountLink.customer_id == customer.id,
        AccountLink.kind == LinkKind.RECOVERY,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > tx.now,
    )
    link = tx.session.scalar(newest.order_by(AccountLink.issued_at.desc()).limit(1))
    recent = request.requested_at - timedelta(seconds=tx.settings["SAME_LINK_WITHIN"])
    if link and (capped or link.issued_at > recent):
        longer = tx.now + links.lifetime(tx, LinkKind.RECOVERY)
        link.expires_at = max(link.expires_at, min(longer, link.issued_at + LONGEST_LIFE))
        if capped:
            return "capped"
    elif capped and _reached(tx, request, ("extra",), 24, 1 + _passwords_set(tx, customer)):
        return "capped"
    else:
        link = links.issue(tx, LinkKind.RECOVERY, customer)
        if capped:  # the last one for a day: strangers must not make her wait for the next
            link.expires_at = tx.now + LONGEST_LIFE
    links.send(tx, link, always=capped)
    return "extra" if capped else "sent"


def _passwords_set(tx: Transaction, customer: Customer) -> int:
    """Return how often a new password ended mailed links in the last 24 hours: after each, one more mail is sent."""
    changed = select(func.count()).where(
        AuditEvent.customer_id == customer.id,
        AuditEvent.action.in_(("password.changed", "password.set")),
        AuditEvent.at > tx.now - timedelta(days=1),
    )
    return tx.session.scalar(changed) or 0


def _newest_open_desk_link(tx: Transaction, canonical: str) -> Select[AccountLink]:
    """Select the newest open desk link that was mailed to this pending address."""
    newest = select(AccountLink).join(AccountLink.customer).order_by(AccountLink.issued_at.desc()).limit(1)
    return newest.where(
        Customer.pending_email_canonical == canonical,
        AccountLink.email == Customer.pending_email,
        AccountLink.kind == LinkKind.DESK,
        AccountLink.ended_at.is_(None),
        AccountLink.expires_at > tx.now,
    )


def _over_limit(tx: Transaction, request: RecoveryRequest) -> bool:
    """Return whether this source caused its limit of mails to this address; MAILS_PER_DAY limits all sources."""
    limits = ((1, tx.settings["RECOVERY_PER_HOUR"]), (24, tx.settings["RECOVERY_PER_DAY"]))
    of_source = RecoveryRequest.source == request.source
    return any(_reached(tx, request, MAILED, hours, limit, of_source) for hours, limit in limits)


def _reached(
    tx: Transaction,
    request: RecoveryRequest,
    outcomes: Sequence[str],
    hours: int,
    limit: int,
    *conditions: ColumnElement[bool],
) -> bool:
    """Return whether `limit` requests for this address in the last hours had one of these outcomes."""
    same = select(RecoveryRequest.id).where(
        RecoveryRequest.email_canonical == request.email_canonical,
        RecoveryRequest.outcome.in_(outcomes),
        RecoveryRequest.requested_at > tx.now - timedelta(hours=hours),
        *conditions,
    )
    return len(tx.session.scalars(same.limit(limit)).all()) == limit


# The desk


def recent_requests(
    session: Session, now: datetime, before: int | None = None, source: str | None = None
) -> Sequence[RecoveryRequest]:
    """Return the requests of the last days, latest first; one more than is shown when older ones follow.

    Of a source with more than SINGLE_LINES requests only the latest is returned, and of hours in which requests were
    dropped none for an unknown address, so that a flood hides no others; `source` returns all of that one.
    """
    requests = _visible(now).order_by(RecoveryRequest.id.desc()).limit(REQUESTS_SHOWN + 1)
    if source:
        requests = requests.where(RecoveryRequest.source == source)
    else:
        floods = _floods(now).subquery()
        requests = requests.outerjoin(floods, floods.c.source == RecoveryRequest.source).where(
            or_(floods.c.source.is_(None), RecoveryRequest.id == floods.c.latest)
        )
        for hour in dropped(session, now):
            unknown = RecoveryRequest.outcome.is_not_distinct_from(UNKNOWN)
            during = RecoveryRequest.requested_at.between(hour, hour + timedelta(hours=1))
            requests = requests.where(not_(unknown & during))
    return session.scalars(requests.where(RecoveryRequest.id < before) if before else requests).all()


def floods(session: Session, now: datetime) -> dict[str, int]:
    """Return the sources with more than SINGLE_LINES requests in the last days, and their numbers, stored or not."""
    counters = select(RequestCount.counted, func.sum(RequestCount.number)).group_by(RequestCount.counted)
    counters = counters.where(RequestCount.counted.startswith(OF_SOURCE), RequestCount.hour > now - REQUESTS_KEPT)
    only_counted = {name.removeprefix(OF_SOURCE): number for name, number in session.execute(counters)}
    return {row.source: row.number + only_counted.get(row.source, 0) for row in session.execute(_floods(now))}


def dropped(session: Session, now: datetime) -> dict[datetime, int]:
    """Return the latest hours in which so many requests came that some were not stored, and how many were not."""
    counters = select(RequestCount.hour, RequestCount.number).where(RequestCount.counted == DROPPED)
    counters = counters.where(RequestCount.hour > now - REQUESTS_KEPT).order_by(RequestCount.hour.desc())
    return dict(session.execute(counters.limit(FLOODS_SHOWN)).all())


def _floods(now: datetime) -> Select[str | None, int, int]:
    columns = (RecoveryRequest.source, func.count().label("number"), func.max(RecoveryRequest.id).label("latest"))
    counted = select(*columns).where(RecoveryRequest.requested_at > now - REQUESTS_KEPT)
    counted = counted.where(RecoveryRequest.source.is_not(None))
    return counted.group_by(RecoveryRequest.source).having(func.count() > SINGLE_LINES)


def find_by_reference(session: Session, now: datetime, typed: str) -> Sequence[RecoveryRequest]:
    """Return the request with this Vorgangsnummer; case, blanks, hyphens and a missing V are accepted."""
    return session.scalars(_visible(now).where(RecoveryRequest.reference == parse_reference(typed))).all()


def probably_meant(session: Session, requests: Sequence[RecoveryRequest]) -> dict[str, list[Suggestion]]:
    """Return for each unknown address of these requests the customers who probably have it."""
    return suggestions(session, {request.email_canonical for request in requests if request.outcome == UNKNOWN})


def _visible(now: datetime) -> Select[RecoveryRequest]:
    requests = select(RecoveryRequest).options(joinedload(RecoveryRequest.customer))
    return requests.where(RecoveryRequest.requested_at > now - REQUESTS_KEPT)
