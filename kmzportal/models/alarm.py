"""When each alarm was last mailed to the admins; see services/alarms.py."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class Alarm(Base):
    __tablename__ = "alarm"

    name: Mapped[str] = mapped_column(
        primary_key=True
    )  #: its kind, with initials and act of the clerk it is about
    raised_at: Mapped[datetime]  #: the last mail
    suppressed: Mapped[int] = mapped_column(default=0)  #: alarms since then, which the next mail counts
