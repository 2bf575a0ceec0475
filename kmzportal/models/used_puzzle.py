"""A picture puzzle that was answered, correctly or not, and is not accepted again."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class UsedPuzzle(Base):
    __tablename__ = "used_puzzle"

    puzzle: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
