"""The sample people of the tests, the same as in the demo, as rows not yet in the database.

Erika and Max log in with a password, Anneliese has none yet. Jürgen's new address is pending, Lieselotte is locked.
Rosa Otto (`ro`, admin) and Tim Beispiel (`tb`) are clerks.
"""

from datetime import UTC, datetime
from typing import Any

from kmzportal.models import Clerk, Customer
from kmzportal.server.sample_people import ANNELIESE, CASES, ERIKA, JUERGEN, LIESELOTTE, MAX, PASSWORDS, ROSA, TIM
from kmzportal.services.passwords import hash_password

__all__ = ["ANNELIESE", "CASES", "ERIKA", "JUERGEN", "LIESELOTTE", "MAX", "PASSWORDS", "ROSA", "TIM"]

#: Where the fixture `clock` stops the time: a Monday afternoon.
NOW = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
LONG_AGO = datetime(2026, 9, 14, 8, 0, tzinfo=UTC)
NEW_EMAIL = "Erika@neue-schule.example"
NEW_PASSWORD = "birnbaum hinter der scheune"
OTHER_PASSWORD = "zwölf gelbe gummistiefel"
#: The two fields of every form that sets a password.
NEW = {"Passwort": NEW_PASSWORD, "Wdh. Passwort": NEW_PASSWORD}


def person(data: dict[str, Any]) -> Customer | Clerk:
    """Return a customer, or a clerk if `data` has initials, with the sample password."""
    fields = dict(data)
    email, pending = fields.pop("email"), fields.pop("pending_email", None)
    found = Clerk(**fields) if "initials" in fields else Customer(**fields)
    found.created_at = LONG_AGO
    found.set_email(email)
    if isinstance(found, Customer):
        found.set_pending_email(pending)
        found.locked_at = LONG_AGO if data is LIESELOTTE else None
    if password := PASSWORDS.get(data.get("number") or data["initials"]):
        found.set_password_hash(hash_password(password), LONG_AGO)
    return found


def password_of(person: Customer | Clerk) -> str:
    return PASSWORDS[person.number if isinstance(person, Customer) else person.initials]
