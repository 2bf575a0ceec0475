"""Login sessions, known devices, visits to links, what pages keep for a browser, and failed logins."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.db import BIG, Base, Id
from kmzportal.models.account_link import AccountLink
from kmzportal.models.customer import Customer
from kmzportal.models.person import Clerk


class InUse:
    """The use of the portal in one browser. The cookie contains only the random token, the row only its hash."""

    id: Mapped[Id]
    token_hash: Mapped[str] = mapped_column(unique=True)
    started_at: Mapped[datetime]
    last_seen: Mapped[datetime]
    idle_after: Mapped[int]  #: seconds without a request
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    @property
    def ends_at(self) -> datetime:
        """The end without further requests."""
        return min(self.last_seen + timedelta(seconds=self.idle_after), self.expires_at)

    def alive(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.ends_at


class LoginSession(InUse, Base):
    """A login."""

    __tablename__ = "login_session"

    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"), index=True)
    #: The password was confirmed, for Konto anpassen; of a clerk the second factor, see auth.fresh_second_factor.
    password_checked_at: Mapped[datetime | None]
    awaits_code: Mapped[bool] = mapped_column(default=False)  #: the password was right, the second factor is due
    device: Mapped[str]  #: coarse, such as "Firefox unter Windows"

    customer: Mapped[Customer | None] = relationship(lazy="joined")
    clerk: Mapped[Clerk | None] = relationship(lazy="joined")

    @property
    def actor(self) -> str:
        return f"clerk:{self.clerk_id}" if self.clerk_id else f"customer:{self.customer_id}"


class KnownDevice(Base):
    """A browser in which this account logged in. Its cookie contains only the token, which names no person.

    A browser that is known to several accounts has a row for each, with the same token.
    """

    __tablename__ = "known_device"
    __table_args__ = tuple(
        Index(f"ix_known_device_token_hash_{owner}", "token_hash", owner, unique=True)
        for owner in ("customer_id", "clerk_id")
    )

    id: Mapped[Id]
    token_hash: Mapped[str]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"), index=True)
    created_at: Mapped[datetime]
    last_used: Mapped[datetime]  #: the last login
    failures: Mapped[int] = mapped_column(default=0)  #: wrong passwords since then
    device: Mapped[str]  #: coarse, such as "Firefox unter Windows"


class LinkVisit(InUse, Base):
    """A link opened in one browser."""

    __tablename__ = "link_visit"

    link_id: Mapped[int] = mapped_column(BIG, ForeignKey("account_link.id", ondelete="CASCADE"), index=True)
    checked: Mapped[bool] = mapped_column(default=False)  #: the robot check was passed
    wrong_puzzles: Mapped[int] = mapped_column(default=0)
    redeemed: Mapped[bool] = mapped_column(default=False)  #: began as the browser used the link, not as it opened it
    factor_nonce: Mapped[str | None]  #: of the second factor that a clerk sets up in this visit
    password_hash: Mapped[str | None]  #: of the new password, until the clerk's code is right and both count

    link: Mapped[AccountLink] = relationship()


class KeptEntry(Base):
    """What was typed, kept for later pages of the same browser: it has the token in its cookie, the row the hash.

    It belongs to an actor, who alone gets it back, or else to the address that was typed without a login.
    """

    __tablename__ = "kept_entry"

    id: Mapped[Id]
    token_hash: Mapped[str] = mapped_column(unique=True)
    actor: Mapped[str | None] = mapped_column(index=True)  #: such as `customer:12` or `link:5`
    email_canonical: Mapped[str | None] = mapped_column(index=True)
    content: Mapped[dict[str, Any]]
    kept_until: Mapped[datetime] = mapped_column(index=True)


class Throttle(Base):
    """Failures of an account, known or not, under a keyed hash. The wait is shown at the desk only."""

    __tablename__ = "throttle"

    account: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]

    def waits_until(self, free: int, first: int, longest: int) -> datetime:
        """Return the end of the wait: after `free` failures, `first` seconds, doubled by each one up to `longest`."""
        beyond = self.failures - free
        wait = min(first * 2 ** min(beyond - 1, 20), longest) if beyond > 0 else 0
        return self.failed_at + timedelta(seconds=wait)

    def waiting(self, now: datetime, free: int, first: int, longest: int) -> bool:
        return now < self.waits_until(free, first, longest)


class SourceFailure(Base):
    """A failed account by source. Accounts count, not tries: a whole school may share one address."""

    __tablename__ = "source_failure"
    __table_args__ = (Index("ix_source_failure_recent", "source", "failed_at"),)

    source: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    failed_at: Mapped[datetime] = mapped_column(index=True)
