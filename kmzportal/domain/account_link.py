"""The link to an account: a row that knows when it dies, and a token that is nowhere kept.

Token and code derive by HMAC-SHA-256 from a key outside the database and the row's random nonce; the row holds
only the token's SHA-256 to be found by. A copy of the database opens nothing, and a retry sends the same link.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.domain.base import Base, Id
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer

CODE_TRIES = 5
RENEWALS = 3
CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # 32 signs; I, O, 0 and 1 are misread


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


class LinkKeys:
    """Derives tokens and codes; the first key is the present one, older ones still open waiting mails."""

    def __init__(self, keys: Sequence[str]):
        self._keys = [key.encode() for key in keys]

    def nonce_and_hash(self) -> tuple[str, str]:
        nonce = secrets.token_urlsafe(32)
        return nonce, token_hash(_derive(self._keys[0], "token", nonce))

    def token(self, link: AccountLink) -> str:
        return _derive(self._key_of(link), "token", link.nonce)

    def code(self, link: AccountLink) -> str:
        """Return the eight characters for the mail, grouped `ABCD-EFGH`."""
        return spelled(hmac.digest(self._key_of(link), f"code:{link.nonce}".encode(), "sha256"), groups=2)

    def opens(self, link: AccountLink, typed: str) -> bool:
        """Whether the typed code is the link's; blanks, hyphens and case are forgiven."""
        return hmac.compare_digest(plain(typed).encode(), plain(self.code(link)).encode())

    def derive(self, purpose: str, nonce: str) -> list[bytes]:
        """Return what derives from a nonce for a purpose of its own, under each key, the present one first."""
        return [hmac.digest(key, f"{purpose}:{nonce}".encode(), "sha256") for key in self._keys]

    def fingerprint(self, text: str) -> str:
        """Return a keyed hash for what must be counted but not be readable."""
        return _derive(self._keys[0], "fingerprint", text)

    def _key_of(self, link: AccountLink) -> bytes:
        for key in self._keys:
            if token_hash(_derive(key, "token", link.nonce)) == link.token_hash:
                return key
        raise LookupError(f"The key of link {link.id} is gone; it stands in no LINK_KEY_FALLBACKS.")


def spelled(digest: bytes, groups: int) -> str:
    """Return so many groups of four signs that nobody misreads, such as `ABCD-EFGH`."""
    signs = "".join(CODE_ALPHABET[byte % len(CODE_ALPHABET)] for byte in digest[: groups * 4])
    return "-".join(signs[at : at + 4] for at in range(0, len(signs), 4))


def plain(typed: str) -> str:
    """Forgive blanks, hyphens and small letters in a code that somebody typed."""
    return "".join(sign for sign in typed.upper() if sign.isalnum())


def _derive(key: bytes, purpose: str, text: str) -> str:
    digest = hmac.digest(key, f"{purpose}:{text}".encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
