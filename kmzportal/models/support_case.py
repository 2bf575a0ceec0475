"""A written request (Anfrage) by form or mail, and what was written about it."""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kmzportal.db import Base, Id
from kmzportal.models.customer import Customer
from kmzportal.models.person import Clerk


class CaseState(StrEnum):
    OPEN = "open"  #: waits for the desk
    WAITING = "waiting"  #: for the customer's reply; the promised day is suspended
    ANSWERED = "answered"  #: a link was sent; its use closes the case
    CLOSED = "closed"


class SupportCase(Base):
    __tablename__ = "support_case"

    id: Mapped[Id]
    reference: Mapped[str] = mapped_column(unique=True)  #: Vorgangsnummer
    branch: Mapped[str]  #: a key of BRANCHES
    channel: Mapped[str]  #: a key of CHANNELS
    email: Mapped[str]  #: where the answer goes
    email_canonical: Mapped[str] = mapped_column(index=True)
    email_proven: Mapped[bool]  #: by the code mailed there, or by DMARC for a mail
    name: Mapped[str] = mapped_column(default="")  #: first and last name, or the sender's display name
    school: Mapped[str] = mapped_column(default="")
    old_email: Mapped[str] = mapped_column(default="")
    new_email: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    received_at: Mapped[datetime] = mapped_column(index=True)
    promised_on: Mapped[date] = mapped_column(index=True)  #: in Berlin; the answer was promised until its end
    state: Mapped[str] = mapped_column(index=True)
    state_since: Mapped[datetime]
    closed_as: Mapped[str | None]  #: a key of CLOSED_AS
    answered_at: Mapped[datetime | None]  #: first answer by the desk, for the report
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"), index=True)  #: assigned by a clerk
    clerk_id: Mapped[int | None] = mapped_column(ForeignKey("clerk.id"))  #: "in Bearbeitung von"
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("support_case.id"))

    customer: Mapped[Customer | None] = relationship()
    clerk: Mapped[Clerk | None] = relationship()
    merged_into: Mapped["SupportCase | None"] = relationship(remote_side="SupportCase.id", back_populates="doubles")
    doubles: Mapped[list["SupportCase"]] = relationship(back_populates="merged_into")
    entries: Mapped[list["CaseEntry"]] = relationship(back_populates="case", order_by="CaseEntry.id")

    @property
    def reply_to(self) -> str:
        """The address that the customer reads now, as far as known."""
        return self.new_email or self.email

    @property
    def closed(self) -> bool:
        return self.state == CaseState.CLOSED

    @property
    def version(self) -> str:
        """Changes with every act and reply, to detect that a page shows an older state."""
        return f"{self.state}-{self.state_since.timestamp():.6f}-{len(self.entries)}-{self.clerk_id}-{self.customer_id}"


class CaseEntry(Base):
    """What was received, answered or noted; the text is shown to clerks only."""

    __tablename__ = "case_entry"

    id: Mapped[Id]
    case_id: Mapped[int] = mapped_column(ForeignKey("support_case.id"), index=True)
    at: Mapped[datetime]
    kind: Mapped[str]  #: a key of ENTRIES
    author: Mapped[str]  #: initials of a clerk, or the address that wrote
    text: Mapped[str]
    attachments: Mapped[list[str]] = mapped_column(default=list)  #: names; the files stay in the mailbox
    #: Of a received mail, so that each becomes an entry exactly once.
    message_id: Mapped[str | None] = mapped_column(unique=True)

    case: Mapped[SupportCase] = relationship(back_populates="entries")


class ReceivedMail(Base):
    """A mail that was read from the mailbox, so that each has its effect once, also one that opens no case."""

    __tablename__ = "received_mail"

    message_id: Mapped[str] = mapped_column(primary_key=True)  #: or a hash of the mail where it has none
    received_at: Mapped[datetime]


#: What the customer chose, or where a mail came from, as the desk sees it.
BRANCHES = {
    "no_mail": "Es kommt keine E-Mail an",
    "address_changed": "Meine E-Mail-Adresse hat sich geändert",
    "address_unknown": "Ich weiß nicht, welche Adresse hinterlegt ist",
    "other": "Etwas anderes",
    "deletion": "Bitte um Löschung des Kontos",
    "objection": "Widerspruch gegen eine Änderung",
}
CHANNELS = {"form": "Formular", "mail": "E-Mail", "account": "Einstellungen"}
ENTRIES = {
    "received": "Anfrage",
    "reply": "Antwort",
    "foreign_reply": "Antwort, Absender nicht geprüft",
    "question": "Rückfrage",
    "note": "Notiz",
}
#: Why a case is closed: reasons that a clerk may choose, and all.
CHOSEN_BY_CLERK = {
    "answered": "Beantwortet",
    "by_phone": "Am Telefon geklärt",
    "no_answer": "Keine Antwort auf die Rückfrage",
    "spam": "Spam, ohne Antwort",
}
CLOSED_AS = {
    **CHOSEN_BY_CLERK,
    "redeemed": "Link benutzt",
    "duplicate": "Doppelt",
    "deleted": "Konto gelöscht",
}
