"""Invented customers for the portal. As a program: makes the database of the portal that is compared."""

import random
from datetime import UTC, datetime

from sqlalchemy import insert, text

from bench import EMAILS, PASSWORD
from kmzportal import create_app
from kmzportal.db import db
from kmzportal.migrations import upgrade
from kmzportal.models import Customer, search_text
from kmzportal.plain_text import canonical_number
from kmzportal.services.passwords import hash_password

FIRST_NAMES = ("Anna", "Bernd", "Claudia", "Dieter", "Erika", "Frank", "Gisela", "Jürgen")
STEMS = ("Acker", "Berg", "Brunn", "Fischer", "Garten", "Hof", "Kirsch", "Linden", "Mühl", "Schäf")
ENDINGS = ("er", "mann", "meier", "bach", "hofer", "huber", "ner", "wirt")
TOWNS = ("Musterstadt", "Beispielhausen", "Neudorf", "Altfeld", "Oberau", "Unterau", "Seeheim")


def row(number, password_hash):
    """Return the columns of a customer; every third has a double name."""
    email, names = f"person{number}@schule.example", [random.choice(STEMS) + random.choice(ENDINGS) for _ in range(2)]
    town, last_name = random.choice(TOWNS), "-".join(names if number % 3 == 0 else names[:1])
    columns = {
        "number": f"K-{number}",
        "first_name": random.choice(FIRST_NAMES),
        "last_name": last_name,
        "school": f"Schule {random.randint(1, 3000)} {town}",
        "street": f"Schulweg {random.randint(1, 99)}",
        "postcode": f"{random.randint(75000, 75999)}",
        "town": town,
        "phone": f"07051 {number}",
        "email": email,
    }
    others = {"email_canonical": email, "password_hash": password_hash, "created_at": datetime.now(UTC), "version": 1}
    others["number_canonical"] = canonical_number(f"K-{number}")
    return columns | others | {"search": search_text(Customer(**columns))}


def create_portal(count, password_hash=None, **settings):
    """Return an app with so many customers. The search index is made last, which is far quicker."""
    app = create_app(settings)
    upgrade(app)
    with app.app_context():
        index = next(index for index in Customer.metadata.tables["customer"].indexes if index.name == "customer_search")
        index.drop(db.session.connection())
        for first in range(1, count + 1, 10_000):
            numbers = range(first, min(first + 10_000, count + 1))
            db.session.execute(insert(Customer), [row(number, password_hash) for number in numbers])
        index.create(db.session.connection())
        db.session.execute(text("ANALYZE"))
        db.session.commit()
    return app


if __name__ == "__main__":
    hashed = hash_password(PASSWORD)
    create_portal(len(EMAILS), hashed)
    print(hashed)
