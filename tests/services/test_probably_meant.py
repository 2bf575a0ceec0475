"""Whom an unknown address probably means: found in indexes, at most three, and with the reason."""

import pytest
from sqlalchemy import event

from kmzportal.db import db
from kmzportal.models.customer import Customer
from kmzportal.services.probably_meant import DOMAIN, LETTER, NAMED, SHOWN, guesses
from tests import people

pytestmark = pytest.mark.both_databases

SCHOOL = "gms-musterstadt.example"


@pytest.fixture
def meant(app):
    """Return name and reason of each guess at one address."""

    def meant(address):
        with app.app_context():
            return [(guess.customer.first_name, guess.why) for guess in guesses(db.session(), [address])[address]]

    return meant


@pytest.fixture
def enter(backend):
    def enter(number, email, **fields):
        customer = Customer(number=number, last_name="Muster", created_at=people.LONG_AGO, **fields)
        customer.set_email(email)
        return backend.add(customer)

    return enter


@pytest.mark.parametrize(
    "typed",
    [
        "rika.mustermann",
        "eriak.mustermann",
        "rekia.mustermann"[:0] + "reika.mustermann",
        "xerika.mustermann",
        "arika.mustermann",
        "eika.mustermann",
        "erikaa.mustermann",
        "erika.mustermannn",
        "erika.mustermnan",
        "erika-mustermann",
        "erika.mustermanm",
        "erikamustermann",
    ],
)
def test_one_slip_wherever_it_is(meant, erika, typed):
    assert meant(f"{typed}@{SCHOOL}") == [("Erika", LETTER)]


def test_a_slip_in_the_domain(meant, erika):
    assert meant("erika.mustermann@gms-musterstad.example") == [("Erika", LETTER)]


def test_two_slips_are_too_many(meant, erika):
    assert meant(f"erka.mustermnan@{SCHOOL}") == []


def test_the_same_name_at_another_provider(meant, enter):
    enter("K-1", "mu.ster@gmx.de", first_name="Mia")
    assert meant("mu.ster@gmx.net") == [("Mia", DOMAIN)]


def test_first_and_last_name_stand_in_the_address(meant, anneliese):
    assert meant("anneliese.mueller-luedenscheidt@bw.schule") == [("Anneliese", NAMED)]


def test_nobody_is_guessed_from_nothing(meant, erika):
    assert meant("info@elsewhere.example") == []


def test_the_likeliest_stand_first_and_nobody_stands_twice(meant, enter):
    enter("K-3", "mia_m@web.example", first_name="Mia")
    enter("K-2", "mia.muster@gmx.example", first_name="Mia")
    enter("K-1", "mia.mustr@web.example", first_name="Mina")
    assert meant("mia.muster@web.example") == [("Mina", LETTER), ("Mia", DOMAIN), ("Mia", NAMED)]


def test_what_fits_many_tells_nothing(meant, enter):
    for number in range(SHOWN + 1):
        enter(f"K-{number}", f"info@schule-{number}.example", first_name="Mia")
    assert meant("info@elsewhere.example") == []
    assert len(meant("info@schule-9.example")) == SHOWN


@pytest.mark.parametrize(
    "typed", ["a@b.example", "%@b.example", "_._@b.example", "o'hara.\"x@b.example", "*.*@b.example"]
)
def test_strange_addresses_find_nobody_and_break_nothing(meant, erika, typed):
    assert meant(typed) == []


def test_a_page_of_addresses_asks_the_database_a_fixed_number_of_times(app, erika, max_):
    asked = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        found = guesses(db.session(), [f"erika.mustermann@schule-{number}.example" for number in range(25)])
    assert all(guess.customer.number == "K-1001" for each in found.values() for guess in each)
    assert len([statement for statement in asked if "SELECT" in statement]) == 4


def test_nobody_reads_all_customers(app, erika):
    """Each look-up goes through an index; PostgreSQL would scan a table as small as this one, if it were let."""
    asked = []
    with app.app_context():
        session = db.session()
        if (postgres := session.get_bind().dialect.name) == "postgresql":
            session.connection().exec_driver_sql("SET LOCAL enable_seqscan = off")
        event.listen(db.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        guesses(session, [f"erika.mustermnan@{SCHOOL}", "max.mustermann@bw.schule"])
        explain = "EXPLAIN " if postgres == "postgresql" else "EXPLAIN QUERY PLAN "
        for statement, parameters in list(asked):
            rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
            plan = "\n".join(str(tuple(row)) for row in rows)
            assert "Seq Scan on customer" not in plan and "SCAN customer" not in plan.replace(
                "SCAN customer_search", ""
            ), plan
