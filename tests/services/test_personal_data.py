"""The register of personal data, shown on the page Datenschutz, names every column of the database."""

from kmzportal.db import db
from kmzportal.services.retention import register
from kmzportal.services.retention import register_text as text


def test_every_column_is_registered_once_and_every_registered_column_exists():
    registered = [
        f"{table}.{column}"
        for columns in (register()["technical"], *(entry["columns"] for entry in register()["entry"]))
        for table, names in columns.items()
        for column in names.split()
    ]
    existing = sorted(f"{table.name}.{column.name}" for table in db.metadata.sorted_tables for column in table.columns)
    assert sorted(registered) == existing, "templates/legal/personal_data.toml has why, and for how long"


def test_each_entry_names_data_purpose_and_retention():
    for entry in register()["entry"]:
        assert all((entry["what"], entry["purpose"], entry["retention"]))
        assert f"### {entry['heading']}\n\n- **Was:** {entry['what']}\n- **Wozu:** {entry['purpose']}\n" in text()
