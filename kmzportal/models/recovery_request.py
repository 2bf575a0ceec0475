"""A request for a new password. The web request only inserts this row; the worker looks up the account and mails."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.db import Base, Id
from kmzportal.models.customer import Customer


class RecoveryRequest(Base):
    __tablename__ = "recovery_request"

    id: Mapped[Id]
    reference: Mapped[str] = mapped_column(unique=True)  #: Vorgangsnummer, quoted on the phone
    email_canonical: Mapped[str] = mapped_column(index=True)  #: as typed, known or not
    requested_at: Mapped[datetime] = mapped_column(index=True)
    source: Mapped[str | None]  #: address block of the request; deleted after SOURCE_RETENTION
    answered_at: Mapped[datetime | None] = mapped_column(index=True)
    outcome: Mapped[str | None]  #: sent, unknown, locked, capped
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))

    customer: Mapped[Customer | None] = relationship()


class RequestCount(Base):
    """How many anonymous requests of a kind came in an hour, from one source or in all; a counter, not a row each."""

    __tablename__ = "request_count"

    counted: Mapped[str] = mapped_column(primary_key=True)  #: such as `case` or `case:203.0.113.7`
    hour: Mapped[datetime] = mapped_column(primary_key=True)  #: its beginning
    number: Mapped[int]
