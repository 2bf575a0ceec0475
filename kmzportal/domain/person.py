"""What customers and clerks have in common: a mail address, a password, a name to be greeted by."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from kmzportal.domain import mail_address
from kmzportal.domain.base import Id
from kmzportal.domain.passwords import Proof


class Person:
    """Columns and habits of everybody who can log in. Two tables: a customer can never become staff."""

    #: Stands before the address where failed logins are counted: the two doors know nothing of each other.
    COUNTED_AS: ClassVar[str] = ""

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

    def accepts(self, proof: Proof) -> bool:
        """Whether the proof holds and was made against the hash that still stands."""
        return proof.holds and proof.against == self.password_hash

    def take_password(self, password_hash: str, now: datetime) -> None:
        self.password_hash = password_hash
        self.password_set_at = now

    def move_to(self, email: str) -> None:
        """Let the person be known by this mail address from now on."""
        self.email = mail_address.understand(email)
        self.email_canonical = mail_address.canonical(email)
