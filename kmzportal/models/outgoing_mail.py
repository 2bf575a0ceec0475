"""A mail in the outbox. Its text is composed when it is sent, and never stored."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, false, func, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.db import BIG, Base, Id
from kmzportal.models.account_link import AccountLink
from kmzportal.models.customer import Customer
from kmzportal.models.person import Clerk
from kmzportal.models.support_case import SupportCase


class MailState(StrEnum):
    QUEUED = "queued"
    DEFERRED = "deferred"
    SENT = "sent"
    REFUSED = "refused"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


#: With lower(), as SQLite would otherwise take its index of the states, which has no order by time.
_UNDELIVERED = text("lower(state) IN ('refused', 'bounced')")


class OutgoingMail(Base):
    __tablename__ = "outgoing_mail"
    __table_args__ = (
        Index("ix_outgoing_mail_recipient_canonical_queued_at", "recipient_canonical", "queued_at"),
        Index(
            "ix_outgoing_mail_undelivered", "queued_at", "id", sqlite_where=_UNDELIVERED, postgresql_where=_UNDELIVERED
        ),
    )

    id: Mapped[Id]
    template: Mapped[str]
    recipient: Mapped[str]  #: a stored address; a typed one only for receipts and codes of written requests
    recipient_canonical: Mapped[str]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"))
    link_id: Mapped[int | None] = mapped_column(BIG, ForeignKey("account_link.id"), index=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("support_case.id"), index=True)
    by_desk: Mapped[bool] = mapped_column(default=False, server_default=false())  #: a clerk caused it
    facts: Mapped[dict[str, Any]]  #: further values for the template; no secrets
    message_id: Mapped[str] = mapped_column(unique=True)  #: the same at every try
    queued_at: Mapped[datetime] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(default=MailState.QUEUED, index=True)
    next_try_at: Mapped[datetime] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
    leased_until: Mapped[datetime | None]  #: until then only the process with the lease sends it
    leased_by: Mapped[str | None]  #: that process, see services/processes.py
    retried_at: Mapped[datetime | None]  #: by the desk; restarts the time until it expires
    #: When the mail server, not this mail, began to fail.
    outage_since: Mapped[datetime | None] = mapped_column(index=True)
    settled_at: Mapped[datetime | None]
    reply_code: Mapped[int | None]  #: of the mail server (RFC 5321, 4.2)
    reason: Mapped[str | None]
    reply_text: Mapped[str | None]  #: the mail server's own words

    customer: Mapped[Customer | None] = relationship()
    clerk: Mapped[Clerk | None] = relationship()
    link: Mapped[AccountLink | None] = relationship()
    case: Mapped[SupportCase | None] = relationship()

    @classmethod
    def undelivered(cls) -> "ColumnElement[bool]":
        """Match mails that were refused or came back, in the literals of their partial index."""
        return func.lower(cls.state).in_([literal_column("'refused'"), literal_column("'bounced'")])


class Heartbeat(Base):
    """The last run of each worker loop. Pages show an outage of mail when it is too long ago."""

    __tablename__ = "heartbeat"

    loop: Mapped[str] = mapped_column(primary_key=True)
    beat_at: Mapped[datetime]
    failing_since: Mapped[datetime | None]  #: of the support mailbox, the mail server, the clean-up
    failure: Mapped[str | None]  #: why, in German


#: German labels of the states.
MAIL_STATES = {
    "queued": "wartet",
    "deferred": "später erneut",
    "sent": "an den Mailserver übergeben",
    "refused": "abgelehnt",
    "bounced": "zurückgekommen",
    "expired": "abgelaufen",
    "cancelled": "nicht gesendet",
}
