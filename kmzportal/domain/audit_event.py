"""Something was done, or refused: when, by whom, what, to whom."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.domain.base import Base, Id


class AuditEvent(Base):
    __tablename__ = "audit_event"

    id: Mapped[Id]
    at: Mapped[datetime] = mapped_column(index=True)
    deed: Mapped[str]  #: past tense, such as `password.changed`
    actor: Mapped[str]  #: `customer:12`, `clerk:3`, `visitor`, `worker`, `console`
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"), index=True)
    details: Mapped[dict[str, Any]]  #: names of fields and kinds; no secret
    source: Mapped[str | None]  #: forgotten after seven days
