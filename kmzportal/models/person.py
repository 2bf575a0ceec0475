"""The columns that customers and clerks share: mail address, password, lock."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from kmzportal import mail_address
from kmzportal.db import Id


class Person:
    """Mixin of everybody who can log in. There are two tables, so a customer can never become staff."""

    #: Prefix of the key under which failed logins are counted, so that the two logins are throttled apart.
    THROTTLE_PREFIX: ClassVar[str] = ""

    id: Mapped[Id]
    email: Mapped[str]
    email_canonical: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    password_set_at: Mapped[datetime | None]
    locked_at: Mapped[datetime | None]  #: by the office or by an objection; not the throttle
    created_at: Mapped[datetime]
    version: Mapped[int]  #: counted up at each save, so that the slower of two is refused

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}

    def set_password_hash(self, password_hash: str, now: datetime) -> None:
        self.password_hash = password_hash
        self.password_set_at = now

    def set_email(self, email: str) -> None:
        """Set the address as it is mailed to, and the form in which it is compared."""
        self.email = mail_address.parse(email)
        self.email_canonical = mail_address.canonical(email)
