"""The columns that customers and clerks share (mail address, password, lock), and the clerks."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from kmzportal import mail_address
from kmzportal.db import Base, Id
from kmzportal.plain_text import is_name

if TYPE_CHECKING:
    from kmzportal.models.passkey import Passkey

NEUTRAL_GREETING = "Guten Tag"


def greeting(name: str) -> str:
    """Return the first words of a mail, with the name only if it looks like one: anyone can enter any text as one."""
    plain = " ".join(name.split())
    return f"Guten Tag {plain}" if is_name(plain) else NEUTRAL_GREETING


class Person:
    """Mixin of the accounts that can log in. Two tables, so that a customer can never get the rights of a clerk."""

    #: Prefix of the throttle key, so that the logins of customers and clerks are throttled separately.
    THROTTLE_PREFIX: ClassVar[str] = ""

    id: Mapped[Id]
    email: Mapped[str]
    email_canonical: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    password_set_at: Mapped[datetime | None]
    locked_at: Mapped[datetime | None]  #: by the office or an objection, not by throttling
    created_at: Mapped[datetime]
    version: Mapped[int]  #: incremented by each save, so that the slower of two saves is refused

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}

    @declared_attr
    def passkeys(cls) -> Mapped[list["Passkey"]]:
        return relationship("Passkey", viewonly=True, order_by="Passkey.id")

    def set_password_hash(self, password_hash: str, now: datetime) -> None:
        self.password_hash = password_hash
        self.password_set_at = now

    def set_email(self, email: str) -> None:
        self.email = mail_address.parse(email)
        self.email_canonical = mail_address.canonical(email)


class Clerk(Person, Base):
    """A clerk of the office: helps customers, is shown to them by initials."""

    __tablename__ = "clerk"
    THROTTLE_PREFIX: ClassVar[str] = "clerk:"

    name: Mapped[str]
    initials: Mapped[str] = mapped_column(unique=True)
    admin: Mapped[bool] = mapped_column(default=False)
    factor_nonce: Mapped[str | None]  #: the second factor's secret derives from it, as a link's token does
    #: Time step of the last accepted code; each code is valid once (RFC 6238, 5.2).
    factor_step: Mapped[int] = mapped_column(default=0)
    recovery_nonce: Mapped[str | None]  #: the recovery codes derive from it; None: from factor_nonce, as first set up
    recovery_codes_used: Mapped[list[int]] = mapped_column(default=list)  #: indexes
    left_at: Mapped[datetime | None]  #: left the office; locked as well, and stays for the names in the history

    @property
    def has_factor(self) -> bool:
        """Whether the clerk has a second factor: an app, or a passkey."""
        return bool(self.factor_nonce or self.passkeys)

    @property
    def greeting(self) -> str:
        return greeting(self.name)

    @property
    def known_words(self) -> list[str]:
        return [self.email, self.name, self.initials]


class ClerkDay(Base):
    """How often a clerk did what on a day in Berlin, to notice an unusual number."""

    __tablename__ = "clerk_day"

    clerk_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    act: Mapped[str] = mapped_column(primary_key=True)  #: a key of services.desk.COUNTED
    number: Mapped[int]
