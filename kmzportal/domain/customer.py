"""A customer: borrows media, logs in by mail address."""

from typing import Any, ClassVar

from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column

from kmzportal.domain import customer_search, mail_address
from kmzportal.domain.base import Base
from kmzportal.domain.person import Person


class Customer(Person, Base):
    __tablename__ = "customer"

    #: What customers may change themselves, each with its word on screen and its longest length.
    DATA: ClassVar[dict[str, tuple[str, int]]] = {
        "salutation": ("Anrede", 20),
        "first_name": ("Vorname", 100),
        "last_name": ("Nachname", 100),
        "school": ("Schule", 200),
        "street": ("Straße", 200),
        "postcode": ("PLZ", 20),
        "town": ("Ort", 100),
        "phone": ("Telefon", 50),
    }

    number: Mapped[str] = mapped_column(unique=True)
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
    #: The values of the last import; where a field differs from them, it was changed here.
    imported: Mapped[dict[str, Any]] = mapped_column(default=dict)
    search: Mapped[str] = mapped_column(default="")  #: see customer_search; written with every row

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def greeting(self) -> str:
        titled = f"{self.salutation} {self.last_name}" if self.salutation in ("Frau", "Herr") else self.name
        return f"Guten Tag {titled}".strip()

    @property
    def known_words(self) -> list[str]:
        """What others know of this person, so that no password is made of it."""
        return [self.email, self.name, self.first_name, self.last_name, self.number, self.school, self.town]

    def data(self) -> dict[str, str]:
        return {field: getattr(self, field) for field in self.DATA}

    def await_confirmation_of(self, email: str | None) -> None:
        """Keep a new address beside the old one until its holder confirms it; None forgets it."""
        self.pending_email = mail_address.understand(email) if email else None
        self.pending_email_canonical = mail_address.canonical(email) if email else None


customer_search.index(Customer.metadata.tables["customer"], customer_search.SQLITE, "sqlite")
customer_search.index(Customer.metadata.tables["customer"], customer_search.POSTGRESQL, "postgresql")


@event.listens_for(Customer, "before_insert")
@event.listens_for(Customer, "before_update")
def _be_found(_mapper: Any, _connection: Any, customer: Customer) -> None:
    customer.search = customer_search.text_of(customer)
