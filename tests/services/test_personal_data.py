"""Nothing is kept about anybody that the page Datenschutz does not tell."""

import re

import pytest

from kmzportal.db import db
from kmzportal.services import personal_data
from kmzportal.services.personal_data import REGISTER, TECHNICAL


def columns_of_the_tables():
    return {f"{table.name}.{column.name}" for table in db.metadata.sorted_tables for column in table.columns}


def named(columns):
    return [f"{table}.{column}" for table, names in columns.items() for column in names.split()]


def test_every_column_is_registered_and_every_registered_column_is_there():
    registered = [*named(TECHNICAL), *(name for entry in REGISTER for name in named(entry.columns))]
    there = columns_of_the_tables()
    assert there - set(registered) == set(), "say in services/personal_data.py why this is kept, and for how long"
    assert set(registered) - there == set(), "no longer kept, take it off the register"


def test_no_column_is_registered_twice():
    registered = [*named(TECHNICAL), *(name for entry in REGISTER for name in named(entry.columns))]
    assert sorted(registered) == sorted(set(registered))


@pytest.mark.parametrize("entry", REGISTER, ids=lambda entry: entry.heading)
def test_each_entry_says_what_why_on_what_basis_and_for_how_long(entry):
    assert all((entry.what, entry.purpose, entry.basis, entry.retention))
    assert re.fullmatch(
        r"### .+\n\n- \*\*Was:\*\* .+\n- \*\*Wozu:\*\* .+\n(- \*\*Rechts.+\n)?- \*\*Wie lange:\*\* .+", entry.text
    )
    assert entry.text in personal_data.text()
