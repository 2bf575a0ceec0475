"""The audit trail as a chain of MACs under AUDIT_KEY, so that a change beside the portal shows (docs/decisions/0061).

`Transaction.record` signs the content of an event. The worker chains signed events: the MAC of each covers its place
and the MAC before it. The last place that was purged and the last of all are stored in the table `audit_chain`. A file
of the instance says that there is a chain, so that who empties this table cannot have a new one begun.
"""

import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from kmzportal.dates import format_datetime
from kmzportal.models import AuditChain, AuditEvent

BATCH = 500
ENCODER = json.JSONEncoder(sort_keys=True)
RECENT = 10_000  #: events that the doctor and the worker verify
START, END = "start", "end"
SINCE = "0017"  #: version of the database from which on there is a chain
MARKER = "audit_chain_begun"  #: file of the instance
ADVISORY_LOCK = 4_761_526_002
#: Written by one statement for a whole file, without a signature; they are signed when they are chained.
UNSIGNED = ("customer.imported", "data.imported")

CHANGED = "Der Eintrag {event} wurde verändert."
MOVED = (
    "Der Eintrag {event} passt nicht in die Kette: Einträge wurden vertauscht, oder einer davor wurde entfernt oder "
    "eingefügt."
)
MISSING = "Vor dem Eintrag {event} fehlen Einträge: {number}."
INSERTED = "Der Eintrag {event} wurde am Portal vorbei eingefügt."
CUT_OFF = "Die letzten Einträge fehlen: {number}. Der letzte, der noch da ist: {event}."
BOUNDS = "Der gespeicherte Anfang oder das gespeicherte Ende der Kette wurde verändert."
OTHER_END = "Die Kette endete schon einmal beim Glied {known}; das gibt es nicht mehr."

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    fault: str | None  #: where the chain breaks first, in German
    number: int  #: of events that were verified
    end: str  #: place and MAC of the last, such as `4711:9f86…`
    waiting: int  #: events that are not chained yet


@dataclass(frozen=True)
class Bound:
    """The last purged place, or the last place of all."""

    position: int = 0
    mac: str = ""
    intact: bool = True


def sign(settings: Settings, event: AuditEvent) -> None:
    """Sign the content of an event that is about to be stored."""
    event.salt = secrets.token_urlsafe(16)
    event.digest = _content_mac(settings["AUDIT_KEY"], event)


def erase(settings: Settings, event: AuditEvent) -> None:
    """Sign what replaced the content of an event. Without its salt the digest, which stays, tells nothing about it."""
    event.salt = None
    event.erased = _erased_mac(settings["AUDIT_KEY"], event)


def chain(session: Session, settings: Settings, adopt: bool = False) -> int:
    """Chain events that are not, at most BATCH, and return how many; 0 while another process does it.

    Also 0 where the stored end was changed: a new one would hide that. `adopt` signs all that are unsigned, for a
    database of before the chain. Others that lack a signature are chained as they are, so that verifying finds them,
    and so are copies of an event, without its signature. Rows that another transaction changes now are left for the
    next time.
    """
    if not _lock(session, wait=False) or not (adopt or _bound(session, settings, END).intact):
        return 0
    waiting = select(AuditEvent).where(AuditEvent.position.is_(None)).order_by(AuditEvent.id).limit(BATCH)
    waiting = waiting.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    events, end = session.scalars(waiting).all(), _bound(session, settings, END)
    position, mac = max(end.position, session.scalar(select(func.max(AuditEvent.position))) or 0), end.mac
    signatures = _chained(session, [event.digest for event in events if event.digest])
    for event in events:
        if event.digest is None and (adopt or event.action in UNSIGNED):
            sign(settings, event)
        elif event.digest in signatures:
            event.salt = event.digest = None
        signatures.add(event.digest)
        position += 1
        mac = event.mac = _place_mac(settings["AUDIT_KEY"], mac, position, event)
        event.position = position
    if events:
        _store(session, settings, END, position, mac)
        session.flush()
    return len(events)


def _chained(session: Session, digests: list[str]) -> set[str | None]:
    """Return those of the signatures that an event of the chain has: no two should have the same, as salts differ."""
    known = select(AuditEvent.digest).where(AuditEvent.digest.in_(digests), AuditEvent.position.is_not(None))
    return set(session.scalars(known))


def has_unchained(session: Session) -> bool:
    return session.scalar(select(AuditEvent.id).where(AuditEvent.position.is_(None)).limit(1)) is not None


def begin(session: Session, settings: Settings) -> None:
    """Adopt the events of a database of before the chain, once: call `mark_begun` after the commit."""
    if session.get(AuditChain, END) is None and not _marker().exists():
        adopt(session, settings)


def adopt(session: Session, settings: Settings) -> None:
    """Sign and chain the events of a database of before the chain."""
    _lock(session, wait=True)
    while chain(session, settings, adopt=True):
        pass
    if session.get(AuditChain, END) is None:
        _store(session, settings, END, 0, "")


def mark_begun() -> None:
    """Store outside of the database that there is a chain: from now on a missing end is a fault."""
    _marker().touch(mode=0o600)


def _marker() -> Path:
    return Path(current_app.instance_path) / MARKER


def begin_anew(session: Session, settings: Settings) -> None:
    """Verify from now on only what follows: the key of the earlier events is lost, or their fault is known."""
    end = _bound(session, settings, END)
    if not end.intact:
        _store(session, settings, END, session.scalar(select(func.max(AuditEvent.position))) or 0, "")
    while chain(session, settings):
        pass
    end = _bound(session, settings, END)
    for name in (START, END):
        _store(session, settings, name, end.position, end.mac)


def purge(session: Session, settings: Settings, before: datetime, now: datetime) -> tuple[int, str | None]:
    """Delete the beginning of the chain that is older than `before`, and store where it goes on.

    Return how many, and the fault in what was to be deleted: then nothing is, as the time may be what was changed.
    Events after the first one to keep stay until it is old too. One from the future, of a clock that was wrong, does
    not count as that one. What was before a chain that began anew goes by its time.
    """
    while chain(session, settings):
        pass
    _lock(session, wait=True)
    start, end = _bound(session, settings, START), _bound(session, settings, END)
    events = select(AuditEvent.position, AuditEvent.at).where(AuditEvent.position > start.position)
    # In the order of the chain, so that only those to purge are read, and not sorted under the write lock.
    with session.execute(events.order_by(AuditEvent.position).execution_options(yield_per=BATCH)) as rows:
        last = next((row.position - 1 for row in rows if before <= row.at <= now), end.position)
    if not (start.intact and end.intact):
        return 0, BOUNDS
    if last > start.position:
        mac = session.scalar(select(AuditEvent.mac).where(AuditEvent.position == last)) or ""
        fault, _ = _walk(_rows(session, start, last), _keys(settings), start, Bound(last, mac), "")
        if fault:
            return 0, fault
        _store(session, settings, START, last, mac)
    old: Any = session.execute(
        delete(AuditEvent).where(
            AuditEvent.position <= last, or_(AuditEvent.position > start.position, AuditEvent.at < before)
        ),
        execution_options={"synchronize_session": False},
    )
    return int(old.rowcount), None


def verify(session: Session, settings: Settings, last: int | None = None, known: str = "") -> Verdict:
    """Return whether the chain is whole, for all events or the `last` so many, and `known`, an earlier end, is in it.

    Reads one snapshot, a batch at a time.
    """
    session.rollback()  # an open transaction has another snapshot
    if session.get_bind().dialect.name == "postgresql":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    start, end = _bound(session, settings, START), _bound(session, settings, END)
    waiting = session.scalar(select(func.count()).where(AuditEvent.position.is_(None))) or 0
    before = start
    if last and end.position - last > start.position:
        at = end.position - last
        mac = session.scalar(select(AuditEvent.mac).where(AuditEvent.position == at))
        before = Bound(at, mac) if mac else start
    fault, number = _walk(_rows(session, before), _keys(settings), before, end, known)
    session.rollback()
    return Verdict(fault if start.intact and end.intact else BOUNDS, number, f"{end.position}:{end.mac}", waiting)


def _rows(session: Session, before: Bound, last: int | None = None) -> Iterator[Any]:
    """Yield the events after `before`, up to the place `last`, a batch at a time."""
    columns = select(*AuditEvent.__table__.columns).where(AuditEvent.position > before.position)
    columns = columns.where(AuditEvent.position <= last) if last is not None else columns
    with session.execute(columns.order_by(AuditEvent.position).execution_options(yield_per=BATCH)) as rows:
        yield from rows


def _walk(rows: Iterable[Any], keys: list[str], before: Bound, end: Bound, known: str) -> tuple[str | None, int]:
    """Return the first fault, if there is any, and the number of events before it."""
    place, number, event = before, 0, "–"
    known_position = int(known.partition(":")[0] or 0)
    for row in rows:
        event = f"{row.id} vom {format_datetime(row.at)}"
        if fault := _fault_of(row, keys, place, end):
            return fault.format(event=event, number=row.position - place.position - 1), number
        place, number = Bound(row.position, row.mac), number + 1
        if place.position == known_position and f"{place.position}:{place.mac}" != known:
            return OTHER_END.format(known=known_position), number
    if (place.position, place.mac) != (end.position, end.mac):
        return CUT_OFF.format(event=event, number=end.position - place.position), number
    return OTHER_END.format(known=known_position) if known_position > end.position else None, number


def _fault_of(row: Any, keys: list[str], place: Bound, end: Bound) -> str | None:
    """Return what is wrong with the event after `place`."""
    if row.position > end.position:
        return INSERTED
    if row.position > place.position + 1:
        return MISSING
    signed = any(row.digest == _content_mac(key, row) or row.erased == _erased_mac(key, row) for key in keys)
    placed = any(row.mac == _place_mac(key, place.mac, place.position + 1, row) for key in keys)
    if signed:
        return None if placed else MOVED
    return CHANGED if row.digest else INSERTED


def _keys(settings: Settings) -> list[str]:
    return [settings["AUDIT_KEY"], *settings["AUDIT_KEY_FALLBACKS"]]


def _mac(key: str, *parts: Any) -> str:
    return hmac.digest(key.encode(), ENCODER.encode(parts).encode(), "sha256").hex()


def _content_mac(key: str, event: Any) -> str:
    return _mac(key, "content", event.salt, *_content(event))


def _erased_mac(key: str, event: Any) -> str:
    return _mac(key, "erased", event.id, event.digest, *_content(event))


def _content(event: Any) -> tuple[Any, ...]:
    at = event.at.astimezone(UTC).isoformat()
    return at, event.action, event.actor, event.customer_id, event.clerk_id, event.details


def _place_mac(key: str, before: str, position: int, event: Any) -> str:
    at = event.at.astimezone(UTC).isoformat()
    return _mac(key, "place", before, position, event.id, at, event.action, event.digest)


def _bound(session: Session, settings: Settings, name: str) -> Bound:
    row = session.get(AuditChain, name, populate_existing=True)
    if row is None:
        return Bound(intact=name == START or not _marker().exists())
    intact = any(row.seal == _mac(key, name, row.position, row.mac) for key in _keys(settings))
    return Bound(row.position, row.mac, intact)


def _store(session: Session, settings: Settings, name: str, position: int, mac: str) -> None:
    seal = _mac(settings["AUDIT_KEY"], name, position, mac)
    session.merge(AuditChain(name=name, position=position, mac=mac, seal=seal))


def _lock(session: Session, wait: bool) -> bool:
    """Let one process chain at a time; SQLite has only one writer."""
    if session.get_bind().dialect.name == "sqlite":
        return True
    function = func.pg_advisory_xact_lock if wait else func.pg_try_advisory_xact_lock
    return session.scalar(select(function(ADVISORY_LOCK))) is not False
