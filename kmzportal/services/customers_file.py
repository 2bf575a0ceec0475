"""The customers' CSV, as German Excel writes it: from bytes to numbered lines, and from cells to text and back."""

import csv
import difflib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from kmzportal import mail_address
from kmzportal.models.customer import Customer
from kmzportal.services.refusals import Refusal

#: Each field's column and longest length.
SIZES = {"number": ("Kundennummer", 50), "email": ("E-Mail", mail_address.MAX_LENGTH * 2)} | Customer.DATA_FIELDS
FIELDS = (
    *("number", "salutation", "first_name", "last_name", "email"),
    *("school", "street", "postcode", "town", "phone"),
)
COLUMNS = {field: SIZES[field][0] for field in FIELDS}
REQUIRED = ("number", "last_name", "email")
LARGEST = 20_000_000  # bytes; about 150,000 customers

#: What a spreadsheet takes for a formula. Apostrophes before it count, so that guarding can be undone exactly.
FORMULA = re.compile(r"'*[=+\-@\t\r\0]")
UTF8_UMLAUT = re.compile(rb"\xc3[\x80-\xbf]")
SAVE_AS_CSV = "Speichern Sie sie in Excel als „CSV UTF-8 (durch Trennzeichen getrennt)“."


class FileRefused(Refusal):
    """The file as a whole cannot be read."""


class Line(NamedTuple):
    number: int  #: in the file, where the row begins
    cells: list[str]


class Table(NamedTuple):
    fields: list[str]
    lines: list[Line]


def read(path: Path) -> Table:
    """Return what stands in the file; raises FileRefused."""
    lines = (line for line in _lines(_decode(_load(path))) if any(line.cells))
    header = next(lines, None) or _refuse("Die Datei ist leer.")
    return Table(_fields(header), list(lines))


def guard(cell: str) -> str:
    """Keep a spreadsheet from taking the text for a formula (standards R166)."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """Return the text that `guard` was given."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _refuse(reason: str) -> NoReturn:
    raise FileRefused(message=reason)


def _load(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            _refuse(f"{path} ist keine Datei.")
        if size > LARGEST:
            _refuse(f"Die Datei ist {size / 1e6:.0f} MB groß. Möglich sind {LARGEST / 1e6:.0f} MB.")
        return path.read_bytes()
    except OSError as error:
        reason = "gibt es nicht" if isinstance(error, FileNotFoundError) else "ist nicht lesbar"
        raise FileRefused(message=f"Die Datei {path} {reason}.") from None


def _decode(data: bytes) -> str:
    """UTF-8, or else CP1252; but not UTF-8 with a broken sign in it, which would turn every ü into Ã¼."""
    if b"\0" in data:
        _refuse(f"Zeile {_line_of(data, data.index(0))}: Das ist keine CSV-Datei. {SAVE_AS_CSV}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith(b"\xef\xbb\xbf") or UTF8_UMLAUT.search(data):
            _refuse(f"Zeile {_line_of(data, error.start)}: Ein Zeichen ist beschädigt. {SAVE_AS_CSV}")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        _refuse(f"Zeile {_line_of(data, error.start)}: Das ist keine CSV-Datei. {SAVE_AS_CSV}")


def _line_of(data: bytes, position: int) -> int:
    return 1 + len(re.findall(rb"\r\n|\r|\n", data[:position]))


def _lines(text: str) -> Iterator[Line]:
    header = text.lstrip().partition("\n")[0]
    delimiter = ";" if header.count(";") >= header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            yield Line(start, next(reader))
        except StopIteration:
            return
        except csv.Error:
            _refuse(
                f"Zeile {start}: Die Anführungszeichen sind nicht richtig geschlossen, oder eine Zelle ist viel zu "
                "lang. Die Zeilen danach sind noch nicht geprüft."
            )


def _fields(header: Line) -> list[str]:
    """Return the field of each column; raises FileRefused for what is unknown, double or missing."""
    known = {_plain(column): field for field, column in COLUMNS.items()}
    fields = [known.get(_plain(cell)) or _unknown(header.number, cell) for cell in header.cells]
    for field in REQUIRED:
        if field not in fields:
            _refuse(f"Zeile {header.number}: Die Spalte {COLUMNS[field]} fehlt.")
    for field in fields:
        if fields.count(field) > 1:
            _refuse(f"Zeile {header.number}: Die Spalte {COLUMNS[field]} steht zweimal da.")
    return fields


def _plain(column: str) -> str:
    return "".join(column.split()).casefold()


def _unknown(line: int, cell: str) -> NoReturn:
    columns = {_plain(column): column for column in COLUMNS.values()}
    nearest = difflib.get_close_matches(_plain(cell[:40]), columns, n=1, cutoff=0)[0]
    _refuse(f"Zeile {line}: Die Spalte „{cell[:40]}“ ist unbekannt. Meinten Sie {columns[nearest]}?")
