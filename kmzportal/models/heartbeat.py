"""A worker loop was alive. When it is silent for too long, pages say that mail is disturbed."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class Heartbeat(Base):
    __tablename__ = "heartbeat"

    loop: Mapped[str] = mapped_column(primary_key=True)
    beat_at: Mapped[datetime]
