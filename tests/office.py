"""The office, which keeps its customers in a list and sends it as CSV."""

import csv
import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import select

from kmzportal.models.account_link import AccountLink
from kmzportal.models.customer import Customer
from kmzportal.services import accounts
from kmzportal.services.customers_check import Finding, check
from kmzportal.services.customers_file import COLUMNS, read
from kmzportal.services.customers_import import RowsRefused, carry_out
from kmzportal.services.customers_plan import compare
from tests.backend import Backend

HEADER = "Kundennummer;Anrede;Vorname;Nachname;E-Mail;Schule;Straße;PLZ;Ort;Telefon"
ANNELIESE = {
    "number": "1001",
    "salutation": "Frau",
    "first_name": "Anneliese",
    "last_name": "Müller-Lüdenscheidt",
    "email": "anneliese@schule.example",
    "town": "Calw",
}


def row(**cells: str) -> str:
    """Return a line of the list: Anneliese's, but for these cells."""
    line = io.StringIO()
    values = ANNELIESE | cells
    csv.writer(line, delimiter=";").writerow([values.get(field, "") for field in COLUMNS])
    return line.getvalue().removesuffix("\r\n")


def number(n: int, **cells: str) -> str:
    """Return the line of the n-th customer."""
    return row(**{"number": str(1000 + n), "email": f"person{n}@schule.example"} | cells)


class Office:
    def __init__(self, backend: Backend, folder: Path):
        self.backend = backend
        self.file = folder / "kunden.csv"

    def writes(self, *lines: str, encoding: str = "utf-8", header: str = HEADER) -> Path:
        self.file.write_bytes("\r\n".join((header, *lines, "")).encode(encoding))
        return self.file

    def sends(self, *lines: str, **how: str) -> dict[str, list[Finding]]:
        """Import the list and return what is reported of its rows."""
        self.writes(*lines, **how)
        return self.imports()

    def imports(self) -> dict[str, list[Finding]]:
        """Import the file as it lies there."""
        plan: Any = None
        checked = check(read(self.file), lambda _: None)
        with suppress(RowsRefused), self.backend.transaction("console") as tx:
            plan = compare(tx.session, checked)
            carry_out(tx, plan, lambda _: None)
        return plan.report()

    def is_refused(self, *lines: str) -> list[str]:
        """Send the list, make sure that it is refused, and return the reasons, each with its line."""
        report = self.sends(*lines)
        assert report["Abgelehnt"]
        return [f"{line}: {text}" for line, _, text in report["Abgelehnt"]]


def counts(report: dict[str, list[Finding]]) -> dict[str, int]:
    """Return how many rows there are of each kind, without those that there are none of."""
    return {kind: len(findings) for kind, findings in report.items() if findings}


def customer(office: Office, number: str = "1001") -> Any:
    """Return the customer with this number as the portal knows them."""
    return office.backend.read(select(Customer).where(Customer.number == number))[0]


def links(office: Office) -> Any:
    return office.backend.read(select(AccountLink).order_by(AccountLink.id))


def changes(office: Office, person: Customer, **data: str) -> None:
    office.backend.run(accounts.change_data, person, data, actor=f"customer:{person.id}")


def awaits(office: Office, person: Customer, email: str) -> None:
    """Let the desk have corrected the address; its holder has not confirmed it yet."""
    with office.backend.transaction("clerk:1") as tx:
        tx.session.get_one(Customer, person.id).set_pending_email(email)
