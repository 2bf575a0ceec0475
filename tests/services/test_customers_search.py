"""Whoever is on the phone is found by what one caught of the name."""

import pytest
from sqlalchemy import event

from kmzportal.db import db
from kmzportal.models.customer import one_letter_off
from kmzportal.services import customers_search
from tests import people

pytestmark = [pytest.mark.usefixtures("clock"), pytest.mark.both_databases]


@pytest.fixture
def numbers(app, backend):
    """Find customers with all of the cast there; return their numbers in the order shown."""
    for data in (people.ERIKA, people.MAX, people.ANNELIESE, people.JUERGEN, people.LIESELOTTE):
        backend.add(people.person(data))

    def numbers(query):
        with app.app_context():
            return [hit.number for hit in customers_search.search(db.session(), query).hits]

    return numbers


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("Mustermann", ["K-1001", "K-1002"]),
        ("erika muster", ["K-1001"]),
        ("muster ERIKA", ["K-1001"]),
        ("eidt", ["K-1003"]),
        ("mueller", ["K-1003"]),
        ("muller", ["K-1003"]),
        ("Müller-Lüd", ["K-1003"]),
        ("mueller luedenscheidt anneliese", ["K-1003"]),
        ("Groß", ["K-1004"]),
        ("gross juergen", ["K-1004"]),
        ("schäfer", ["K-1005"]),
        ("K-1002", ["K-1002"]),
        ("k1002", ["K-1002"]),
        ("1002", ["K-1002"]),
        ("regenbogen", ["K-1003", "K-1005"]),
        ("07051 123", ["K-1001"]),
        ("07051/123456", ["K-1001"]),
        ("+49 7051 123456", ["K-1001"]),
        ("erika.mustermann@gms", ["K-1001"]),
        ("juergen.gross@gms-musterstadt", ["K-1004"]),
        ("am bach", ["K-1003", "K-1005"]),
        ("75378 max", []),
        ("er mustermann", ["K-1001"]),
    ],
)
def test_any_part_of_what_is_known_finds_them(numbers, query, found):
    assert numbers(query) == found


@pytest.mark.parametrize("query", ["mustremann", "mustermnn", "mustermaan", "musstermann", "erika mustrmann"])
def test_one_typing_error_is_forgiven(numbers, query):
    assert "K-1001" in numbers(query)


@pytest.mark.parametrize("query", ["mustreman", "K-1009", "xyzzyx", "mustermann kita"])
def test_two_errors_or_another_number_are_somebody_else(numbers, query):
    assert numbers(query) == []


@pytest.mark.parametrize("query", ["", "  ", "mu", "a b c", "."])
def test_three_signs_are_the_least(app, backend, query):
    with app.app_context():
        assert customers_search.search(db.session(), query) is None


@pytest.mark.parametrize(
    "query", ["'; DROP TABLE customer; --", "100%%%", "mu__ermann", "x OR erika", "NEAR(erika max)", "erika*%"]
)
def test_signs_of_the_database_are_signs(numbers, query):
    assert numbers(query) == []
    assert numbers("erika") == ["K-1001"]


@pytest.mark.parametrize("query", ['"erika"', "erika\x00", 'must"ermann erika', "erika -max"])
def test_signs_that_nobody_has_in_a_name_break_nothing(app, numbers, query):
    assert set(numbers(query)) <= {"K-1001"}


def test_of_many_twenty_are_shown_and_the_rest_is_counted(app, backend, erika):
    with backend.transaction("console") as tx:
        for number in range(1020):
            data = {**people.MAX, "number": f"M-{number:04}", "email": f"m{number}@schule.example"}
            tx.session.add(people.person(data))
    with app.app_context():
        many = customers_search.search(db.session(), "mustermann")
        some = customers_search.search(db.session(), "m00")
    assert (len(many.hits), many.more, many.uncounted) == (20, 980, True)
    assert (len(some.hits), some.more, some.uncounted) == (20, 80, False)


def test_who_changes_is_found_by_the_new_words_alone(numbers, backend, app):
    with backend.transaction("console") as tx:
        erika = tx.session.query(type(people.person(people.ERIKA))).filter_by(number="K-1001").one()
        erika.last_name = "Beispielhuber"
        erika.set_email("e.b@schule.example")
    assert numbers("beispielhuber") == ["K-1001"]
    assert numbers("erika mustermann") == []


def test_the_index_answers_and_not_the_table(app, backend, erika):
    """One statement a search, which asks the trigrams."""
    statements = []
    with app.app_context():
        listen = (db.engine, "before_cursor_execute", lambda *about: statements.append(about[2]))
        event.listen(*listen)
        customers_search.search(db.session(), "mustermann erika")
        event.remove(*listen)
        indexed = "MATCH" if db.engine.dialect.name == "sqlite" else "LIKE"
    assert len([one for one in statements if one.startswith("SELECT") and indexed in one]) == 1


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("gmx", "gmx", True), ("gmx", "gm", True), ("gmx", "gmxx", True), ("gmx", "gxm", True), ("gmx", "gmy", True),
        ("gmx", "xmg", False), ("gmx", "g", False), ("", "a", True), ("abcd", "abdce", False), ("abcd", "bacd", True),
    ],
)  # fmt: skip
def test_one_letter_off_is_one_letter(one, other, near):
    assert one_letter_off(one, other) is near
    assert one_letter_off(other, one) is near
