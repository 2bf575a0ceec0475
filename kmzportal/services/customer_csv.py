"""Customers as CSV, as German Excel writes it: import of the office's file, export of all customers.

An import takes all rows or none and never writes a password. A field has three values: the one in the file, the one
stored, and the one last imported (`Customer.imported`). Where only the file changed, its value is taken; where only
the stored value changed, it stays; where both did, it stays too and the row is reported as Konflikt.
"""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from sqlalchemy import String, bindparam, cast, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import ENDS_WITH_ADDRESS, AccountLink, AuditEvent, Customer, LinkState, search_text
from kmzportal.services.refusals import ChangedMeanwhile, Refusal
from kmzportal.services.transaction import Transaction

#: Heading and longest length in characters of each field.
LIMITS = {"number": ("Kundennummer", 50), "email": ("E-Mail", mail_address.MAX_LENGTH * 2)} | Customer.DATA_FIELDS
FIELDS = ("number", "salutation", "first_name", "last_name", "email", "school", "street", "postcode", "town", "phone")
COLUMNS = {name: LIMITS[name][0] for name in FIELDS}  #: in the order of the export
REQUIRED = ("number", "last_name", "email")
LARGEST = 20_000_000  # bytes; about 150,000 customers
BATCH = 1000  # rows in a bulk statement
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Text that a spreadsheet takes for a formula (OWASP, CSV Injection). Apostrophes count, so `unguard` undoes `guard`.
FORMULA = re.compile(r"'*[=+\-@\t\r\0]")
#: The columns that an import reads and writes, as those of a new customer are before it.
NEW: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"email_canonical": "", "pending_email": None, "imported": {}}
STORED = select(*(getattr(Customer, name) for name in ("id", "version", *NEW))).execution_options(yield_per=BATCH)
BY_ID = Customer.id == bindparam("read_id")


class FileRefused(Exception):
    """The file as a whole cannot be read; the message is German."""


class RowsRefused(Refusal):
    """At least one row has a fault, so none is imported."""


@dataclass
class Row:
    line: int  #: where the row begins in the file, counted from 1
    number: str
    values: dict[str, str]  #: of the other fields; a column that the file lacks is missing
    fault: str = ""  #: why the row is refused, in German
    email_canonical: str = ""  #: set by `check`, the rest by `compare`
    stored: Any = None  #: columns of the customer with this number, by name; None: a new customer
    taken: dict[str, str] = field(default_factory=dict)  #: fields that the import changes
    moves: bool = False  #: to another address, which is more than another spelling of it; not set for a new customer
    conflicts: list[str] = field(default_factory=list)  #: in German
    imported: dict[str, str] = field(default_factory=dict)  #: counts as last imported from now on


def read_file(path: Path) -> list[Row]:
    """Return the rows of the file that are not blank, not checked yet; raises FileRefused."""
    lines = _parse(_decode(_load(path)))
    header = next(lines, None)
    if header is None:
        raise FileRefused("Die Datei ist leer.")
    fields = _fields_of(*header)
    rows = []
    for line, cells in lines:
        values = {name: unguard(cell.strip(" \u00a0")) for name, cell in zip(fields, cells, strict=False)}
        fault = f"{len(cells)} Zellen statt {len(fields)}" if len(cells) != len(fields) else ""
        rows.append(Row(line, values.pop("number", ""), values, fault))
    return rows


def _load(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise FileRefused(f"{path} ist keine Datei.")
        if size > LARGEST:
            raise FileRefused(f"Die Datei ist {size / 1e6:.0f} MB groß. Möglich sind {LARGEST / 1e6:.0f} MB.")
        return path.read_bytes()
    except OSError as error:
        reason = "gibt es nicht" if isinstance(error, FileNotFoundError) else "ist nicht lesbar"
        raise FileRefused(f"Die Datei {path} {reason}.") from None


def _decode(data: bytes) -> str:
    """Decode UTF-8 or else CP1252. Damaged UTF-8 is refused: as CP1252 every ü in it would become Ã¼."""
    position, reason = data.find(b"\0"), "Das ist keine CSV-Datei."
    for encoding in ("utf-8-sig", "cp1252") if position < 0 else ():
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            position = error.start
        if data.startswith(codecs.BOM_UTF8) or re.search(rb"\xc3[\x80-\xbf]", data):
            reason = "Ein Zeichen ist beschädigt."
            break
    line = 1 + len(re.findall(rb"\r\n|\r|\n", data[:position]))
    remedy = "Speichern Sie sie in Excel als „CSV UTF-8 (durch Trennzeichen getrennt)“."
    raise FileRefused(f"Zeile {line}: {reason} {remedy}")


def _parse(text: str) -> Iterator[tuple[int, list[str]]]:
    header = text.lstrip().partition("\n")[0]
    delimiter = ";" if header.count(";") >= header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error:
        raise FileRefused(
            f"Zeile {start}: Die Anführungszeichen sind nicht richtig geschlossen, oder eine Zelle ist viel zu "
            "lang. Die Zeilen danach sind noch nicht geprüft."
        ) from None


def _fields_of(line: int, header: Sequence[str]) -> list[str]:
    """Return the field of each column; raises FileRefused for an unknown, doubled or missing one."""
    known = {heading.casefold(): name for name, heading in COLUMNS.items()}
    fields = []
    for cell in header:
        plain = "".join(cell.split()).casefold()
        if plain not in known:
            nearest = known[difflib.get_close_matches(plain[:40], known, n=1, cutoff=0)[0]]
            raise FileRefused(f"Zeile {line}: Die Spalte „{cell[:40]}“ ist unbekannt. Meinten Sie {COLUMNS[nearest]}?")
        fields.append(known[plain])
    for name, heading in COLUMNS.items():
        if name in REQUIRED and name not in fields:
            raise FileRefused(f"Zeile {line}: Die Spalte {heading} fehlt.")
        if fields.count(name) > 1:
            raise FileRefused(f"Zeile {line}: Die Spalte {heading} steht zweimal da.")
    return fields


def check(rows: Iterable[Row]) -> None:
    """Set the `fault` of each row that cannot be a customer, by itself or beside the rows before it."""
    seen: dict[tuple[str, str], int] = {}  # numbers and addresses, each with its line
    for row in rows:
        row.fault = row.fault or "; ".join(_bad_cells(row)) or "; ".join(_bad_address_or_double(row, seen))


def _bad_cells(row: Row) -> Iterator[str]:
    for name, cell in {"number": row.number, **row.values}.items():
        heading, longest = LIMITS[name]
        if CONTROL.search(cell):
            yield f"{heading}: Zeilenumbruch oder Steuerzeichen"
        if len(cell) > longest:
            yield f"{heading}: {len(cell)} Zeichen, möglich sind {longest}"
        if not cell and name in REQUIRED:
            yield f"{heading} fehlt"


def _bad_address_or_double(row: Row, seen: dict[tuple[str, str], int]) -> Iterator[str]:
    try:
        row.email_canonical = mail_address.canonical(row.values["email"])
        row.values["email"] = mail_address.parse(row.values["email"])
    except mail_address.InvalidAddress:
        yield f"E-Mail: „{row.values['email']}“ ist keine vollständige Adresse"
        return
    for name, text in (("number", row.number), ("email", row.email_canonical)):
        first = seen.setdefault((name, text), row.line)
        if first != row.line:
            yield f"{COLUMNS[name]} steht schon in Zeile {first}"


def compare(session: Session, rows: Sequence[Row]) -> None:
    """Set what importing each checked row would change, and the `fault` of rows whose address is taken."""
    sound = {row.number: row for row in rows if not row.fault}
    owners = {}
    for stored in session.execute(STORED).mappings():
        owners[stored["email_canonical"]] = stored["number"]
        if row := sound.get(stored["number"]):
            row.stored = stored
    for row in sound.values():
        _merge(row)
    # An address may pass from one customer to another within the file, but never belong to two.
    moving = {row.number for row in sound.values() if row.moves}
    for row in sound.values():
        owner = owners.get(row.email_canonical)
        if owner and owner not in moving and (row.moves or not row.stored):
            row.fault = f"E-Mail gehört schon zu Kundennummer {owner}"


def _merge(row: Row) -> None:
    stored = row.stored or NEW
    row.imported = dict(stored["imported"])
    for name, theirs in row.values.items():
        ours, base = stored[name], row.imported.get(name, "")
        pending = stored["pending_email"] if name == "email" else None
        if theirs != ours == base and not pending:
            row.taken[name] = theirs
        elif theirs not in (ours, base, pending):
            row.conflicts.append(f"{COLUMNS[name]}: hier „{pending or ours}“, in der Datei „{theirs}“")
        if theirs == row.taken.get(name, ours):
            row.imported[name] = theirs
    row.moves = bool(row.stored) and "email" in row.taken and row.email_canonical != stored["email_canonical"]


def report(rows: Sequence[Row]) -> dict[str, list[tuple[Row, str]]]:
    """Return the compared rows by kind, each with its remark; a changed row may have a Konflikt in another field."""
    known = [row for row in rows if row.stored and not row.fault]
    return {
        "Unverändert": [(row, "") for row in known if not row.taken and not row.conflicts],
        "Neu": [(row, "") for row in rows if not row.stored and not row.fault],
        "Geändert": [(row, ", ".join(COLUMNS[name] for name in row.taken)) for row in known if row.taken],
        "Konflikt": [(row, "; ".join(row.conflicts)) for row in known if row.conflicts],
        "Abgelehnt": [(row, row.fault) for row in rows if row.fault],
    }


def import_customers(tx: Transaction, rows: Sequence[Row], progress: Callable[[int], object]) -> None:
    """Compare and write the checked rows; raises RowsRefused, or ChangedMeanwhile when another save came between."""
    compare(tx.session, rows)
    if any(row.fault for row in rows):
        raise RowsRefused
    try:
        if moving := [{"read_id": row.stored["id"]} for row in rows if row.moves]:
            _free_addresses(tx, moving)
        for batch in [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]:
            _write(tx, batch)
            progress(len(batch))
    except IntegrityError:
        raise ChangedMeanwhile from None


def _free_addresses(tx: Transaction, moving: Sequence[dict[str, int]]) -> None:
    """Give up the old addresses, so that other rows may take them, and end the open links sent to them."""
    parked = literal("import:") + cast(Customer.id, String)
    tx.session.connection().execute(update(Customer).where(BY_ID).values(email_canonical=parked), moving)
    ids = [row["read_id"] for row in moving]
    for batch in [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]:
        links = update(AccountLink).where(AccountLink.customer_id.in_(batch), AccountLink.ended_at.is_(None))
        links = links.where(AccountLink.kind.in_(ENDS_WITH_ADDRESS))
        tx.session.execute(links.values(ended_at=tx.now, ended_as=LinkState.WITHDRAWN))


def _write(tx: Transaction, rows: Sequence[Row]) -> None:
    """Write the rows in bulk statements; raises ChangedMeanwhile where a version is not the one compared."""
    known = [row for row in rows if row.stored and row.imported != row.stored["imported"]]
    events = [("data.imported", row.stored["id"], {"fields": list(row.taken)}) for row in known if row.taken]
    if known:  # not by the ORM, which updates one row at a time where it counts versions
        changes = update(Customer).where(BY_ID, Customer.version == bindparam("read_version"))
        changes = changes.values(version=Customer.version + 1)
        updated = tx.session.connection().execute(changes, [_columns(row) for row in known])
        if updated.rowcount != len(known):
            raise ChangedMeanwhile
    if new := [_columns(row) | {"created_at": tx.now} for row in rows if not row.stored]:
        tx.session.execute(insert(Customer), new)
        ids = tx.session.scalars(select(Customer.id).where(Customer.number.in_([row["number"] for row in new])))
        events += [("customer.imported", id_, {}) for id_ in ids]
    if events:
        common = {"at": tx.now, "actor": tx.actor, "source": tx.source}
        names = ("action", "customer_id", "details")
        tx.session.execute(insert(AuditEvent), [common | dict(zip(names, event, strict=True)) for event in events])


def _columns(row: Row) -> dict[str, Any]:
    columns = {name: (row.stored or NEW)[name] for name in NEW}
    columns |= row.taken | {"number": row.number, "imported": row.imported}
    if "email" in row.taken:
        columns["email_canonical"] = row.email_canonical
    columns["search"] = search_text(SimpleNamespace(**columns))
    if row.stored:
        columns |= {"read_id": row.stored["id"], "read_version": row.stored["version"]}
    return columns


def record_export(tx: Transaction) -> int:
    """Record the export, which must be committed before the first line is sent; return the number of customers."""
    number = tx.session.scalar(select(func.count(Customer.id))) or 0
    tx.record("customers.exported", number=number)
    return number


def export_customers(session: Session, out: IO[bytes], progress: Callable[[int], object]) -> None:
    """Write all customers, a row at a time. The byte order mark makes Excel read the file as UTF-8."""
    writer = csv.writer(codecs.getwriter("utf-8-sig")(out), delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS.values())
    for customer in session.execute(STORED.order_by(Customer.number)).mappings():
        writer.writerow([guard(customer[name]) for name in COLUMNS])
        progress(1)


def guard(cell: str) -> str:
    return f"'{cell}" if FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
