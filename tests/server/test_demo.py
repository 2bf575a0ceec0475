"""demo, in real processes on this machine."""

import sqlite3
from urllib.request import urlopen

import pytest

from kmzportal import create_app
from kmzportal.cli import cli
from kmzportal.services import passwords
from kmzportal.services.office_pages import LATER
from tests import people
from tests.server.conftest import free_port, until

READY = "kmzportal läuft unter"


@pytest.fixture
def demo(start, tmp_path):
    """The demo beside a portal in use, whose settings it must not take."""
    (tmp_path / "kmzportal.db").write_bytes(b"in earnest")
    portal = start(
        "demo",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'kmzportal.db'}",
        MAIL_SERVER="mail.kmz.example",
        PUBLIC_URL="https://konto.kmz.example",
    )
    until(lambda: portal.answers() and READY in portal.output)
    return portal


def rows(portal, select):
    connection = sqlite3.connect(portal.folder / "demo" / "demo.db")
    try:
        return connection.execute(select).fetchall()
    finally:
        connection.close()


def test_it_says_who_can_log_in_answers_this_machine_only_and_begins_anew(start, demo):
    url = f"http://127.0.0.1:{demo.port}"
    assert people.ERIKA["email"] in demo.output
    assert people.PASSWORDS["K-1001"] in demo.output
    assert f"{url}/demo/postfach" in demo.output
    assert f"{url}/anmelden" in demo.output
    assert demo.answers("/anmelden") == 200
    assert demo.answers("/demo") == demo.answers("/demo/postfach") == demo.answers("/demo/postfach/schreiben") == 200
    for page in ("impressum", "datenschutz", "barrierefreiheit"):
        with urlopen(f"{url}/{page}") as answer:
            assert LATER not in (text := answer.read().decode()) and "(Muster)" in text and "Entwurf" not in text
    until(lambda: not rows(demo, "SELECT * FROM outgoing_mail WHERE state = 'queued'"))
    with pytest.raises(AssertionError, match="not within"):
        until(lambda: demo.answers(host="127.0.0.2"), within=0.3)
    assert len(rows(demo, "SELECT * FROM customer")) == 5
    assert rows(demo, "SELECT initials, admin FROM clerk ORDER BY id") == [("ro", 1), ("tb", 0)]
    assert rows(demo, "SELECT first_name FROM customer WHERE password_hash IS NULL") == [("Anneliese",)]
    assert rows(demo, "SELECT first_name FROM customer WHERE locked_at IS NOT NULL") == [("Lieselotte",)]
    links, anneliese = rows(demo, "SELECT kind, email FROM account_link ORDER BY kind"), people.ANNELIESE["email"]
    assert links == [("desk", people.JUERGEN["pending_email"]), ("letter", anneliese), ("objection", anneliese)]
    assert {path.name for path in demo.folder.iterdir()} == {"demo", "kmzportal.db", f"output-{demo.port}"}
    assert (demo.folder / "kmzportal.db").read_bytes() == b"in earnest"
    # A second one in its folder is refused, and a later one begins anew.
    second = start("demo")
    assert second.process.wait(60) == 1
    assert "läuft schon eine Vorführung" in second.output
    connection = sqlite3.connect(demo.folder / "demo" / "demo.db")
    connection.execute("UPDATE customer SET town = 'Anderswo'")
    connection.commit()
    connection.close()
    assert demo.end() == 0
    assert not demo.members()
    again = start("demo")
    until(lambda: READY in again.output)
    assert not rows(again, "SELECT * FROM customer WHERE town = 'Anderswo'")


@pytest.mark.parametrize("name", ["kmzportal.db", "config.toml"])
def test_a_folder_that_is_not_its_own_is_refused(tmp_path, monkeypatch, name):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / name).write_text("")
    monkeypatch.setenv("KMZPORTAL_INSTANCE_PATH", str(tmp_path))
    told = create_app(instance=tmp_path).test_cli_runner().invoke(cli, ["demo", "--port", str(free_port())])
    assert told.exit_code == 1
    assert "gehört nicht der Vorführung" in told.stderr
    assert [path.name for path in (tmp_path / "demo").iterdir()] == [name]


def test_passwords_of_the_sample_people_are_good_enough():
    for key, password in people.PASSWORDS.items():
        passwords.check_strength(
            password, 15 if key == "ro" else 12, [people.ERIKA["email"], "Erika", "Rosa Otto", "Calw"]
        )
