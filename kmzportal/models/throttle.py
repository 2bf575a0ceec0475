"""Failed logins: a growing wait for each account, and the accounts that each source failed at."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class Throttle(Base):
    """Failures of an account, known or not, under a keyed hash. The wait is never shown."""

    __tablename__ = "throttle"

    account: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]

    def waiting(self, now: datetime, free: int, first: int, longest: int) -> bool:
        """Return whether to wait: after `free` failures, `first` seconds, doubled by each failure up to `longest`."""
        beyond = self.failures - free
        wait = min(first * 2 ** min(beyond - 1, 20), longest) if beyond > 0 else 0
        return now < self.failed_at + timedelta(seconds=wait)


class SourceFailure(Base):
    """A failed account by source. Accounts count, not tries: a whole school may share one address."""

    __tablename__ = "source_failure"

    source: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    failed_at: Mapped[datetime] = mapped_column(index=True)
