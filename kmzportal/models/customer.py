"""The text that a customer is found by: folded, so that `mueller` and `muller` are both Müller.

It stands in `customer.search` and is indexed by its trigrams, by FTS5 in SQLite and by pg_trgm in PostgreSQL. Only
the index differs; triggers of the database keep SQLite's own up to date, whoever writes.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

from sqlalchemy import DDL, Table, event
from sqlalchemy.orm import Mapped, mapped_column

from kmzportal import mail_address
from kmzportal.db import Base
from kmzportal.models.person import Person

SEARCHED = ("first_name", "last_name", "school", "street", "postcode", "town", "email", "pending_email")
SEPARATORS = re.compile(r"[\x00-\x1f\x7f-]")
PHONE = re.compile(r"[\d\s()/+.-]+")
SQLITE = (
    # Written without a second copy of the text: the customer's own row is the content.
    "CREATE VIRTUAL TABLE customer_search USING fts5(search, content='customer', content_rowid='id', "
    "tokenize='trigram')",
    "CREATE TRIGGER customer_search_insert AFTER INSERT ON customer BEGIN "
    "INSERT INTO customer_search (rowid, search) VALUES (new.id, new.search); END",
    "CREATE TRIGGER customer_search_delete AFTER DELETE ON customer BEGIN "
    "INSERT INTO customer_search (customer_search, rowid, search) VALUES ('delete', old.id, old.search); END",
    "CREATE TRIGGER customer_search_update AFTER UPDATE OF search ON customer WHEN old.search <> new.search BEGIN "
    "INSERT INTO customer_search (customer_search, rowid, search) VALUES ('delete', old.id, old.search); "
    "INSERT INTO customer_search (rowid, search) VALUES (new.id, new.search); END",
)
POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX customer_search ON customer USING gin (search gin_trgm_ops)",
    # By the beginning of their address, whatever the order of the database's language.
    "CREATE INDEX customer_search_address ON customer (email_canonical text_pattern_ops)",
)


@lru_cache(4096)  # a thousand hits, an import, share their names, schools and towns
def fold(text: str) -> str:
    """Return what two spellings of a word have in common: no case, no accents, `ae` for `ä` or plain `a` alike."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return " ".join(re.sub(r"([aou])e", r"\1", SEPARATORS.sub(" ", plain)).split())


def digits(phone: str) -> str:
    """Return the digits of a telephone number as they are dialled here."""
    return re.sub(r"\D", "", re.sub(r"^\s*(\+|00)49\s*(\(0\))?", "0", phone))


def text_of(customer: Any) -> str:
    """Return the words of a customer; `customer` has the attributes of one."""
    number = fold(customer.number)
    said = (fold(getattr(customer, field) or "") for field in SEARCHED)
    words = (number, re.sub(r"\W", "", number), *said, digits(customer.phone or ""))
    return f" {' '.join(filter(None, words))} "


@lru_cache(4096)
def one_letter_off(one: str, other: str) -> bool:
    """Whether one letter more, less or other, or two that changed places, make one word of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    a, b = one[same:], other[same:]
    return a[1:] == b[1:] or a == b[1:] or a[1:] == b or (a[:2] == b[:2][::-1] and a[2:] == b[2:])


def terms(query: str) -> list[str]:
    """Return the folded words of a search; what looks like a telephone number or a Kundennummer is one word."""
    if PHONE.fullmatch(query) and any(map(str.isdigit, query)):
        return [digits(query)]
    return fold(query).split()


def index(table: Table, statements: Iterable[str], dialect: str) -> None:
    ddl: Any = DDL  # it has no types
    for statement in statements:
        event.listen(table, "after_create", ddl(statement).execute_if(dialect=dialect))


class Customer(Person, Base):
    __tablename__ = "customer"

    #: What customers may change themselves, each with its word on screen and its longest length.
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
        return {field: getattr(self, field) for field in self.DATA_FIELDS}

    def set_pending_email(self, email: str | None) -> None:
        """Keep a new address beside the old one until its holder confirms it; None forgets it."""
        self.pending_email = mail_address.parse(email) if email else None
        self.pending_email_canonical = mail_address.canonical(email) if email else None


index(Customer.metadata.tables["customer"], SQLITE, "sqlite")
index(Customer.metadata.tables["customer"], POSTGRESQL, "postgresql")


@event.listens_for(Customer, "before_insert")
@event.listens_for(Customer, "before_update")
def _be_found(_mapper: Any, _connection: Any, customer: Customer) -> None:
    customer.search = text_of(customer)
