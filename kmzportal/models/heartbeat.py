"""The last run of each worker loop. Pages show an outage of mail when it is too long ago."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class Heartbeat(Base):
    __tablename__ = "heartbeat"

    loop: Mapped[str] = mapped_column(primary_key=True)
    beat_at: Mapped[datetime]
