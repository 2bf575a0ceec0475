"""The latest result of the checks of `kmzportal doctor`, one row for each host with a background worker."""

from datetime import datetime

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class Diagnosis(Base):
    __tablename__ = "diagnosis"

    host: Mapped[str] = mapped_column(primary_key=True)
    checked_at: Mapped[datetime | None]
    due_at: Mapped[datetime]  #: when the host's worker checks next; the desk sets it to now
    results: Mapped[list[dict[str, str]]] = mapped_column(JSON)  #: services.diagnosis.Result
