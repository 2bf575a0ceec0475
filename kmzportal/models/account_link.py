"""The link to an account, and the policy of each kind of link.

The token and the code of a link derive by HMAC-SHA-256 from a key outside the database and the row's random nonce
(services/tokens.py). The row holds the SHA-256 of the token for the lookup, so a copy of the database gives no access.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal import mail_address
from kmzportal.db import BIG, Base
from kmzportal.models.customer import Customer
from kmzportal.models.person import Clerk

CODE_TRIES = 5
RENEWALS = 3


class LinkKind(StrEnum):
    RECOVERY = "recovery"
    DESK = "desk"
    ADDRESS = "address"
    CLERK_FIRST = "clerk_first"
    OBJECTION = "objection"  #: "Das war ich nicht", in the notice to the old address
    LETTER = "letter"  #: Zugangsbrief, printed at the desk; its code counts only with the Kundennummer


class LinkState(StrEnum):
    OPEN = "open"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"


@dataclass(frozen=True)
class LinkPolicy:
    """The rules of a kind of link; other modules read them here and do not compare kinds."""

    label: str  #: the German name in Postausgang, Protokoll and on the customer's page
    lifetime: str  #: name of the setting, seconds
    first_page: str  #: endpoint of the page that the link opens
    noun: str = "Link"  #: what its holder calls it, in German, masculine
    mailed: bool = True
    redeemed: str = "Passwort gesetzt"  #: in German, the effect of its use
    sets_password: bool = False
    answers_case: bool = False  #: its use closes the written requests that it answered
    robot_check: bool = False  #: by a puzzle, or the code in the same mail
    one_at_a_time: bool = True  #: a newer one ends the older ones
    ends_with_password: bool = False  #: a new password ends it
    ends_with_address: bool = True  #: a new address or a lock ends it, and it counts only for a current address
    works_when_locked: bool = False
    renewable: bool = True  #: its holder may request a new one to the same address
    greets_by_name: bool = True
    confirms_address: bool = False  #: mailed to an address that may be taken; its owner is not to be learned from it
    in_notice: bool = False  #: its mail tells of a change: it is sent also once the link has ended


POLICIES = {
    LinkKind.RECOVERY: LinkPolicy(
        label="Neues Passwort",
        lifetime="RECOVERY_LINK_LIFETIME",
        first_page="link.password",
        sets_password=True,
        one_at_a_time=False,  # a request by another person must not end it
        ends_with_password=True,
    ),
    LinkKind.DESK: LinkPolicy(
        label="Link zum Konto",
        lifetime="DESK_LINK_LIFETIME",
        first_page="robot_check.tick",
        sets_password=True,
        answers_case=True,
        robot_check=True,
    ),
    LinkKind.ADDRESS: LinkPolicy(
        label="E-Mail-Adresse bestätigen",
        lifetime="ADDRESS_LINK_LIFETIME",
        first_page="link.confirm_address",
        redeemed="Adresse bestätigt",
        greets_by_name=False,  # the name is chosen by the person who entered the address
        confirms_address=True,
    ),
    LinkKind.CLERK_FIRST: LinkPolicy(
        label="Zugang zum Kundenservice",
        lifetime="FIRST_LINK_LIFETIME",
        first_page="link.clerk_access",
        sets_password=True,
        ends_with_password=True,
        greets_by_name=False,  # an admin typed name and address; they are not confirmed
        renewable=False,  # an admin or the console sends a new one (OWASP ASVS 6.4.6)
    ),
    LinkKind.OBJECTION: LinkPolicy(
        label="Das war ich nicht",
        lifetime="OBJECTION_LINK_LIFETIME",
        first_page="link.object_to_change",
        redeemed="Widersprochen",
        one_at_a_time=False,
        ends_with_address=False,  # it was mailed to the address that was replaced
        works_when_locked=True,
        renewable=False,
        in_notice=True,
    ),
    LinkKind.LETTER: LinkPolicy(
        label="Zugangsbrief",
        lifetime="LETTER_LIFETIME",
        first_page="letter.redeem",
        noun="Zugangsbrief",
        mailed=False,
        sets_password=True,
        answers_case=True,
        renewable=False,  # the desk prints a new one
    ),
}
ANSWERS_CASE = {kind for kind, policy in POLICIES.items() if policy.answers_case}
SETS_PASSWORD = {kind for kind, policy in POLICIES.items() if policy.sets_password}
ENDS_WITH_PASSWORD = {kind for kind, policy in POLICIES.items() if policy.ends_with_password}
IN_NOTICE = {kind for kind, policy in POLICIES.items() if policy.in_notice}
ENDS_WITH_ADDRESS = {kind for kind, policy in POLICIES.items() if policy.ends_with_address}


_NOT_ENDED = text("ended_at IS NULL")


class AccountLink(Base):
    __tablename__ = "account_link"
    __table_args__ = (
        Index("ix_account_link_open", "expires_at", "id", sqlite_where=_NOT_ENDED, postgresql_where=_NOT_ENDED),
        {"sqlite_autoincrement": True},  # URLs of open pages hold the id, also of a deleted link
    )

    id: Mapped[int] = mapped_column(BIG, primary_key=True)  #: random, see links.issue
    kind: Mapped[str]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"), index=True)
    email: Mapped[str]  #: the recipient; for a new address, the address to be confirmed; for a letter, the login name
    nonce: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    issued_by: Mapped[str]  #: actor, such as `clerk:3`
    initials: Mapped[str | None]  #: of the clerk, shown in the mail as Bearbeiter
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]  #: first POST; mail scanners only send GET
    ended_at: Mapped[datetime | None]
    ended_as: Mapped[str | None]
    code_tries: Mapped[int] = mapped_column(default=0)
    renewals: Mapped[int] = mapped_column(default=0)  #: how often its holder requested a new one

    customer: Mapped[Customer | None] = relationship()
    clerk: Mapped[Clerk | None] = relationship()

    @property
    def policy(self) -> LinkPolicy:
        return POLICIES[LinkKind(self.kind)]

    @property
    def holder(self) -> Customer | Clerk:
        return self.clerk or self.owner

    @property
    def owner(self) -> Customer:
        """The customer who holds the link; raises LookupError for the link of a clerk."""
        if self.customer is None:
            raise LookupError(f"link {self.id} belongs to no customer")
        return self.customer

    @property
    def recipient(self) -> str:
        """The address of the mail with this link; for a letter the name on it."""
        return self.email if self.policy.mailed else self.owner.name

    def state(self, now: datetime) -> LinkState:
        if self.ended_as:
            return LinkState(self.ended_as)
        return LinkState.OPEN if now < self.expires_at else LinkState.EXPIRED

    @property
    def address_is_current(self) -> bool:
        """Whether the link was mailed to a present address of its holder, confirmed or pending, in any spelling."""
        addresses = (self.holder.email_canonical, getattr(self.holder, "pending_email_canonical", None))
        return not self.policy.ends_with_address or mail_address.canonical(self.email) in addresses

    def usable(self, arrived: datetime) -> bool:
        """Return whether the link is valid for a visit since `arrived`: a form may be sent after the expiry."""
        return self.state(arrived) is LinkState.OPEN and self.address_is_current

    def renewable(self, now: datetime) -> bool:
        """Return whether its holder may request a new one: it expired, was replaced, or its code is used up."""
        state = self.state(now)
        ended = state in (LinkState.EXPIRED, LinkState.REPLACED) or (state is LinkState.OPEN and self.code_used_up)
        return ended and self.policy.renewable and self.renewals < RENEWALS and self.address_is_current

    @property
    def code_tries_left(self) -> int:
        return max(0, CODE_TRIES - self.code_tries)

    @property
    def code_used_up(self) -> bool:
        return not self.code_tries_left


class UsedPuzzle(Base):
    """A picture puzzle of the robot check that was answered, correctly or not, and is not accepted again."""

    __tablename__ = "used_puzzle"

    puzzle: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
