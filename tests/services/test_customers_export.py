"""What leaves the house: a file that Excel reads, that runs nothing, and that comes back unchanged."""

import csv
import io

import pytest
from sqlalchemy import select

from kmzportal.db import db
from kmzportal.models.customer import Customer
from kmzportal.services import accounts, customers_export
from tests.office import HEADER, counts, number, row

ODD = [
    "=HYPERLINK(1)",
    "+49 7051",
    "-1",
    "@home",
    "'=1",
    "''-2",
    "'t Hooft",
    'sagt "ja"; und nein',
    "a,b",
    "Ö 'x'",
    "'",
]


def export(app):
    with app.app_context():
        return "".join(customers_export.lines(db.session()))


def test_excel_finds_its_bom_its_semicolons_and_its_line_ends(app, office):
    office.sends(row(phone="07051 1"))
    anneliese = "1001;Frau;Anneliese;Müller-Lüdenscheidt;anneliese@schule.example;;;;Calw;07051 1"
    assert export(app) == f"\ufeff{HEADER}\r\n{anneliese}\r\n"


def test_without_customers_there_is_a_header(app):
    assert export(app) == f"\ufeff{HEADER}\r\n"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_no_cell_is_taken_for_a_formula(app, office, text):
    office.sends(row())
    with office.backend.transaction() as tx:
        accounts.change_data(tx, tx.session.scalars(select(Customer)).one(), {"school": text})
    cells = list(csv.reader(io.StringIO(export(app), newline=""), delimiter=";"))[1]
    assert cells[5] == f"'{text}"


def test_our_own_file_comes_back_unchanged(app, office):
    office.sends(*(number(n, last_name=odd, phone=odd, number=f"{odd}{n}") for n, odd in enumerate(ODD)))
    text = export(app)
    office.file.write_bytes(text.encode())
    assert counts(office.imports()) == {"Unverändert": len(ODD)}
    assert export(app) == text


def test_our_own_file_comes_back_unchanged_with_all_that_was_changed_here(app, office, erika, juergen):
    office.sends(row())
    office.file.write_bytes(export(app).encode())
    assert counts(office.imports()) == {"Unverändert": 3}


def test_the_export_is_on_record_before_the_first_line_leaves(office, erika):
    assert office.backend.run(customers_export.announce, actor="console") == 1
    assert office.backend.actions() == ["customers.exported"]
