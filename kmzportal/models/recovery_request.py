"""A request for a new password. The web request only inserts this row; the worker looks up the account and mails."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.db import Base, Id
from kmzportal.models.customer import Customer


class RecoveryRequest(Base):
    __tablename__ = "recovery_request"
    #: For the limits by source and by address, which are read for every request.
    __table_args__ = (
        Index("ix_recovery_request_source_requested_at", "source", "requested_at", "email_canonical"),
        Index("ix_recovery_request_address_outcome", "email_canonical", "outcome", "requested_at"),
    )

    id: Mapped[Id]
    reference: Mapped[str] = mapped_column(unique=True)  #: Vorgangsnummer, quoted on the phone
    email_canonical: Mapped[str]  #: as typed, known or not
    requested_at: Mapped[datetime] = mapped_column(index=True)
    source: Mapped[str | None]  #: address block of the request; deleted after SOURCE_RETENTION
    answered_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str | None]  #: sent, extra (a mail in spite of the limit), unknown, locked, capped
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))

    customer: Mapped[Customer | None] = relationship()


class KnownSource(Base):
    """A source of earlier logins, under a keyed hash; in a flood its requests are still stored."""

    __tablename__ = "known_source"

    source: Mapped[str] = mapped_column(primary_key=True)
    logged_in_at: Mapped[datetime] = mapped_column(index=True)


class RequestCount(Base):
    """How many anonymous requests of a kind came in an hour or day, of one source or in all; not a row for each."""

    __tablename__ = "request_count"

    counted: Mapped[str] = mapped_column(primary_key=True)  #: such as `case` or `case:203.0.113.7`
    hour: Mapped[datetime] = mapped_column(primary_key=True)  #: its beginning
    number: Mapped[int]
