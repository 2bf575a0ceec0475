"""Somebody types a command before the database has its tables."""

import pytest

from tests.cli.test_console import console
from tests.office import HEADER

KIM = ("clerks", "add", "kim@kmz.example", "--name", "Kim Muster", "--initials", "km")


@pytest.mark.parametrize("words", [
    ("customers", "import", "kunden.csv"),
    ("customers", "import", "kunden.csv", "--dry-run"),
    ("customers", "export"),
    KIM,
    ("clerks", "link", "kim@kmz.example"),
    ("links", "send", "erika@schule.example", "--by", "ro"),
    ("mail", "deliver"),
])  # fmt: skip
def test_a_command_without_tables_says_how_to_make_them(tmp_path, words):
    (tmp_path / "kunden.csv").write_text(HEADER)
    words = [str(tmp_path / word) if word.endswith(".csv") else word for word in words]
    told = console(tmp_path, *words, KMZPORTAL_MAIL_SERVER="localhost")
    sentence = "Die Tabellen der Datenbank fehlen oder sind alt. Abhilfe: kmzportal db upgrade.\n"
    assert (told.returncode, told.stdout, told.stderr) == (1, "", sentence)


def test_what_it_says_helps(tmp_path):
    assert console(tmp_path, "db", "upgrade").returncode == 0
    assert console(tmp_path, *KIM).returncode == 0
