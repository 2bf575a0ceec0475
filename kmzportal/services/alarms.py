"""Alarms: a mail to every admin about what looks like an attack (OWASP ASVS 16.3.3)."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from kmzportal.models import Alarm, Clerk
from kmzportal.services.transaction import Transaction, insert_once

PAUSE = timedelta(hours=1)
PAUSES = {
    "chain_broken": timedelta(days=1),  # found again every hour until it is settled
    "desk_volume": timedelta(0),  # raised once a day for each clerk and act, also before and after midnight
}
LABELS = {
    "spraying": "Falsche Passwörter an vielen Konten",
    "link_guesses": "Viele Links oder Codes, die es nicht gibt",
    "desk_volume": "Ungewöhnlich viel in einem Zugang zum Kundenservice",
    "recovery_flood": "Sehr viele Anfragen „Passwort vergessen“",
    "chain_broken": "Das Protokoll ist verändert",
}
#: What templates/mail/alarm_….txt shows of each; `what` and `why` are German sentences.
FACTS = {
    "spraying": {"number", "sources"},  # of accounts and sources, within sessions.SOURCE_WINDOW
    "link_guesses": {"number"},  # within an hour
    "desk_volume": {"initials", "what", "number"},  # of a clerk, within a day
    "recovery_flood": {"number"},  # within an hour
    "chain_broken": {"why"},
}

log = logging.getLogger(__name__)


def raise_alarm(tx: Transaction, kind: str, **facts: int | str) -> None:
    """Mail all admins and record it; at most once in the pause of its kind; the next mail counts the rest.

    The pause is an hour, as an attack of a whole night must not fill a mailbox, but a second one on the same day must
    be told. Never waits for the alarm of another transaction, so locks may be taken before and after. Raises ValueError
    for facts that are not those of the kind.
    """
    if facts.keys() != FACTS[kind]:
        raise ValueError(f"{kind} takes {sorted(FACTS[kind])}, not {sorted(facts)}")
    # Each act of a clerk apart, as of_last_day names them.
    name = f"{kind}:{facts['initials']}, {facts['what']}" if "initials" in facts else kind
    suppressed = _take_turn(tx, name, PAUSES.get(kind, PAUSE))
    if suppressed is None:
        return
    admins = tx.session.scalars(select(Clerk).where(Clerk.admin, Clerk.locked_at.is_(None)).order_by(Clerk.id)).all()
    for admin in admins:
        tx.warn(f"alarm_{kind}", admin, suppressed=suppressed, **facts)
    tx.record("alarm.raised", None, alarm=kind, **facts)
    log.error("Alarm: %s. So viele Admins bekommen eine E-Mail: %s.", LABELS[kind], len(admins))


def report_broken_chain(tx: Transaction, fault: str) -> None:
    """Log a fault of the audit trail each time, as a row in the database can hold the alarm back; raise the alarm."""
    log.error("Das Protokoll wurde verändert. %s", fault)
    raise_alarm(tx, "chain_broken", why=fault)


def _take_turn(tx: Transaction, name: str, pause: timedelta) -> int | None:
    """Return how many were suppressed since the last mail, or None when this one is suppressed too."""
    row = select(Alarm).where(Alarm.name == name).execution_options(populate_existing=True)
    if tx.session.scalar(row) is None:
        return 0 if insert_once(tx.session, Alarm, {"name": name, "raised_at": tx.now, "suppressed": 0}) else None
    alarm = tx.session.scalar(row.with_for_update(skip_locked=True))
    if alarm is None:  # another transaction raises it now
        return None
    if tx.now - pause < alarm.raised_at <= tx.now:
        alarm.suppressed += 1
        return None
    suppressed, alarm.suppressed, alarm.raised_at = alarm.suppressed, 0, tx.now
    return suppressed


def of_last_day(session: Session, now: datetime) -> list[str]:
    """Return the alarms that were raised since yesterday, in German."""
    recent = select(Alarm.name).where(Alarm.raised_at > now - timedelta(days=1)).order_by(Alarm.name)
    parts = (name.partition(":") for name in session.scalars(recent))
    return [f"{LABELS[kind]} ({act})" if act else LABELS[kind] for kind, _, act in parts]
