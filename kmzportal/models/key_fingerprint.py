"""Which keys the portal was last used with, so that no process runs with others; see services/keys.py."""

from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base


class KeyFingerprint(Base):
    __tablename__ = "key_fingerprint"

    name: Mapped[str] = mapped_column(primary_key=True)  #: of the setting, such as `LINK_KEY`
    fingerprint: Mapped[str]
