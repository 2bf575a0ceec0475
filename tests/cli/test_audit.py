"""kmzportal audit, as an operator meets it: one sentence, and the code."""

import re

import pytest
from sqlalchemy import text

from kmzportal.db import db
from kmzportal.server import worker


@pytest.fixture
def trail(app, backend, clock):
    """Three chained events, and one that is not chained yet."""
    for number in range(4):
        with backend.transaction("console") as tx:
            tx.record("logout")
        if number == 2:
            with app.app_context():
                worker.chain_events()


@pytest.fixture
def change(app):
    def change():
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(text("UPDATE audit_event SET actor = 'worker' WHERE position = 2"))

    return change


@pytest.mark.usefixtures("trail")
def test_verify_says_whether_the_trail_is_whole_and_where_it_breaks(type_in, change):
    whole = type_in("audit", "verify")
    sentence = "Das Protokoll ist unverändert. Geprüfte Einträge: 3, noch nicht in der Kette: 1, Ende: 3:"
    assert (whole.exit_code, bool(re.fullmatch(rf"{sentence}[0-9a-f]{{64}}\n", whole.stdout))) == (0, True)
    known = whole.stdout.split()[-1]
    assert type_in("audit", "verify", "--known", known).exit_code == 0
    assert type_in("audit", "verify", "--known", known.replace("3:", "7:")).exit_code == 1
    change()
    broken = type_in("audit", "verify")
    sentence = r"Das Protokoll wurde verändert. Der Eintrag \d+ vom 23.11.2026, 14:05 Uhr wurde verändert.\n"
    assert (broken.exit_code, bool(re.fullmatch(sentence, broken.stdout))) == (1, True), broken.stdout


@pytest.mark.parametrize("known", ["3", "3:abc", "3:" + "x" * 64, "0:" + "a" * 64])
def test_what_is_no_end_of_a_chain_is_refused(type_in, known):
    assert "hinter „Die Kette endet bei“" in type_in("audit", "verify", "--known", known).stderr


@pytest.mark.usefixtures("trail")
def test_accept_begins_anew_and_says_why_in_the_trail(app, backend, type_in, change):
    change()
    assert type_in("audit", "accept", "--why", "Platte getauscht").exit_code == 0
    with app.app_context():
        worker.chain_events()
    assert "Geprüfte Einträge: 1," in type_in("audit", "verify").stdout
    assert backend.actions()[-1] == "audit.accepted"
    assert type_in("audit", "accept").exit_code == 2
