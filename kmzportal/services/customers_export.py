"""All customers as CSV, in the same columns that the import reads."""

import csv
from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal.models.customer import Customer
from kmzportal.services.customers_file import COLUMNS, guard
from kmzportal.services.transaction import Transaction

BOM = "\ufeff"  # tells Excel that this is UTF-8


class _Sink:
    """Gives each written line back, so that nothing piles up."""

    def write(self, text: str) -> str:
        return text


def announce(tx: Transaction) -> int:
    """Put the export on record, before anything leaves the house, and return how many customers there are."""
    number = tx.session.scalar(select(func.count(Customer.id))) or 0
    tx.record("customers.exported", number=number)
    return number


def lines(session: Session) -> Iterator[str]:
    """Yield the lines of the file, the header first, without holding all customers in memory."""
    writer = csv.writer(_Sink(), delimiter=";", lineterminator="\r\n")
    yield BOM + writer.writerow(COLUMNS.values())
    columns = [getattr(Customer, field) for field in COLUMNS]
    customers = select(*columns).order_by(Customer.number).execution_options(yield_per=1000)
    for customer in session.execute(customers):
        yield writer.writerow([guard(cell) for cell in customer])
