"""Files as Excel, LibreOffice and old systems write them: what is understood, and what is refused with its place."""

import io
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest

from kmzportal.services.customer_file import COLUMNS, FileRefused, check, read_file

CASES = Path(__file__).parents[1] / "cases"
HEADER = "Kundennummer;Nachname;E-Mail"
SAVE_AS = "Speichern Sie sie in Excel als „CSV UTF-8"


@pytest.fixture
def read(tmp_path):
    """Read and check a file with this content; a name is one of tests/cases."""

    def read(content, **options):
        path = CASES / content if isinstance(content, str) and content.endswith(".csv") else tmp_path / "kunden.csv"
        if path.parent == tmp_path:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        rows, read.ignored = read_file(path, **options)
        check(rows)
        return rows

    return read


def faults(rows):
    return [f"{row.line} {row.fault}" for row in rows if row.fault]


KAETHE = {
    "salutation": "Frau",
    "first_name": "Käthe",
    "last_name": "Köhler",
    "email": "kaethe@gs.example",
    "school": "Grundschule Tälesbach",
    "street": "Höhenweg 1",
    "postcode": "75365",
    "town": "Schömberg",
    "phone": "07051 1",
}


@pytest.mark.parametrize(
    ("name", "line", "phone"),
    [
        ("sep-line.csv", 3, "07051 1"),
        ("trailing-empty-columns.csv", 2, "07051 1"),
        ("nfd-macos.csv", 2, "07051 1"),
        ("phone-bidi.csv", 2, "+49 7051 4711"),
    ],
)
def test_a_file_with_oddities_of_its_program_is_understood(read, name, line, phone):
    (row,) = read(name)
    assert (row.line, row.number, row.fault, row.values) == (line, "K-1", "", KAETHE | {"phone": phone})


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        (
            "excel-errors.csv",
            ["2 Nachname: „#NV“ ist ein Fehlerwert von Excel; Telefon: „#NAME?“ ist ein Fehlerwert von Excel"],
        ),
        (
            "scientific-number.csv",
            [
                "2 Kundennummer: „1,00002E+11“ ist eine abgekürzte Zahl. Formatieren Sie die Spalte in Excel als Text; "
                "Telefon: „4,97052E+11“ ist eine abgekürzte Zahl. Formatieren Sie die Spalte in Excel als Text"
            ],
        ),
        ("twin-numbers.csv", [f"{line} Kundennummer steht schon in Zeile 2" for line in (3, 4, 5, 6)]),
        (
            "umlaut-local.csv",
            [
                "2 E-Mail: „käthe@gs.example“ ist keine vollständige Adresse. Vor dem @ steht „ä“. Dort sind keine "
                "Umlaute möglich, meist steht dort ae, oe, ue oder ss."
            ],
        ),
    ],
)
def test_a_row_is_refused_by_line_and_column(read, name, refused):
    assert faults(read(name)) == refused


@pytest.mark.parametrize(
    "value",
    [
        "#N/A",
        "#WERT!",
        "#DIV/0!",
        "#BEZUG!",
        "#ÜBERLAUF!",
        "########",
        "1E+05",
        "1.2e-3",
        "1.5e10",
        "Err:502",
        "#GETTING_DATA",
    ],
)
def test_every_error_and_every_abbreviated_number_is_refused(read, value):
    assert faults(read(f"{HEADER}\n1;{value};a@gs.example"))[0].startswith(f"2 Nachname: „{value}“ ist ")


TEXT = "Kundennummer;Nachname;E-Mail\r\n1;Weiß;w@gs.example\r\n2;{};k@gs.example\r\n"


@pytest.mark.parametrize("encoding", ["cp850", "cp437", "mac_roman"])
@pytest.mark.parametrize("name", ["Köhler", "Österle", "Müller", "Großmann"])
def test_text_of_msdos_or_an_old_mac_is_refused_with_its_first_word(read, encoding, name):
    with pytest.raises(FileRefused) as refusal:
        read(TEXT.format(name).encode(encoding))
    assert str(refusal.value).startswith("Zeile 2: „Wei")
    assert "ist wohl „Weiß“" in str(refusal.value)
    assert SAVE_AS in str(refusal.value)


def test_the_first_word_of_the_case_is_named(read):
    with pytest.raises(FileRefused, match="Zeile 2: „K„the“ ist wohl „Käthe“"):
        read("msdos-cp850-no-street.csv")


@pytest.mark.parametrize("name", ["Schule „Am Berg“", "Müller-Šarić’s", "Kovács – Žižek", "Foo” Ångström…", "1.000 €"])
def test_text_of_windows_with_quotes_and_foreign_letters_is_understood(read, name):
    rows = read(TEXT.format(name).encode("cp1252", "ignore"))
    assert rows[0].values["last_name"] == "Weiß"
    assert rows[1].values["last_name"] == name.encode("cp1252", "ignore").decode("cp1252")


@pytest.mark.parametrize(
    "header",
    [
        "Kundennummer\tNachname\temail \tStrasse",
        " kunden nr.;NACHNAME\u00a0;E-Mail-Adresse;STRASSE",
        '"Kdnr",Nachname,Mail,straße',
    ],
)
def test_headings_may_be_spelled_as_offices_do_between_any_delimiter(read, header):
    delimiter = next(each for each in ";\t," if each in header)
    (row,) = read(f"{header}\n{delimiter.join(('1', 'Weiß', 'w@gs.example', 'Höhenweg 1'))}")
    assert (row.number, row.fault, row.values["street"]) == ("1", "", "Höhenweg 1")


@pytest.mark.parametrize("value", ["M\ufffdller", "MÃ¼ller", "GroÃŸ"])
def test_text_that_another_program_damaged_is_refused(read, value):
    assert faults(read(f"{HEADER}\n1;{value};a@gs.example")) == [
        f"2 Nachname: „{value}“ enthält ein beschädigtes Zeichen"
    ]


@pytest.mark.parametrize("text", ["<html><table>", '<?xml version="1.0"?>', "%PDF-1.7", "{\\rtf1 a}", "\ufeff[{}]"])
def test_other_formats_are_no_unknown_column(read, text):
    with pytest.raises(FileRefused, match=r"^Das ist keine CSV-Datei\. Speichern"):
        read(text)


@pytest.mark.parametrize("first", ["Kundenliste\n", HEADER.replace(";", "|"), "sep=,\n"])
def test_a_first_line_without_any_heading_is_named(read, first):
    with pytest.raises(FileRefused, match="Hier fehlen die Überschriften: Kundennummer;Anrede"):
        read(f"{first}\n{HEADER}\n1;Weiß;w@gs.example")


@pytest.mark.parametrize("text", [f"SEP=;\r{HEADER}\r1;Weiß;w@gs.example", f"{HEADER}\n1;Weiß;w@gs.example\n\x1a"])
def test_what_old_programs_write_around_the_rows_is_understood(read, text):
    assert faults(read(text)) == []


def test_unknown_columns_are_left_out_on_demand_and_named(read):
    file = f"Bemerkung;{HEADER};Telephon\nx;1;Weiß;w@gs.example;07051 1"
    with pytest.raises(FileRefused, match="Spalte „Bemerkung“ ist unbekannt"):
        read(file)
    (row,) = read(file, ignore_extra=True)
    assert (row.values, row.fault) == ({"last_name": "Weiß", "email": "w@gs.example"}, "")
    assert read.ignored == ["Spalte „Bemerkung“", "Spalte „Telephon“"]


def test_a_cell_below_no_heading_is_refused(read):
    rows = read("Kundennummer;;Nachname;E-Mail;\n1;;Weiß;w@gs.example;\n2;x;Groß;g@gs.example;\n3;;Groß;h@gs.example;x")
    assert faults(rows) == ["3 eine Zelle in einer Spalte ohne Überschrift", "4 5 Zellen statt 4"]


def test_a_postcode_that_lost_its_zero_is_a_warning(read):
    rows = read(f"{HEADER};PLZ\n1;Weiß;w@gs.example;1067\n2;Groß;g@gs.example;01067")
    assert [row.warning for row in rows] == ["PLZ „1067“ hat vier Ziffern. Fehlt vorn eine 0?", ""]
    assert faults(rows) == []


def workbook(rows, other=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for row in other:
        (book["Notizen"] if "Notizen" in book.sheetnames else book.create_sheet("Notizen")).append(row)
    book.create_sheet("leer")
    book.save(file := io.BytesIO())
    return file.getvalue()


#: As LibreOffice writes it, with the parts that matter.
ODS = """<?xml version="1.0" encoding="UTF-8"?><office:document-content
xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" 
xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"
xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"><office:body><office:spreadsheet>
<table:table table:name="Kunden">{}</table:table></office:spreadsheet></office:body></office:document-content>"""
MANIFEST = """<?xml version="1.0"?><manifest:manifest
xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>"""
ODS_TYPE = "application/vnd.oasis.opendocument.spreadsheet"


def ods(*rows):
    def cell(value):
        if isinstance(value, float):
            return f'<table:table-cell office:value-type="float" office:value="{value}"/>'
        if value.startswith("#"):
            return (
                '<table:table-cell table:formula="of:=NA()" office:value-type="string" office:string-value="" '
                f'calcext:value-type="error"><text:p>{value}</text:p></table:table-cell>'
            )
        return f'<table:table-cell office:value-type="string"><text:p>{value}</text:p></table:table-cell>'

    lines = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", ODS_TYPE)
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", ODS.format(lines))
    return file.getvalue()


NAMES = ["Kundennummer", "Nachname", "E-Mail", "PLZ"]


def test_a_workbook_is_read_and_its_cells_become_what_excel_shows(read):
    day = datetime(2026, 1, 2)
    rows = read(
        workbook(
            [
                [],
                NAMES,
                [10002.0, "Weiß", "w@gs.example", 1067],
                [],
                [day, "Groß", "g@gs.example", 75365],
                [date(2026, 1, 3), 1.5, "h@gs.example", True],
                [1.2e16, "Rot", "r@gs.example", None],
            ],
            other=[["Geheim"]],
        )
    )
    assert [(row.line, row.number, row.values["postcode"]) for row in rows[:2]] == [
        (3, "10002", "1067"),
        (5, "02.01.2026", "75365"),
    ]
    assert (rows[2].number, rows[2].values["last_name"], rows[2].values["postcode"]) == ("03.01.2026", "1,5", "WAHR")
    assert faults(rows)[0].startswith("7 Kundennummer: „1,2e+16“ ist eine abgekürzte Zahl")
    assert rows[0].warning
    assert read.ignored == ["Blatt „Notizen“"]


def test_an_opendocument_table_is_read(read):
    (row,) = read(ods(NAMES, [10002.0, "Weiß", "w@gs.example", "01067"]))
    assert (row.line, row.number, row.values["last_name"], row.fault) == (2, "10002", "Weiß", "")


def test_no_module_of_the_folder_where_the_operator_stands_is_imported(read, tmp_path, monkeypatch):
    for name in ("json", "resource", "zipfile", "python_calamine", "kmzportal"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert len(read(ods(NAMES, ["1", "Weiß", "w@gs.example", "1"]))) == 1
    assert not (tmp_path / "ran").exists()


def test_an_error_in_a_workbook_is_refused_by_line_and_column(read):
    refused = ["3 Nachname: „#N/A“ ist ein Fehlerwert von Excel"]
    for file in (
        workbook([NAMES, ["1", "Weiß", "w@gs.example", ""], ["2", "#N/A", "g@gs.example", ""]]),
        ods(NAMES, ["1", "Weiß", "w@gs.example", "1"], ["2", "#N/A", "g@gs.example", "1"]),
    ):
        assert faults(read(file)) == refused


def far_cell():
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = NAMES[0], "x"
    book.save(file := io.BytesIO())
    return file.getvalue()


def bomb():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", ODS_TYPE)
        with archive.open("content.xml", "w", force_zip64=True) as entry:
            for _ in range(1600):
                entry.write(b" " * 1_000_000)
    return file.getvalue()


@pytest.mark.parametrize("content", [lambda: b"PK\x03\x04\n\0\0\0", far_cell, bomb, lambda: workbook([NAMES])[:-90]])
def test_a_broken_or_huge_workbook_is_refused_in_one_sentence(read, content):
    with pytest.raises(FileRefused, match="Die Datei ist beschädigt, viel zu groß oder keine Tabelle"):
        read(content())


def test_every_heading_of_the_export_is_known(read):
    assert read(";".join(COLUMNS.values())) == []
