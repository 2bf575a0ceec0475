"""The audit trail: one row per action, and the German names of actions, actors and identity checks."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.db import Base, Id
from kmzportal.models.customer import Customer

#: How the desk verified the identity before it changed an address (NIST SP 800-63B-4, 4.2.1: a documented method).
IDENTITY_CHECKS = {
    "callback": "Rückruf",
    "in_person": "persönlich",
    "school": "Schule bestätigt",
    "number": "Kundennummer genannt",
    "other": "Sonstiges",
}

#: The label of each action in history and Protokoll; `Transaction.record` accepts no other action.
ACTIONS = {
    "login.succeeded": "Angemeldet",
    "login.refused": "Anmeldung abgelehnt",
    "login.throttled": "Anmeldung abgelehnt, zu viele Versuche",
    "login.code_due": "Passwort richtig, Code fehlt noch",
    "login.code_wrong": "Code des zweiten Faktors falsch",
    "login.code_throttled": "Code des zweiten Faktors abgelehnt, zu viele Versuche",
    "logout": "Abgemeldet",
    "session.ended": "Ein Gerät abgemeldet",
    "sessions.ended": "Alle anderen Geräte abgemeldet",
    "password.proved": "Aktuelles Passwort bestätigt",
    "password.refused": "Aktuelles Passwort war falsch",
    "password.set": "Passwort mit einem Link gesetzt",
    "password.changed": "Passwort geändert",
    "data.changed": "Daten geändert",
    "data.imported": "Daten aus einer Datei übernommen",
    "customer.created": "Konto angelegt",
    "account.locked": "Konto gesperrt",
    "account.unlocked": "Konto entsperrt",
    "customer.imported": "Konto aus einer Datei angelegt",
    "customers.exported": "Daten aller Kunden in eine Datei geschrieben",
    "clerk.refused": "Zugang zum Kundenservice abgelehnt",
    "clerk.added": "Zugang zum Kundenservice angelegt",
    "clerk.locked": "Zugang zum Kundenservice gesperrt",
    "clerk.unlocked": "Zugang zum Kundenservice entsperrt",
    "factor.set": "Zweiten Faktor eingerichtet",
    "factor.refused": "Zweiten Faktor nicht eingerichtet, Code falsch",
    "address.change_asked": "Neue E-Mail-Adresse eingetragen",
    "address.change_withdrawn": "Neue E-Mail-Adresse zurückgenommen",
    "address.corrected": "Neue E-Mail-Adresse durch den Kundenservice eingetragen",
    "address.changed": "E-Mail-Adresse geändert",
    "address.refused": "Neue E-Mail-Adresse abgelehnt",
    "address.objected": "Der neuen E-Mail-Adresse widersprochen, Konto gesperrt",
    "link.issued": "Link zum Konto erstellt",
    "link.sent": "Link zum Konto gesendet",
    "link.sent_again": "Link zum Konto erneut gesendet",
    "link.withdrawn": "Link zum Konto zurückgezogen",
    "link.opened": "Link zum Konto geöffnet",
    "link.redeemed": "Link zum Konto benutzt",
    "link.refused": "Link zum Konto abgelehnt",
    "link.code_right": "Code aus der E-Mail richtig eingegeben",
    "link.code_wrong": "Code aus der E-Mail falsch eingegeben",
    "puzzle.solved": "Bilderrätsel gelöst",
    "puzzle.failed": "Bilderrätsel nicht gelöst",
    "recovery.sent": "Neues Passwort angefordert, Link gesendet",
    "recovery.unknown": "Neues Passwort angefordert, Adresse unbekannt",
    "recovery.locked": "Neues Passwort angefordert, Konto ist gesperrt",
    "recovery.capped": "Neues Passwort angefordert, zu viele E-Mails",
    "mail.sent": "E-Mail gesendet",
    "mail.deferred": "E-Mail verzögert",
    "mail.refused": "E-Mail vom Mailserver abgelehnt",
    "mail.bounced": "E-Mail zurückgekommen",
    "mail.expired": "E-Mail nicht mehr gesendet",
    "mail.cancelled": "E-Mail nicht gesendet, ihr Link galt nicht mehr",
    "mail.retried": "E-Mail noch einmal auf den Weg gebracht",
    "mail.capped": "E-Mail nicht gesendet, zu viele an einem Tag",
}
ACTORS = {
    "customer": "Sie selbst",
    "clerk": "Kundenservice",
    "link": "Über den Link",
    "visitor": "Unbekannt",
    "worker": "Das Portal",
    "console": "Verwaltung",
}


class AuditEvent(Base):
    __tablename__ = "audit_event"
    #: One index for each filter of the Protokoll, in its order.
    __table_args__ = tuple(
        Index(f"ix_audit_event_{'_'.join(columns)}_at", *columns, "at")
        for columns in (("action",), ("actor",), ("actor", "action"), ("customer_id",), ("clerk_id",))
    )

    id: Mapped[Id]
    at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str]  #: past tense, such as `password.changed`
    actor: Mapped[str]  #: `customer:12`, `clerk:3`, `link:5`, `visitor`, `worker`, `console`
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"))
    details: Mapped[dict[str, Any]]  #: such as names of changed fields; no secrets
    source: Mapped[str | None]  #: deleted after SOURCE_RETENTION

    @property
    def label(self) -> str:
        return ACTIONS[self.action]

    @property
    def remark(self) -> str:
        """The changed fields, the identity check and the reason, in German."""
        fields = [
            Customer.DATA_FIELDS[name][0] if name in Customer.DATA_FIELDS else "E-Mail"
            for name in self.details.get("fields", ())
        ]
        check = IDENTITY_CHECKS.get(self.details.get("check", ""))
        parts = (", ".join(fields), check, self.details.get("note"), self.details.get("why"))
        return " – ".join(filter(None, parts))

    @property
    def actor_label(self) -> str:
        """The actor as shown to the customer: no names, clerks by their initials."""
        initials = self.details.get("by")
        return ACTORS[self.actor.partition(":")[0]] + (f" ({initials})" if initials else "")

    @property
    def actor_label_for_desk(self) -> str:
        """The actor as shown to clerks."""
        return "Kundin oder Kunde" if self.actor.startswith("customer:") else self.actor_label
