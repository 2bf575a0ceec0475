"""The link to an account: a row that knows when it dies, and a token that is nowhere kept.

Token and code derive by HMAC-SHA-256 from a key outside the database and the row's random nonce; the row holds
only the token's SHA-256 to be found by. A copy of the database opens nothing, and a retry sends the same link.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.models.base import Base, Id
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer

CODE_TRIES = 5
RENEWALS = 3


class LinkKind(StrEnum):
    RECOVERY = "recovery"
    DESK = "desk"
    ADDRESS = "address"
    CLERK_FIRST = "clerk_first"
    OBJECTION = "objection"  #: "Das war ich nicht", in the notice to the old address


#: The setting that holds the lifetime of each kind.
LIFETIMES = {
    LinkKind.RECOVERY: "RECOVERY_LINK_LIFETIME",
    LinkKind.DESK: "DESK_LINK_LIFETIME",
    LinkKind.ADDRESS: "ADDRESS_LINK_LIFETIME",
    LinkKind.CLERK_FIRST: "FIRST_LINK_LIFETIME",
    LinkKind.OBJECTION: "OBJECTION_LINK_LIFETIME",
}


class LinkState(StrEnum):
    OPEN = "open"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"


class AccountLink(Base):
    __tablename__ = "account_link"

    id: Mapped[Id]
    kind: Mapped[str]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"), index=True)
    email: Mapped[str]  #: where the link is mailed; for a new address, the one to be confirmed
    nonce: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    issued_by: Mapped[str]  #: an actor, such as `clerk:3`
    initials: Mapped[str | None]  #: Bearbeiter, as the mail names them
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]  #: the first POST; scanners only GET
    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]
    code_tries: Mapped[int] = mapped_column(default=0)
    renewals: Mapped[int] = mapped_column(default=0)  #: how often its holder fetched a fresh one in its place

    customer: Mapped[Customer | None] = relationship()
    clerk: Mapped[Clerk | None] = relationship()

    @property
    def holder(self) -> Customer | Clerk:
        return self.clerk or self.owner

    @property
    def owner(self) -> Customer:
        """The holder of a kind that only customers get."""
        if self.customer is None:
            raise LookupError(f"link {self.id} belongs to no customer")
        return self.customer

    @property
    def needs_robot_check(self) -> bool:
        return self.kind == LinkKind.DESK

    def state(self, now: datetime) -> LinkState:
        if self.ended_as:
            return LinkState(self.ended_as)
        return LinkState.OPEN if now < self.expires_at else LinkState.EXPIRED

    def usable(self, arrived: datetime) -> bool:
        """Whether it opens the account for someone who arrived then; a form already open outlives expiry."""
        return self.state(arrived) is LinkState.OPEN

    def renewable(self, now: datetime) -> bool:
        """Whether its holder may have a fresh one mailed to the same address."""
        state = self.state(now)
        stuck = state is LinkState.OPEN and self.code_used_up
        helps = stuck or state in (LinkState.EXPIRED, LinkState.REPLACED)
        mailed_anew = self.kind in (LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS)
        return helps and mailed_anew and self.renewals < RENEWALS

    @property
    def code_tries_left(self) -> int:
        return max(0, CODE_TRIES - self.code_tries)

    @property
    def code_used_up(self) -> bool:
        return not self.code_tries_left
