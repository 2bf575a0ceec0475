"""What the import says to a file that is not as it should be: always where, and why, and nothing is imported."""

import pytest
from sqlalchemy import select

from kmzportal.models.customer import Customer
from kmzportal.services.customers_file import FileRefused, guard, read, unguard
from tests.office import HEADER, Office, number, row


@pytest.fixture
def office(backend, tmp_path):
    office = Office(backend, tmp_path)
    yield office
    assert backend.read(select(Customer)) == [], "a refused file must leave nothing behind"


def reason(path):
    with pytest.raises(FileRefused) as refusal:
        read(path)
    return refusal.value.message


def of_bytes(tmp_path, data):
    path = tmp_path / "kunden.csv"
    path.write_bytes(data)
    return reason(path)


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\r\n\r\n"])
def test_an_empty_file_is_called_empty(tmp_path, data):
    assert of_bytes(tmp_path, data) == "Die Datei ist leer."


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    assert "gibt es nicht" in reason(tmp_path / "nirgends.csv")
    assert "ist keine Datei" in reason(tmp_path)


@pytest.mark.parametrize("data", [b"PK\x03\x04\n\0\0\0", "Kundennummer\nÄ".encode("utf-16"), b"a\n\x81\x8d"])
def test_a_workbook_or_picture_is_no_csv_and_the_cure_is_named(tmp_path, data):
    assert "Das ist keine CSV-Datei. Speichern Sie sie in Excel als „CSV UTF-8" in of_bytes(tmp_path, data)


def test_a_file_of_200_mb_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "kunden.csv"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    monkeypatch.setattr(type(path), "read_bytes", lambda _: pytest.fail("it was read"))
    assert reason(path) == "Die Datei ist 200 MB groß. Möglich sind 20 MB."


def test_a_broken_sign_in_utf_8_does_not_turn_every_umlaut_into_two_signs(tmp_path):
    data = f"{HEADER}\r\n{number(1)}\r\n".encode() + b"2;;;Gro\xdf;g@schule.example;;;;;"
    assert of_bytes(tmp_path, data).startswith("Zeile 3: Ein Zeichen ist beschädigt.")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace("Telefon", "Telephon"), "Die Spalte „Telephon“ ist unbekannt. Meinten Sie Telefon?"),
        (HEADER.replace("E-Mail", "Mailadresse"), "Meinten Sie E-Mail?"),
        (HEADER + ";Passwort", "Die Spalte „Passwort“ ist unbekannt."),
        (HEADER.replace("Nachname;", ""), "Die Spalte Nachname fehlt."),
        (HEADER + ";Ort", "Die Spalte Ort steht zweimal da."),
        (HEADER + ";", "Die Spalte „“ ist unbekannt."),
    ],
)
def test_a_wrong_header_is_refused_with_what_was_meant(tmp_path, header, said):
    assert said in of_bytes(tmp_path, header.encode())


def test_a_blank_line_above_does_not_hide_what_parts_the_cells(tmp_path):
    path = tmp_path / "kunden.csv"
    path.write_bytes(b"\n\nKundennummer,Nachname,E-Mail\n1,M,m@schule.example")
    assert read(path).lines == [(4, ["1", "M", "m@schule.example"])]


@pytest.mark.parametrize("cell", ['"Calw', '"Calw" am Berg', "x" * 140_000])
def test_broken_quotes_are_found_where_they_begin(tmp_path, cell):
    data = "\r\n".join((HEADER, number(1), f'2;;;"Zeile\r\neins";p2@schule.example;;;;{cell};', number(3)))
    assert of_bytes(tmp_path, data.encode()).startswith("Zeile 3: Die Anführungszeichen sind nicht richtig geschl")


def test_too_many_and_too_few_cells_are_counted(office):
    assert office.is_refused(number(1) + ";", "1002;Frau", number(3)) == [
        "2: 11 Zellen statt 10",
        "3: 2 Zellen statt 10",
    ]


def test_a_number_stands_once(office):
    assert office.is_refused(number(1), number(2), number(1, email="andere@schule.example")) == [
        "4: Kundennummer steht schon in Zeile 2"
    ]


@pytest.mark.parametrize("twin", ["ERIKA@Schule-Müller.example", "erika@xn--schule-mller-klb.example"])
def test_an_address_stands_once_in_whatever_spelling(office, twin):
    assert office.is_refused(number(1, email="Erika@schule-müller.example"), number(2, email=twin)) == [
        "3: E-Mail steht schon in Zeile 2"
    ]


@pytest.mark.parametrize("address", ["erika", "erika@", "@schule.example", "erika@schule..example", "a b@c.example"])
def test_what_is_no_address_is_shown(office, address):
    assert office.is_refused(row(email=address)) == [f"2: E-Mail: „{address}“ ist keine vollständige Adresse"]


@pytest.mark.parametrize("sign", ["\r\nBcc: x@example.org", "\n", "\t", "\x1b[31m", "\x7f", "\u2028"])
def test_a_name_has_neither_line_breaks_nor_control_characters(office, sign):
    reasons = office.is_refused(number(1), row(last_name=f"Groß{sign}"), number(3, last_name=f"{sign}Groß"))
    assert reasons[0] == "3: Nachname: Zeilenumbruch oder Steuerzeichen"
    assert reasons[1].endswith(": Nachname: Zeilenumbruch oder Steuerzeichen")


def test_lines_are_counted_as_an_editor_counts_them(office):
    two_lines = number(1, school="Gymnasium\r\nCalw")
    assert office.is_refused(two_lines, number(2, email="")) == [
        "2: Schule: Zeilenumbruch oder Steuerzeichen",
        "4: E-Mail fehlt",
    ]


def test_a_cell_has_its_longest_length(office):
    assert office.is_refused(row(first_name="x" * 101, postcode="7" * 21, email="a" * 600)) == [
        "2: Vorname: 101 Zeichen, möglich sind 100; E-Mail: 600 Zeichen, möglich sind 508; PLZ: 21 Zeichen, "
        "möglich sind 20"
    ]


def test_number_name_and_address_are_needed(office):
    assert office.is_refused(row(number="", last_name=" ", email="")) == [
        "2: Kundennummer fehlt; Nachname fehlt; E-Mail fehlt"
    ]


def test_one_bad_row_keeps_all_the_others_out(office):
    assert len(office.is_refused(*(number(n) for n in range(20)), number(21, email="nichts"))) == 1


@pytest.mark.parametrize("text", ["=1+1", "+49 7051", "-", "@x", "'=1", "''=1", "'t Hooft", "Müller", "", "'", "''"])
def test_a_guarded_cell_comes_back_as_it_was(text):
    assert unguard(guard(text)) == text
    assert guard(text)[:1] not in {*"=+-@"}
