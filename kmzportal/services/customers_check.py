"""Whether the lines of the customers' file can be customers, each by itself and beside the others in the file."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kmzportal import mail_address
from kmzportal.services.customers_file import COLUMNS, REQUIRED, SIZES, Line, Table, unguard

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Row(NamedTuple):
    line: int
    number: str
    values: dict[str, str]  #: what the file says of each other field; a column may be missing
    canonical: str  #: of the mail address


class Finding(NamedTuple):
    """What there is to say about a row, in German."""

    line: int
    number: str
    text: str = ""


@dataclass
class Checked:
    rows: list[Row] = field(default_factory=list)
    refused: list[Finding] = field(default_factory=list)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)  #: numbers and addresses, each with its line


def check(table: Table, tell: Callable[[int], object]) -> Checked:
    """Sort the lines into rows and refusals, telling of each when it is done."""
    checked = Checked()
    for line in table.lines:
        values = dict(zip(table.fields, map(_clean, line.cells), strict=False))
        number = values.pop("number", "")
        faults = list(_misshapen(table.fields, line)) or list(_join(checked, line.number, number, values))
        if faults:
            checked.refused.append(Finding(line.number, number, "; ".join(faults)))
        tell(1)
    return checked


def _clean(cell: str) -> str:
    return unguard(cell.strip(" \u00a0"))


def _misshapen(fields: list[str], line: Line) -> Iterator[str]:
    if len(line.cells) != len(fields):
        yield f"{len(line.cells)} Zellen statt {len(fields)}"
        return
    for name, cell in zip(fields, map(_clean, line.cells), strict=True):
        column, longest = SIZES[name]
        if CONTROL.search(cell):
            yield f"{column}: Zeilenumbruch oder Steuerzeichen"
        if len(cell) > longest:
            yield f"{column}: {len(cell)} Zeichen, möglich sind {longest}"
        if not cell and name in REQUIRED:
            yield f"{column} fehlt"


def _join(checked: Checked, line: int, number: str, values: dict[str, str]) -> Iterator[str]:
    """Add the row, or say what is no address, or which earlier row has its number or address already."""
    try:
        canonical = mail_address.canonical(values["email"])
        email = mail_address.parse(values["email"])
    except ValueError:
        yield f"E-Mail: „{values['email']}“ ist keine vollständige Adresse"
        return
    unique = {"number": number, "email": canonical}
    earlier = {name: checked.seen.setdefault((name, text), line) for name, text in unique.items()}
    yield from (f"{COLUMNS[name]} steht schon in Zeile {first}" for name, first in earlier.items() if first != line)
    if set(earlier.values()) == {line}:
        checked.rows.append(Row(line, number, values | {"email": email}, canonical))
