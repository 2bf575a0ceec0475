"""One transaction per action, with locks, audit records, queued mails and conflict-free writes.

The only service that uses Flask: `transaction` takes the session and the settings from the current app.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy import Delete, Update, and_, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from kmzportal import mail_address
from kmzportal.db import BUSY_TIMEOUT, WRITES, Base, db
from kmzportal.models import (
    ACTIONS,
    IN_NOTICE,
    AccountLink,
    AuditEvent,
    Clerk,
    Customer,
    MailState,
    OutgoingMail,
    RequestCount,
    SupportCase,
)
from kmzportal.services import audit_chain
from kmzportal.services.refusals import ChangedMeanwhile, Refusal, TooManyMails
from kmzportal.services.tokens import LinkKeys

BY_DESK = (
    "An diese Adresse hat der Kundenservice heute schon {} E-Mails gesendet. Alle stehen im Postausgang. "
    "Versuchen Sie es morgen, oder rufen Sie an."
)


@dataclass
class Transaction:
    """One database transaction for one action, with its actor, time and source. Committed by `transaction`."""

    session: Session
    now: datetime
    actor: str  #: `customer:12`, `clerk:3`, `link:5`, `visitor`, `worker`, `console`
    keys: LinkKeys
    factor_keys: LinkKeys
    settings: Mapping[str, Any] = field(repr=False)
    source: str | None = None  #: address block of the request, for throttle and audit
    initials: str | None = None  #: of the clerk who acts, for the customer's history
    device_token: str = field(default="", repr=False)  #: of the browser's device cookie, see services/devices.py
    #: The greetings of those whose names this transaction changes, before it: the new name may be an intruder's.
    greetings: dict[Customer | Clerk, str] = field(default_factory=dict, repr=False)
    locked: set[Customer | Clerk] = field(default_factory=set, repr=False)  #: rows locked until the commit

    def lock(self, person: Customer | Clerk, seen_version: int | None = None) -> None:
        """Lock the person's row once and read it again, so that actions on one person happen one after another.

        Every action locks the person before the person's links and sessions, so that none can deadlock. SQLite allows
        only one writing transaction anyway. Raises ChangedMeanwhile when the row is newer than the `seen_version` that
        the submitted form showed.
        """
        if person not in self.locked:
            table = type(person)
            row = select(table).where(table.id == person.id).with_for_update(key_share=True)
            if self.session.scalar(row.execution_options(populate_existing=True)) is None:  # deleted meanwhile
                raise ChangedMeanwhile
            self.locked.add(person)
        if seen_version is not None and person.version != seen_version:
            raise ChangedMeanwhile

    def record(self, action: str, person: Customer | Clerk | None = None, **details: Any) -> None:
        """Write the action into history and audit, in this transaction; raises KeyError for one without a label."""
        if action not in ACTIONS:
            raise KeyError(action)
        if self.initials:
            details.setdefault("by", self.initials)
        event = AuditEvent(
            at=self.now,
            action=action,
            actor=self.actor,
            customer_id=person.id if isinstance(person, Customer) else None,
            clerk_id=person.id if isinstance(person, Clerk) else None,
            details=details,
            source=self.source,
        )
        audit_chain.sign(self.settings, event)
        self.session.add(event)

    def send(
        self,
        template: str,
        person: Customer | Clerk | None,
        to: str | None = None,
        link: AccountLink | None = None,
        case: SupportCase | None = None,
        always: bool = False,
        **facts: Any,
    ) -> OutgoingMail:
        """Queue a mail to `to`, or the person's own address; raises TooManyMails.

        `always` ignores the daily limit, for warnings: an attacker could reach it on purpose to suppress them.
        """
        recipient = to or (person.email if person else "")
        canonical = mail_address.canonical(recipient)
        if not always and not self.may_mail(canonical, person):
            message = BY_DESK.format(self.settings["MAILS_PER_DAY"]) if self.by_desk else None
            raise TooManyMails("mail.capped", person, message=message, template=template)
        if person in self.greetings:
            facts["greeting"] = self.greetings[person]
        domain = self.settings["MAIL_DEFAULT_SENDER"][1].rpartition("@")[2]
        mail = OutgoingMail(
            template=template,
            recipient=recipient,
            recipient_canonical=canonical,
            customer_id=person.id if isinstance(person, Customer) else None,
            clerk_id=person.id if isinstance(person, Clerk) else None,
            by_desk=self.by_desk,
            link=link,
            case=case,
            facts=facts,
            message_id=f"<{secrets.token_hex(16)}@{domain}>",
            queued_at=self.now,
            next_try_at=self.now,
        )
        self.session.add(mail)
        return mail

    def warn(self, template: str, person: Customer | Clerk, **facts: Any) -> None:
        """Queue a notice regardless of the daily limit."""
        self.send(template, person, always=True, **facts)

    def notify(self, template: str, person: Customer | Clerk, to: str | None = None, **facts: Any) -> None:
        """Queue a notice, or only record it when the daily limit is reached."""
        try:
            self.send(template, person, to, **facts)
        except TooManyMails:
            self.record("mail.capped", person, template=template)

    @property
    def by_desk(self) -> bool:
        return self.actor.startswith("clerk:")

    def may_mail(self, canonical: str, person: Customer | Clerk | None, besides: OutgoingMail | None = None) -> bool:
        """Return whether MAILS_PER_DAY allows this address (canonical form) one more mail, or the one `besides`.

        Counted is what left in the last 24 hours, or waits and will leave: nothing of what was taken back before it
        left. The desk has a limit of its own, as others must not be able to use it up. Of mails about an account that
        has another address at most half: whoever enters an address as a new one must not use up what its owner may get.
        """
        living = or_(
            OutgoingMail.link_id.is_(None),
            AccountLink.kind.in_(IN_NOTICE),
            and_(AccountLink.ended_at.is_(None), AccountLink.expires_at > self.now),
        )
        waits = and_(OutgoingMail.state.in_((MailState.QUEUED, MailState.DEFERRED)), living)
        limit = int(self.settings["MAILS_PER_DAY"])
        mails = (
            select(OutgoingMail.customer_id)
            .outerjoin(OutgoingMail.link)
            .where(
                OutgoingMail.recipient_canonical == canonical,
                OutgoingMail.queued_at > self.now - timedelta(days=1),
                OutgoingMail.by_desk == self.by_desk,
                OutgoingMail.id != (besides.id if besides else 0),
                ~OutgoingMail.template.startswith("alarm_", autoescape=True),  # strangers cause them
                or_(OutgoingMail.state.in_((MailState.SENT, MailState.BOUNCED)), waits),
            )
        )
        accounts = self.session.scalars(mails.limit(limit)).all()
        new_address = isinstance(person, Customer) and canonical != person.email_canonical and not self.by_desk
        used_up = new_address and person is not None and 2 * accounts.count(person.id) >= limit
        return len(accounts) < limit and not used_up

    def count(self, counted: str, since: datetime, number: int = 1) -> int:
        """Add to this counter of the hour or day that began at `since`, and return it."""
        row = {"counted": counted, "hour": since, "number": number}
        insert = _INSERT[self.session.get_bind().dialect.name](RequestCount).values(row)
        more = {"number": RequestCount.number + number}
        insert = insert.on_conflict_do_update(index_elements=["counted", "hour"], set_=more)
        return int(self.session.scalars(insert.returning(RequestCount.number)).one())

    @property
    def hour(self) -> datetime:
        """The beginning of this hour."""
        return self.now.replace(minute=0, second=0, microsecond=0)


_writer = Lock()  # of this process, see _turn_to_write
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def upsert(session: Session, table: type[Base], values: dict[str, Any], change: dict[str, Any]) -> None:
    """Insert `values`; where the primary key exists, apply `change` instead."""
    insert = _INSERT[session.get_bind().dialect.name](table).values(values)
    keys = [column.name for column in table.__table__.primary_key]
    session.execute(insert.on_conflict_do_update(index_elements=keys, set_=change))


def insert_once(session: Session, table: type[Base], values: dict[str, Any]) -> bool:
    """Insert `values` and return True, or False when the primary key existed already."""
    insert = _INSERT[session.get_bind().dialect.name](table).values(values).on_conflict_do_nothing()
    keys = list(table.__table__.primary_key)
    return session.execute(insert.returning(*keys)).first() is not None


def rows_changed(session: Session, statement: Update | Delete) -> int:
    """Execute the statement and return how many rows met its condition."""
    result: Any = session.execute(statement)
    return int(result.rowcount)


Result = TypeVar("Result")


@contextmanager
def transaction(
    actor: str,
    source: str | None = None,
    initials: str | None = None,
    lock_now: bool = True,
    device_token: str = "",
) -> Iterator[Transaction]:
    """Yield a Transaction and commit it at the end.

    Without `lock_now` SQLite's write lock is taken by the first statement that writes, which fails after one that read.

    A Refusal rolls back, writes its audit record in a second small transaction, and is raised again. Any other
    exception rolls back everything. Of two that save or delete the same row, the slower one gets ChangedMeanwhile.
    """
    try:
        with _open(actor, source, initials, lock_now, device_token) as tx:
            yield tx
    except (StaleDataError, ObjectDeletedError):
        raise ChangedMeanwhile from None
    except Refusal as refusal:
        if refusal.record:
            with _open(actor, source, initials) as tx:
                counted = f"{refusal.record}:{actor}:{getattr(refusal.about, 'id', '')}"
                if not refusal.once_an_hour or tx.count(counted, tx.hour) == 1:
                    tx.record(refusal.record, refusal.about, **refusal.details)
        raise


def require_none(session: Session) -> None:
    """Raise RuntimeError within a transaction: the end of an inner one would silently end the outer one, too."""
    if session.info.get("writes"):
        raise RuntimeError("a transaction within a transaction")


@contextmanager
def _open(
    actor: str, source: str | None, initials: str | None, lock_now: bool = True, device_token: str = ""
) -> Iterator[Transaction]:
    session = db.session()
    require_none(session)
    session.rollback()  # ends an open read transaction, whose snapshot would be older than the locked rows
    session.expire_all()
    with _turn_to_write(session, lock_now):
        session.connection(execution_options={WRITES: lock_now})
        session.info["writes"] = True
        try:
            now, keys = datetime.now(UTC), (link_keys(), factor_keys())
            yield Transaction(session, now, actor, *keys, current_app.config, source, initials, device_token)
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            session.info["writes"] = False


@contextmanager
def _turn_to_write(session: Session, writes: bool) -> Iterator[None]:
    """Let the threads of this process write to SQLite one after another.

    A connection that waits for SQLite's write lock tries again and again, in no order: under a flood some wait for
    seconds. So of each process only one does. After BUSY_TIMEOUT the wait is SQLite's own, which then fails.
    """
    orderly = writes and session.get_bind().dialect.name == "sqlite"
    mine = orderly and _writer.acquire(timeout=BUSY_TIMEOUT / 1000)
    try:
        yield
    finally:
        if mine:
            _writer.release()


def run_outside_transaction(function: Callable[..., Result], *args: Any) -> Result:
    """End the open read transaction and run a slow function, such as Argon2, without holding a connection."""
    db.session.commit()
    return function(*args)


def link_keys() -> LinkKeys:
    config = current_app.config
    return LinkKeys([config["LINK_KEY"], *config["LINK_KEY_FALLBACKS"]])


def factor_keys() -> LinkKeys:
    config = current_app.config
    return LinkKeys([config["FACTOR_KEY"], *config["FACTOR_KEY_FALLBACKS"]])
