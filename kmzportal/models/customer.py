"""A customer of the office: borrows media, logs in with the mail address."""

import re
import unicodedata
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar, cast

from sqlalchemy import DDL, ForeignKey, Index, Select, String, event, or_, select, text
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from kmzportal import mail_address, phone
from kmzportal.db import Base
from kmzportal.models.person import Clerk, Person, greeting
from kmzportal.plain_text import canonical_number

SEARCHED = ("first_name", "last_name", "school", "street", "postcode", "town", "email", "pending_email")
COMBINING = re.compile("[\u0300-\u036f]")
SEPARATORS = dict.fromkeys((*range(0x20), 0x7F, ord("-")), " ")


@lru_cache(4096)  # sorting 1000 hits takes 2 instead of 15 ms, and an import repeats schools and towns
def fold(text: str) -> str:
    """Return the words of a text without case, accents and hyphens; `ae`, `ä` and `a` all become `a`."""
    plain = COMBINING.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return " ".join(re.sub("(?<=[aou])e", "", plain.translate(SEPARATORS)).split())


def search_text(customer: Any) -> str:
    """Return the folded words of an object with the attributes of a customer, each between blanks, for the search."""
    number = fold(customer.number)
    texts = [fold(getattr(customer, name) or "") for name in SEARCHED]
    words = (number, re.sub(r"\W", "", number), *texts, phone.digits(customer.phone or ""))
    return f" {' '.join(filter(None, words))} "


class Objection(StrEnum):
    """What became of "Das war ich nicht"."""

    OPEN = "open"  #: the account must not be unlocked before the desk settles it
    REPORTED = "reported"  #: to the desk, which locked the account: likewise, but links to object stay valid
    SETTLED = "settled"  #: by a corrected address or an identity check


class Customer(Person, Base):
    __tablename__ = "customer"
    __table_args__ = (
        # PostgreSQL finds parts of words by their trigrams. SQLite scans the index, which is smaller than the table.
        Index("customer_search", "search", postgresql_using="gin", postgresql_ops={"search": "gin_trgm_ops"}),
        # Of the lists of the desk, in their order.
        *(
            Index(f"ix_customer_{name}", column, "id", sqlite_where=text(where), postgresql_where=text(where))
            for name, column, where in (
                ("locked", "locked_at", "locked_at IS NOT NULL"),
                ("never_activated", "created_at", "password_set_at IS NULL"),
                ("last_login", "last_login_at", "last_login_at IS NOT NULL"),
            )
        ),
        {"sqlite_autoincrement": True},  # a form for a deleted customer must not meet another one
    )

    #: Fields that customers may change, with German label and maximum length.
    DATA_FIELDS: ClassVar[dict[str, tuple[str, int]]] = {
        "salutation": ("Anrede", 20),
        "first_name": ("Vorname", 100),
        "last_name": ("Nachname", 100),
        "school": ("Schule", 200),
        "street": ("Straße", 200),
        "postcode": ("PLZ", 20),
        "town": ("Ort", 100),
        "phone": ("Telefon", 50),
    }

    #: Compared byte by byte on both databases, so that the index also finds prefixes of addresses.
    email_canonical: Mapped[str] = mapped_column(
        String().with_variant(String(collation="C"), "postgresql"), unique=True
    )
    number: Mapped[str] = mapped_column(unique=True)  #: as the office spells it
    #: See canonical_number; of twins that are older than this column, all but the first have an ending with capitals.
    number_canonical: Mapped[str] = mapped_column(unique=True, index=True)
    salutation: Mapped[str] = mapped_column(default="")
    first_name: Mapped[str] = mapped_column(default="")
    last_name: Mapped[str]
    school: Mapped[str] = mapped_column(default="")
    street: Mapped[str] = mapped_column(default="")
    postcode: Mapped[str] = mapped_column(default="")
    town: Mapped[str] = mapped_column(default="")
    phone: Mapped[str] = mapped_column(default="")
    pending_email: Mapped[str | None]
    pending_email_canonical: Mapped[str | None] = mapped_column(index=True)
    last_login_at: Mapped[datetime | None]  #: older logins than those of the audit trail are not known
    passkey_offered_at: Mapped[datetime | None]  #: on the page after a new password, once
    objection: Mapped[str | None]  #: an Objection; None without one, or since the customer moved the address again
    #: The values of the last import; a field that differs was changed in the portal. See customer_import.ENTERED_HERE.
    imported: Mapped[dict[str, Any]] = mapped_column(default=dict)
    search: Mapped[str] = mapped_column(default="")  #: see search_text; written with every row

    @validates("number")
    def _set_canonical_number(self, _key: str, number: str) -> str:
        self.number_canonical = canonical_number(number)
        return number

    @classmethod
    def with_number(cls, number: str) -> "Select[Customer]":
        """Select the customer with this Kundennummer in any spelling; of twins, the one spelled exactly so."""
        exact = cls.number == number
        either = or_(exact, cls.number_canonical == canonical_number(number))
        return select(cls).where(either).order_by(exact.desc()).limit(1)

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def greeting(self) -> str:
        return greeting(f"{self.salutation} {self.last_name}" if self.salutation in ("Frau", "Herr") else self.name)

    @property
    def postal_address(self) -> list[str]:
        """The lines of the address below the name; empty unless a letter can be posted to it."""
        complete = self.street and self.postcode and self.town
        return [self.street, f"{self.postcode} {self.town}"] if complete else []

    @property
    def known_words(self) -> list[str]:
        """Words that others know of this person, not allowed as a password."""
        return [self.email, self.name, self.first_name, self.last_name, self.number, self.school, self.town]

    def confirmed(self, email: str) -> bool:
        """Return whether this is the customer's own address, not only a pending one."""
        return self.email_canonical == mail_address.canonical(email)

    def data(self) -> dict[str, str]:
        return {field: getattr(self, field) for field in self.DATA_FIELDS}

    def set_pending_email(self, email: str | None) -> None:
        """Store a new address until its holder confirms it; None deletes it."""
        self.pending_email = mail_address.parse(email) if email else None
        self.pending_email_canonical = mail_address.canonical(email) if email else None


class CustomerAccess(Base):
    """On this day the clerk saw the customer's data at the desk."""

    __tablename__ = "customer_access"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    clerk_id: Mapped[int] = mapped_column(ForeignKey("clerk.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)  #: in Berlin


class AddressProposal(Base):
    """A correction of an address that waits for a second clerk, with SECOND_PERSON; one a customer."""

    __tablename__ = "address_proposal"

    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    clerk_id: Mapped[int] = mapped_column(ForeignKey("clerk.id"))  #: who proposed it and must not confirm it
    proposed_at: Mapped[datetime] = mapped_column(index=True)
    email: Mapped[str]
    check: Mapped[str]  #: a key of IDENTITY_CHECKS
    note: Mapped[str]

    customer: Mapped[Customer] = relationship()
    clerk: Mapped[Clerk] = relationship()


class DeletedCustomer(Base):
    """A Kundennummer that was deleted, as a keyed hash, so that no import and no restored backup brings it back."""

    __tablename__ = "deleted_customer"

    number_hash: Mapped[str] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime]


create_pg_trgm = cast(Any, DDL)("CREATE EXTENSION IF NOT EXISTS pg_trgm")
event.listen(Customer.metadata.tables["customer"], "before_create", create_pg_trgm.execute_if(dialect="postgresql"))


@event.listens_for(Customer, "before_insert")
@event.listens_for(Customer, "before_update")
def update_search_text(_mapper: Any, _connection: Any, customer: Customer) -> None:
    customer.search = search_text(customer)
