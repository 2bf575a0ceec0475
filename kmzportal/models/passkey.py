"""Passkeys (WebAuthn) of customers and clerks."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.db import BIG, Base, Id
from kmzportal.models.customer import Customer
from kmzportal.models.person import Clerk


class Passkey(Base):
    """The public part of a key pair; the private part stays on the person's device. Nothing here logs anybody in."""

    __tablename__ = "passkey"
    __table_args__ = ({"sqlite_autoincrement": True},)  # a tick or an open form must not meet another passkey

    id: Mapped[Id]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"), index=True)
    credential_id: Mapped[str] = mapped_column(unique=True)  #: chosen by the device; base64url, as the two after it
    public_key: Mapped[str]
    user_handle: Mapped[str]  #: of the account: one device keeps one passkey for each
    host: Mapped[str]  #: the host name of PUBLIC_URL when it was added, outside of which browsers do not offer it
    sign_count: Mapped[int] = mapped_column(BIG)  #: as the device reported it last; 0 where it does not count
    name: Mapped[str]
    created_at: Mapped[datetime]
    last_used: Mapped[datetime | None]

    customer: Mapped[Customer | None] = relationship(lazy="joined")
    clerk: Mapped[Clerk | None] = relationship(lazy="joined")

    @property
    def holder(self) -> Customer | Clerk | None:
        return self.customer or self.clerk
