"""A clerk: helps customers from the desk, known by initials."""

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.domain.base import Base
from kmzportal.domain.person import Person


class Clerk(Person, Base):
    __tablename__ = "clerk"

    name: Mapped[str]
    initials: Mapped[str] = mapped_column(unique=True)
    admin: Mapped[bool] = mapped_column(default=False)

    @property
    def greeting(self) -> str:
        return f"Guten Tag {self.name}"

    @property
    def known_words(self) -> list[str]:
        return [self.email, self.name, self.initials]
