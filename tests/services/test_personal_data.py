"""The register of personal data, shown on the page Datenschutz, names every column of the database."""

import re

import pytest

from kmzportal.db import db
from kmzportal.services import personal_data
from kmzportal.services.personal_data import REGISTER, TECHNICAL


def test_every_column_is_registered_once_and_every_registered_column_exists():
    registered = [
        f"{table}.{column}"
        for columns in (TECHNICAL, *(entry.columns for entry in REGISTER))
        for table, names in columns.items()
        for column in names.split()
    ]
    existing = {f"{table.name}.{column.name}" for table in db.metadata.sorted_tables for column in table.columns}
    assert existing - set(registered) == set(), "register it in services/personal_data.py: why, and for how long"
    assert set(registered) - existing == set(), "no longer stored"
    assert len(registered) == len(set(registered))


@pytest.mark.parametrize("entry", REGISTER, ids=lambda entry: entry.heading)
def test_each_entry_names_data_purpose_legal_basis_and_retention(entry):
    assert all((entry.what, entry.purpose, entry.basis, entry.retention))
    assert re.fullmatch(
        r"### .+\n\n- \*\*Was:\*\* .+\n- \*\*Wozu:\*\* .+\n(- \*\*Rechts.+\n)?- \*\*Wie lange:\*\* .+", entry.text
    )
    assert entry.text in personal_data.text()
