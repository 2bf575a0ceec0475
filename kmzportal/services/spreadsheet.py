"""Reading .xlsx and .ods, in a process of its own: a file made to fill the memory ends that process alone."""

import io
import json
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from functools import reduce
from typing import Any
from zipfile import ZipFile

from python_calamine import CalamineWorkbook

MEMORY = 3_000_000_000  # bytes of address space
UNPACKED = 1_500_000_000  # bytes
TIMEOUT = 120  # seconds
SHEET = re.compile(rb'<(?:\w+:)?sheet\b[^>]*\br:id="(\w+)"')
CELL_OF_EXCEL = re.compile(rb'<(?:\w+:)?c\b([^>]*\bt="e"[^>]*)>.*?<(?:\w+:)?v>([^<]*)', re.DOTALL)
ELEMENT_OF_ODS = re.compile(
    rb"<table:(table-row|(?:covered-)?table-cell)\b([^>]*)>(?:<text:p>([^<]*))?|(</table:table>)"
)

Position = tuple[int, int]  # row and column, from 0


def read(data: bytes) -> tuple[list[list[str]], list[str]] | None:
    """Return the rows of the first sheet and the names of the others; None if the file is damaged or far too large."""
    command = [sys.executable, "-m", "kmzportal.services.spreadsheet"]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        return None
    rows, others = json.loads(done.stdout)
    return rows, others


def read_here(data: bytes) -> tuple[list[list[str]], list[str]]:
    """As `read`, in this process; raises any exception for a damaged file, or aborts when the memory is used up."""
    with ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > UNPACKED:
            raise MemoryError
        errors = dict(_errors_of_ods(archive) if "content.xml" in archive.namelist() else _errors_of_excel(archive))
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    cells = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    rows = [[_shown(cell) for cell in row] for row in cells]
    for (row, column), text in errors.items():  # calamine returns them as empty cells
        if row < len(rows) and column < len(rows[row]):
            rows[row][column] = text
    return rows, [name for name in book.sheet_names[1:] if book.get_sheet_by_name(name).height]


def _shown(cell: Any) -> str:
    """Return a cell as German Excel shows it; of more than 15 digits it knows only these: 1e+15."""
    if isinstance(cell, bool):
        return "WAHR" if cell else "FALSCH"
    if isinstance(cell, int | float):
        return f"{cell:.15g}".replace(".", ",")
    if isinstance(cell, datetime):
        return f"{cell:%d.%m.%Y %H:%M}".removesuffix(" 00:00")
    return f"{cell:%d.%m.%Y}" if isinstance(cell, date) else str(cell)


def _errors_of_excel(archive: ZipFile) -> Iterator[tuple[Position, str]]:
    first = SHEET.search(archive.read("xl/workbook.xml"))
    named = rb'<Relationship\b(?=[^>]*\bId="%s")[^>]*\bTarget="(?:/xl/)?([^"]+)"' % (first[1] if first else b"")
    if target := re.search(named, archive.read("xl/_rels/workbook.xml.rels")):
        for attributes, text in CELL_OF_EXCEL.findall(archive.read(f"xl/{target[1].decode()}")):
            if at := re.search(rb'\br="([A-Z]+)(\d+)"', attributes):
                column = reduce(lambda number, letter: number * 26 + letter - ord("A") + 1, at[1], 0)
                yield (int(at[2]) - 1, column - 1), text.decode()


def _errors_of_ods(archive: ZipFile) -> Iterator[tuple[Position, str]]:
    row = next_row = column = 0
    for kind, attributes, text, end in ELEMENT_OF_ODS.findall(archive.read("content.xml")):
        if end:
            return
        repeated = re.search(rb'-repeated="(\d+)"', attributes)
        times = int(repeated[1]) if repeated else 1
        if kind == b"table-row":
            row, next_row, column = next_row, next_row + times, 0
            continue
        if b'calcext:value-type="error"' in attributes:
            yield (row, column), text.decode()
        column += times


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    json.dump(read_here(sys.stdin.buffer.read()), sys.stdout)
