"""Reading .xlsx and .ods, in a process of its own: a file made to fill the memory ends that process alone."""

import io
import json
import re
import resource
import subprocess
import sys
from datetime import date, datetime
from typing import Any
from zipfile import ZipFile

from python_calamine import CalamineWorkbook

MEMORY = 3_000_000_000  # bytes of address space
UNPACKED = 1_500_000_000  # bytes
TIMEOUT = 120  # seconds
PARTS = {"xl/workbook.xml", "content.xml"}  # of .xlsx and .ods
ERROR_CELL = re.compile(rb'<[^<>]*\b(?:t|calcext:value-type)="e(?:rror)?"[^<>]*>')


def read(data: bytes) -> tuple[list[list[str]], list[str]] | None:
    """Return the rows of the first sheet and the names of the others; None if the file is damaged or far too large."""
    # -P: no module is imported from the folder where the operator stands, as the file may lie there (CWE-427).
    command = [sys.executable, "-P", "-m", "kmzportal.services.spreadsheet"]
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
    book = CalamineWorkbook.from_filelike(_with_errors_as_text(data))
    cells = book.get_sheet_by_index(0).to_python(skip_empty_area=False)
    others = [name for name in book.sheet_names[1:] if book.get_sheet_by_name(name).height]
    return [[_shown(cell) for cell in row] for row in cells], others


def _with_errors_as_text(data: bytes) -> io.BytesIO:
    """Return the file with text in place of errors (#N/A), which calamine returns as empty cells."""
    file = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as archive, ZipFile(file, "w") as copy:
        if sum(entry.file_size for entry in archive.infolist()) > UNPACKED:
            raise MemoryError
        if PARTS.isdisjoint(archive.namelist()):
            raise ValueError("neither .xlsx nor .ods")
        for name in archive.namelist():
            copy.writestr(name, ERROR_CELL.sub(_as_text, archive.read(name)))
    file.seek(0)
    return file


def _as_text(cell: re.Match[bytes]) -> bytes:
    return cell[0].replace(b' t="e"', b' t="str"').replace(b' office:string-value=""', b"")


def _shown(cell: Any) -> str:
    """Return a cell as German Excel shows it; of more than 15 digits it knows only these: 1e+15."""
    if isinstance(cell, bool):
        return "WAHR" if cell else "FALSCH"
    if isinstance(cell, int | float):
        return f"{cell:.15g}".replace(".", ",")
    if isinstance(cell, datetime):
        return f"{cell:%d.%m.%Y %H:%M}".removesuffix(" 00:00")
    return f"{cell:%d.%m.%Y}" if isinstance(cell, date) else str(cell)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    json.dump(read_here(sys.stdin.buffer.read()), sys.stdout)
