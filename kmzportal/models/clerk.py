"""A clerk of the office: helps customers, is shown to them by initials."""

from typing import ClassVar

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base
from kmzportal.models.person import Person


class Clerk(Person, Base):
    __tablename__ = "clerk"
    THROTTLE_PREFIX: ClassVar[str] = "clerk:"

    name: Mapped[str]
    initials: Mapped[str] = mapped_column(unique=True)
    admin: Mapped[bool] = mapped_column(default=False)
    factor_nonce: Mapped[str | None]  #: the second factor's secret derives from it, as a link's token does
    #: Time step of the last accepted code; each code is valid once (RFC 6238, 5.2).
    factor_step: Mapped[int] = mapped_column(default=0)
    recovery_codes_used: Mapped[list[int]] = mapped_column(default=list)  #: indexes; the codes derive from factor_nonce

    @property
    def greeting(self) -> str:
        return f"Guten Tag {self.name}"

    @property
    def known_words(self) -> list[str]:
        return [self.email, self.name, self.initials]
