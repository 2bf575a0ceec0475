"""The office's file of customers: CSV as German Excel writes it, .xlsx and .ods. The export of all customers as CSV."""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from kmzportal import mail_address
from kmzportal.models import Customer
from kmzportal.plain_text import INVISIBLE, UNFIT, canonical_number, clean
from kmzportal.services import spreadsheet
from kmzportal.services.transaction import Transaction

#: Heading and longest length in characters of each field.
LIMITS = {"number": ("Kundennummer", 50), "email": ("E-Mail", mail_address.MAX_LENGTH * 2)} | Customer.DATA_FIELDS
FIELDS = ("number", "salutation", "first_name", "last_name", "email", "school", "street", "postcode", "town", "phone")
COLUMNS = {name: LIMITS[name][0] for name in FIELDS}  #: in the order of the export
REQUIRED = ("number", "last_name", "email")
#: Other headings that offices use, without blanks, hyphens and dots, and in lower case.
ALIASES = {"emailadresse": "email", "mail": "email", "postleitzahl": "postcode", "telefonnummer": "phone"}
ALIASES |= {"tel": "phone", "kundennr": "number", "kdnr": "number"}
LARGEST = 60_000_000  # bytes; about 400,000 customers, whose import takes 2 GB of memory
#: Text that a spreadsheet takes for a formula (OWASP, CSV Injection). Apostrophes count, so `unguard` undoes `guard`.
#: Blanks and invisible characters before the sign count as well, and its full-width and small forms.
FORMULA = re.compile(rf"'*(?:{INVISIBLE.pattern}|[ \xa0\n\u2000-\u200a\u3000])*[=+\-@\t\r\0＝＋－＠﹦﹢﹣﹫−]")
#: What a cell cannot be. Excel shows #NV, #NAME?, #DIV/0! for an error, and ### where the column is too narrow.
BAD_CELLS = {
    UNFIT: "Zeilenumbruch oder Steuerzeichen",
    re.compile("\ufffd|Ã[¤¶¼„–œŸ]"): "„{}“ enthält ein beschädigtes Zeichen",
    re.compile(r"^(#(NV|N/A|GETTING_DATA|[A-ZÄÖÜ0/]+[!?]|#+)|Err:\d+)$"): "„{}“ ist ein Fehlerwert von Excel",
    re.compile(r"^[+-]?(\d+E[+-]|\d+[.,]\d+E[+-]?)\d+$", re.IGNORECASE): (
        "„{}“ ist eine abgekürzte Zahl. Formatieren Sie die Spalte in Excel als Text"
    ),
}
LOST_ZERO = re.compile(r"\d{4}")
SAVE_AS = "Speichern Sie sie in Excel als „CSV UTF-8 (durch Trennzeichen getrennt)“."
#: What makes a text German: umlauts inside of words or at their beginning, ß after a vowel.
GERMAN = re.compile("(?<=[^\\W\\d_])[äöü](?=[^\\W\\d_])|[ÄÖÜ](?=[a-zäöüß])|(?<=[aeiouäöü])ß")
WORD = re.compile(r'[^ ;,\t"\r\n]+')
OTHER_FORMATS = (b"<", b"%", b"{", b"[")  # HTML or XML that is named .xls, PDF, RTF, JSON
END_OF_FILE = b"\x1a"  # of MS-DOS
OTHER_ENCODINGS = ("cp850", "mac_roman")


class FileRefused(Exception):
    """The file as a whole cannot be read; the message is German."""


@dataclass(slots=True)
class Row:
    line: int  #: where the row begins in the file, counted from 1
    number: str
    values: dict[str, str]  #: of the other fields; a column that the file lacks is missing
    fault: str = ""  #: why the row is refused, in German
    number_canonical: str = ""  #: set by `check`, with the next two
    email_canonical: str = ""
    warning: str = ""  #: in German
    stored: Any = None  #: columns of the customer with this number, by name; None: a new customer. `compare` sets these
    taken: dict[str, str] = field(default_factory=dict)  #: fields that the import changes
    moves: bool = False  #: to another address, which is more than another spelling of it; not set for a new customer
    conflicts: list[str] = field(default_factory=list)  #: in German
    imported: dict[str, str] = field(default_factory=dict)  #: counts as last imported from now on


def read_file(path: Path, ignore_extra: bool = False) -> tuple[list[Row], list[str]]:
    """Return the rows that are not blank, not checked yet, and German remarks on what of the file is ignored.

    Unknown columns are ignored with `ignore_extra`, otherwise refused. Raises FileRefused.
    """
    lines, remarks = _lines(_load(path))
    header = next(lines, None)
    if header is None:
        raise FileRefused("Die Datei ist leer.")
    fields, extra = _fields_of(*header, ignore_extra)
    rows = []
    for line, cells in lines:
        if not any(cells[len(fields) :]):  # Excel writes empty columns that were used once
            del cells[len(fields) :]
        fault = f"{len(cells)} Zellen statt {len(fields)}" if len(cells) != len(fields) else ""
        if not ignore_extra and any(cell for name, cell in zip(fields, cells, strict=False) if name is None):
            fault = fault or "eine Zelle in einer Spalte ohne Überschrift"
        values = {name: unguard(clean(cell)) for name, cell in zip(fields, cells, strict=False) if name}
        rows.append(Row(line, values.pop("number", ""), values, fault))
    return rows, [*remarks, *(f"Spalte „{heading}“" for heading in extra)]


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


def _lines(data: bytes) -> tuple[Iterator[tuple[int, list[str]]], list[str]]:
    """Return line number and cells of each row that is not blank, and remarks as `read_file` does."""
    if not data.startswith(b"PK"):
        if data.lstrip(codecs.BOM_UTF8 + b" \t\r\n")[:1] in OTHER_FORMATS:
            raise FileRefused(f"Das ist keine CSV-Datei. {SAVE_AS}")
        return _parse(_decode(data.rstrip(END_OF_FILE))), []
    if (book := spreadsheet.read(data)) is None:
        raise FileRefused(f"Die Datei ist beschädigt, viel zu groß oder keine Tabelle (.xlsx, .ods). {SAVE_AS}")
    rows, others = book
    return ((line, row) for line, row in enumerate(rows, 1) if "".join(row).strip()), [
        f"Blatt „{name}“" for name in others
    ]


def _decode(data: bytes) -> str:
    """Decode UTF-8 or else CP1252. Damaged UTF-8 is refused: as CP1252 every ü in it would become Ã¼."""
    position, reason = data.find(b"\0"), "Das ist keine CSV-Datei."
    if position < 0:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            position = error.start
        if data.startswith(codecs.BOM_UTF8) or re.search(rb"\xc3[\x80-\xbf]", data):
            reason = "Ein Zeichen ist beschädigt."
        else:
            _refuse_other_encoding(data)
            try:
                return data.decode("cp1252")
            except UnicodeDecodeError as error:
                position = error.start
    raise FileRefused(f"Zeile {_line_at(data, position)}: {reason} {SAVE_AS}")


def _refuse_other_encoding(data: bytes) -> None:
    """Raise FileRefused if the text of MS-DOS or an old Mac has more German letters than that of Windows."""
    read = data.decode("cp1252", "replace")
    likely = max((data.decode(encoding) for encoding in OTHER_ENCODINGS), key=lambda text: len(GERMAN.findall(text)))
    if len(GERMAN.findall(likely)) <= len(GERMAN.findall(read)):
        return
    word = next(word for word in WORD.finditer(likely) if GERMAN.search(likely, *word.span()))
    raise FileRefused(
        f"Zeile {_line_at(data, word.start())}: „{read[slice(*word.span())]}“ ist wohl „{word[0]}“, "
        f"denn die Datei ist nicht wie unter Windows gespeichert. {SAVE_AS}"
    )


def _line_at(data: bytes, position: int) -> int:
    return 1 + len(re.findall(rb"\r\n|\r|\n", data[:position]))


def _parse(text: str) -> Iterator[tuple[int, list[str]]]:
    start = 1
    if named := re.match(r'(?i)"?sep=(.)"?[;,\t]*(\r\n?|\n)', text):  # Excel's way to name the delimiter
        text, start = text[named.end() :], 2
    header = text.lstrip().partition("\n")[0]
    delimiter = named[1] if named else max(";,\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = start
    try:
        for cells in reader:
            if "".join(cells).strip():
                yield start, cells
            start = before + reader.line_num
    except csv.Error:
        raise FileRefused(
            f"Zeile {start}: Die Anführungszeichen sind nicht richtig geschlossen, oder eine Zelle ist viel zu "
            "lang. Die Zeilen danach sind noch nicht geprüft."
        ) from None


def _fields_of(line: int, header: Sequence[str], ignore_extra: bool) -> tuple[list[str | None], list[str]]:
    """Return the field of each column, None for one without heading, and the headings of ignored columns.

    Raises FileRefused for an unknown, doubled or missing one.
    """
    header = header[: max((index for index, cell in enumerate(header, 1) if clean(cell)), default=0)]
    known = {_plain(heading): name for name, heading in COLUMNS.items()} | ALIASES
    fields = [known.get(_plain(cell)) for cell in header]
    extra = [clean(cell)[:40] for name, cell in zip(fields, header, strict=True) if name is None and clean(cell)]
    if not any(fields):
        raise FileRefused(f"Zeile {line}: Hier fehlen die Überschriften: {';'.join(COLUMNS.values())}. {SAVE_AS}")
    if extra and not ignore_extra:
        near = difflib.get_close_matches(_plain(extra[0]), known, n=1)
        meant = f" Meinten Sie {COLUMNS[known[near[0]]]}?" if near else ""
        raise FileRefused(
            f"Zeile {line}: Die Spalte „{extra[0]}“ ist unbekannt.{meant} Mit --ignore-extra bleibt sie weg."
        )
    for name, heading in COLUMNS.items():
        if name in REQUIRED and name not in fields:
            raise FileRefused(f"Zeile {line}: Die Spalte {heading} fehlt.")
        if fields.count(name) > 1:
            raise FileRefused(f"Zeile {line}: Die Spalte {heading} steht zweimal da.")
    return fields, extra


def _plain(heading: str) -> str:
    return re.sub(r"[\s._-]", "", clean(heading)).casefold()


def check(rows: Iterable[Row]) -> None:
    """Set the `fault` of each row that cannot be a customer, by itself or beside the rows before it."""
    seen: dict[tuple[str, str], int] = {}  # numbers and addresses, each with its line
    for row in rows:
        row.number_canonical = canonical_number(row.number)
        row.fault = row.fault or "; ".join(_bad_cells(row)) or "; ".join(_bad_address_or_double(row, seen))
        postcode = row.values.get("postcode", "")
        row.warning = f"PLZ „{postcode}“ hat vier Ziffern. Fehlt vorn eine 0?" if LOST_ZERO.fullmatch(postcode) else ""


def _bad_cells(row: Row) -> Iterator[str]:
    for name, cell in {"number": row.number, **row.values}.items():
        heading, longest = LIMITS[name]
        yield from (f"{heading}: {fault.format(cell)}" for bad, fault in BAD_CELLS.items() if bad.search(cell))
        if len(cell) > longest:
            yield f"{heading}: {len(cell)} Zeichen, möglich sind {longest}"
        if not cell and name in REQUIRED:
            yield f"{heading} fehlt"


def _bad_address_or_double(row: Row, seen: dict[tuple[str, str], int]) -> Iterator[str]:
    try:
        row.email_canonical = mail_address.canonical(row.values["email"])
        row.values["email"] = mail_address.parse(row.values["email"])
    except mail_address.InvalidAddress as invalid:
        yield f"E-Mail: „{row.values['email']}“ ist keine vollständige Adresse. {invalid.hint}".removesuffix(". ")
        return
    for name, text in (("number", row.number_canonical), ("email", row.email_canonical)):
        first = seen.setdefault((name, text), row.line)
        if first != row.line:
            yield f"{COLUMNS[name]} steht schon in Zeile {first}"


def record_export(tx: Transaction) -> int:
    """Record the export, which must be committed before the first line is sent; return the number of customers."""
    number = tx.session.scalar(select(func.count(Customer.id))) or 0
    tx.record("customers.exported", number=number)
    return number


def export_customers(session: Session, out: IO[bytes], progress: Callable[[int], object]) -> None:
    """Write all customers, a row at a time. The byte order mark makes Excel read the file as UTF-8."""
    writer = csv.writer(codecs.getwriter("utf-8-sig")(out), delimiter=";", lineterminator="\r\n")
    writer.writerow(COLUMNS.values())
    columns = (getattr(Customer, name) for name in COLUMNS)
    for customer in session.execute(select(*columns).order_by(Customer.number).execution_options(yield_per=1000)):
        writer.writerow([guard(cell) for cell in customer])
        progress(1)


def guard(cell: str) -> str:
    return f"'{cell}" if FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
