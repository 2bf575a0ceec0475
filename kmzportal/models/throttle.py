"""How often logging in failed: for each account a growing wait, for each source the accounts it failed at."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class Throttle(Base):
    """Counts for any address, known or not, under a keyed hash; the wait is never shown to anybody."""

    __tablename__ = "throttle"

    account: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]

    def waiting(self, now: datetime, free: int, first: int, longest: int) -> bool:
        """Whether no password is looked at yet; `first` and `longest` in seconds."""
        beyond = self.failures - free
        wait = min(first * 2 ** min(beyond - 1, 20), longest) if beyond > 0 else 0
        return now < self.failed_at + timedelta(seconds=wait)


class SourceFailure(Base):
    """Counts distinct accounts, not tries: a whole school sits behind one address."""

    __tablename__ = "source_failure"

    source: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    failed_at: Mapped[datetime] = mapped_column(index=True)
