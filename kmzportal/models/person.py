"""What customers and clerks have in common: a mail address, a password, a name to be greeted by."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from kmzportal import mail_address
from kmzportal.models.base import Id
from kmzportal.services.passwords import PasswordCheck


class Person:
    """Columns and habits of everybody who can log in. Two tables: a customer can never become staff."""

    #: Stands before the address where failed logins are counted: the two doors know nothing of each other.
    THROTTLE_PREFIX: ClassVar[str] = ""

    id: Mapped[Id]
    email: Mapped[str]
    email_canonical: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    password_set_at: Mapped[datetime | None]
    locked_at: Mapped[datetime | None]  #: by the office, or by an objection; not the throttle
    created_at: Mapped[datetime]
    version: Mapped[int]  #: counted up at each save, so that two who save at once are told

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.version}

    def password_matches(self, proof: PasswordCheck) -> bool:
        """Whether the proof holds and was made against the hash that still stands."""
        return proof.holds and proof.against == self.password_hash

    def set_password_hash(self, password_hash: str, now: datetime) -> None:
        self.password_hash = password_hash
        self.password_set_at = now

    def set_email(self, email: str) -> None:
        """Let the person be known by this mail address from now on."""
        self.email = mail_address.parse(email)
        self.email_canonical = mail_address.canonical(email)
