"""The audit trail: one row per action. audit_event.toml holds the German names of actions, actors and details."""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base, Id
from kmzportal.models.customer import Customer

_LABELS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
ACTIONS: dict[str, str] = _LABELS["actions"]  #: `Transaction.record` accepts no other action
ACTORS: dict[str, str] = _LABELS["actors"]
IDENTITY_CHECKS: dict[str, str] = _LABELS["identity_checks"]
DETAILS: dict[str, str] = _LABELS["details"]
LINKS: dict[str, str] = _LABELS["links"]
SEQUENCES: dict[str, str] = _LABELS["sequences"]
STEPS: dict[str, str] = _LABELS["steps"]


WITH_SOURCE = text("source IS NOT NULL")  #: so that the hourly deletion of sources does not read a year of events


class AuditEvent(Base):
    __tablename__ = "audit_event"
    #: One index for each filter of the Protokoll, in its order.
    __table_args__ = (
        *(
            Index(f"ix_audit_event_{'_'.join(columns)}_at", *columns, "at")
            for columns in (("action",), ("actor",), ("actor", "action"), ("customer_id",), ("clerk_id",))
        ),
        Index("ix_audit_event_with_source", "at", sqlite_where=WITH_SOURCE, postgresql_where=WITH_SOURCE),
    )

    id: Mapped[Id]
    at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str]  #: past tense, such as `password.changed`
    actor: Mapped[str]  #: `customer:12`, `clerk:3`, `link:5`, `visitor`, `worker`, `console`
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"))
    details: Mapped[dict[str, Any]]  #: such as names of changed fields; no secrets
    source: Mapped[str | None]  #: deleted after SOURCE_RETENTION
    # See services/audit_chain.py.
    salt: Mapped[str | None]  #: deleted with the content when the person is
    digest: Mapped[str | None] = mapped_column(index=True)  #: MAC of salt and content
    erased: Mapped[str | None]  #: MAC of what replaced the content of a deleted person
    position: Mapped[int | None] = mapped_column(index=True, unique=True)  #: in the chain; given by the worker
    mac: Mapped[str | None]  #: of position, digest and the MAC before it

    @property
    def label(self) -> str:
        label, link = ACTIONS[self.action], LINKS.get(self.details.get("kind", ""))
        return label.replace("Link", link, 1) if link and self.action.startswith("link.") else label

    @property
    def remark(self) -> str:
        """The changed fields, the identity check, the reason and the device, in German."""
        fields = [
            Customer.DATA_FIELDS[name][0] if name in Customer.DATA_FIELDS else "E-Mail"
            for name in self.details.get("fields", ())
        ]
        check = IDENTITY_CHECKS.get(self.details.get("check", ""))
        parts = (", ".join(fields), check, *(self.details.get(name) for name in ("note", "why", "device")))
        return " – ".join(filter(None, parts))

    @property
    def actor_label(self) -> str:
        """The actor as shown to the customer: no names, clerks by their initials."""
        initials = self.details.get("by")
        name = self.actor.partition(":")[0]
        name = "letter" if name == "link" and self.details.get("kind") == "letter" else name
        return ACTORS[name] + (f" ({initials})" if initials else "")

    @property
    def actor_label_for_desk(self) -> str:
        return "Kundin oder Kunde" if self.actor.startswith("customer:") else self.actor_label


class AuditChain(Base):
    """Where the chain starts, the last event that was purged, and where it ends."""

    __tablename__ = "audit_chain"

    name: Mapped[str] = mapped_column(primary_key=True)  #: `start`, `end`
    position: Mapped[int]
    mac: Mapped[str]
    seal: Mapped[str]  #: MAC of this row
