"""Synthetic customers by the million, none of them real, in a database of the portal."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import insert, text

from kmzportal.db import db
from kmzportal.domain import customer_search
from kmzportal.domain.customer import Customer

FIRST = ["Anna", "Bernd", "Claudia", "Dieter", "Erika", "Frank", "Gisela", "Hans"]
STEMS = ["Acker", "Berg", "Bäcker", "Brunn", "Fischer", "Gärtner", "Hof", "Kirsch"]
ENDS = ["er", "mann", "meier", "bauer", "hofer", "huber", "ner", "bach"]
TOWNS = ["Musterstadt", "Beispielhausen", "Neudorf", "Altfeld", "Oberau", "Unterau", "Seeheim"]
FIRST_ONES = 10_000
MADE_NEW = {
    "id": f"id + k.n * {FIRST_ONES}",
    "number": "number || '-' || k.n",
    "email": "'n' || k.n || email",
    "email_canonical": "'n' || k.n || email_canonical",
    "search": "replace(replace(search, 'k 0', 'k ' || k.n || '-0'), ' person', ' n' || k.n || 'person')",
}


def person(n: int) -> dict[str, Any]:
    """Return the n-th customer; after the first ones come copies, with numbers and addresses of their own."""
    copy, n = divmod(n, FIRST_ONES)
    number, email = f"K-{n:07}{f'-{copy}' if copy else ''}", f"{f'n{copy}' if copy else ''}person{n}@schule.example"
    last = f"{STEMS[n // 8 % 8]}{ENDS[n // 64 % 8]}{f'-{STEMS[n // 512 % 8].lower()}' if n % 3 == 0 else ''}"
    town = TOWNS[n % 7]
    known = {"first_name": FIRST[n % 8], "last_name": last, "school": f"Schule {n % 3000} {town}", "town": town}
    known |= {"number": number, "email": email, "street": f"Schulweg {n % 99}", "phone": f"07051 {n}"}
    return known | {"postcode": f"75{n % 999:03}", "pending_email": None}


def fill(count: int, password_hash: str) -> None:
    """Write so many customers, all with one password: some thousands one by one, the rest by multiplying these."""
    rows = [person(n) for n in range(min(count, FIRST_ONES))]
    for row in rows:
        row |= {"search": customer_search.text_of(SimpleNamespace(**row)), "email_canonical": row["email"]}
        row |= {"password_hash": password_hash, "created_at": datetime.now(UTC), "version": 1, "imported": {}}
    db.session.execute(insert(Customer), rows)
    if count > FIRST_ONES:
        _multiply(count // FIRST_ONES)
    db.session.commit()


def _multiply(times: int) -> None:
    """The index of words is made afterwards, which is ten times as quick."""
    columns = [column.name for column in Customer.__table__.columns]
    made = ", ".join(MADE_NEW.get(name, name) for name in columns)
    numbers = f"WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {times - 1})"
    many = f"{numbers} SELECT {made} FROM customer, k WHERE id <= {FIRST_ONES}"
    before, after = ["DROP INDEX customer_search"], [customer_search.POSTGRESQL[1], "ANALYZE"]
    if db.engine.dialect.name == "sqlite":
        before = [f"DROP TRIGGER customer_search_{when}" for when in ("insert", "delete", "update")]
        after = ["INSERT INTO customer_search (customer_search) VALUES ('rebuild')", *customer_search.SQLITE[1:]]
    for statement in (*before, f"INSERT INTO customer ({', '.join(columns)}) {many}", *after):
        db.session.execute(text(statement))
