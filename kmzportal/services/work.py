"""The unit of work as deeds see it: one transaction, one moment, one actor."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal.domain import mail_address
from kmzportal.domain.account_link import AccountLink, LinkKeys
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.domain.refusals import ChangedMeanwhile, TooManyMails


@dataclass
class UnitOfWork:
    """Carries what every deed needs. Committed by whoever opened it, never by a deed."""

    session: Session
    now: datetime
    actor: str
    keys: LinkKeys
    settings: Mapping[str, Any] = field(repr=False)
    source: str | None = None  #: address block of the request, for throttle and audit
    initials: str | None = None  #: of the clerk who acts; they stand in the customer's history

    def lock(self, person: Customer | Clerk, seen: int | None = None) -> None:
        """Let deeds on one person happen one after another, each seeing what the one before has done.

        `seen` is the version whose data stood on the page that asks; raises ChangedMeanwhile if it is no longer that.

        Every deed locks the person first and the person's links and sessions later, so none wait in a circle.
        SQLite lets only one deed at a time begin anyway.
        """
        table = type(person)
        locked = select(table).where(table.id == person.id).with_for_update(key_share=True)
        self.session.scalar(locked.execution_options(populate_existing=True))
        if seen is not None and person.version != seen:
            raise ChangedMeanwhile

    def record(self, deed: str, person: Customer | Clerk | None = None, **details: Any) -> None:
        """Write the deed into history and audit, in this transaction."""
        if self.initials:
            details.setdefault("by", self.initials)
        self.session.add(
            AuditEvent(
                at=self.now,
                deed=deed,
                actor=self.actor,
                customer_id=person.id if isinstance(person, Customer) else None,
                clerk_id=person.id if isinstance(person, Clerk) else None,
                details=details,
                source=self.source,
            )
        )

    def send(
        self,
        template: str,
        person: Customer | Clerk,
        to: str | None = None,
        link: AccountLink | None = None,
        always: bool = False,
        **facts: Any,
    ) -> OutgoingMail:
        """Queue a mail to a stored address (`to`, or the person's own); raises TooManyMails.

        `always` passes the cap: nobody may silence a warning by asking for other mails first.
        """
        recipient = to or person.email
        canonical = mail_address.canonical(recipient)
        if not always and self._mails_today(canonical) >= self.settings["MAILS_PER_DAY"]:
            raise TooManyMails("mail.capped", person, template=template)
        mail = OutgoingMail(
            template=template,
            recipient=recipient,
            recipient_canonical=canonical,
            customer_id=person.id if isinstance(person, Customer) else None,
            clerk_id=person.id if isinstance(person, Clerk) else None,
            link=link,
            facts=facts,
            message_id=f"<{secrets.token_hex(16)}@{self._mail_domain()}>",
            queued_at=self.now,
            next_try_at=self.now,
        )
        self.session.add(mail)
        return mail

    def warn(self, template: str, person: Customer | Clerk, **facts: Any) -> None:
        """Queue a notice that passes the cap: nobody may silence it by asking for other mails first."""
        self.send(template, person, always=True, **facts)

    def notify(self, template: str, person: Customer | Clerk, to: str | None = None, **facts: Any) -> None:
        """Queue a notice; over the cap the deed goes on and the missing notice stays on record."""
        try:
            self.send(template, person, to, **facts)
        except TooManyMails:
            self.record("mail.capped", person, template=template)

    def _mails_today(self, canonical: str) -> int:
        mails = select(func.count()).where(
            OutgoingMail.recipient_canonical == canonical,
            OutgoingMail.queued_at > self.now - timedelta(days=1),
        )
        return self.session.scalar(mails) or 0

    def _mail_domain(self) -> str:
        """The office's domain, also when the sender is given as `Name <mail>`."""
        return parseaddr(self.settings["MAIL_DEFAULT_SENDER"])[1].rpartition("@")[2]
