"""When each alarm was last mailed to the admins; see services/alarms.py."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class Alarm(Base):
    __tablename__ = "alarm"

    #: Its kind, with initials and act where it is about a clerk.
    name: Mapped[str] = mapped_column(primary_key=True)
    raised_at: Mapped[datetime]  #: the last mail
    suppressed: Mapped[int] = mapped_column(default=0)  #: alarms since then, which the next mail counts
