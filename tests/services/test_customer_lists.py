"""Listen: which customers stand in them, page by page, each read from its index."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from kmzportal.db import db
from kmzportal.models import LinkKind, MailState
from kmzportal.services import customer_lists, outbox
from kmzportal.services.customer_lists import COUNTED, LISTS, ROWS_SHOWN, UNSEEN_FOR
from tests import people
from tests.people import NOW

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def listed(app):
    """Return the numbers of the customers of each list that has some."""

    def listed(at=NOW):
        with app.app_context():
            session = db.session()
            pages = {name: [row[0].number for row in customer_lists.page(session, name, at)] for name in LISTS}
            found = {name: numbers for name, numbers in pages.items() if numbers}
            assert customer_lists.counts(session, at) == {name: len(numbers) for name, numbers in pages.items()}
            return found

    return listed


def settled(tx, customer, state, template="password_changed"):
    tx.send(template, customer, always=True).state = state


def test_each_list_holds_its_customers(backend, listed, erika, max_, anneliese, juergen, lieselotte, issue):
    assert listed() == {"gesperrt": ["K-1005"], "nie-aktiviert": ["K-1003"]}
    issue(LinkKind.DESK, juergen)
    issue(LinkKind.RECOVERY, juergen)
    backend.run(settled, max_, MailState.REFUSED)
    backend.update(erika, last_login_at=NOW - UNSEEN_FOR - timedelta(days=1))
    found = listed(NOW + timedelta(days=1, minutes=1))
    assert found["link-offen"] == ["K-1004"], "of the desk, not yet used"
    assert (found["unerreichbar"], found["lange-nicht-angemeldet"]) == (["K-1002"], ["K-1001"])
    assert "link-offen" not in listed(NOW + timedelta(days=3)), "the link has expired"


@pytest.mark.parametrize(
    ("later", "template", "listed_still"),
    [
        (MailState.SENT, "password_changed", False),
        (MailState.QUEUED, "password_changed", True),
        (MailState.BOUNCED, "password_changed", True),
        (MailState.SENT, "case_receipt", True),  # anyone can cause it
    ],
)
def test_an_address_is_unreachable_until_a_mail_is_taken(backend, listed, erika, later, template, listed_still):
    backend.run(settled, erika, MailState.REFUSED)
    backend.run(settled, erika, later, template)
    assert listed().get("unerreichbar", []) == ["K-1001"] * listed_still
    backend.update(erika, email_canonical="neu@schule.example")
    assert "unerreichbar" not in listed(), "the mails went to the address before"


def test_pages_neither_repeat_nor_skip_customers_of_the_same_second(app, backend):
    for number in range(ROWS_SHOWN + 5):
        backend.add(people.person({"number": f"L-{number}", "email": f"l{number}@x.example", "last_name": "x"}))
    with app.app_context():
        first = customer_lists.page(db.session(), "nie-aktiviert", NOW)
        second = customer_lists.page(db.session(), "nie-aktiviert", NOW, first[ROWS_SHOWN - 1].id)
    numbers = [row[0].number for row in [*first[:ROWS_SHOWN], *second]]
    assert numbers == [f"L-{number}" for number in range(ROWS_SHOWN + 5)]


def test_large_lists_are_not_counted_to_their_end(app, backend, monkeypatch):
    monkeypatch.setattr(customer_lists, "COUNTED", 2)
    for number in range(5):
        backend.add(people.person({"number": f"L-{number}", "email": f"l{number}@x.example", "last_name": "x"}))
    with app.app_context():
        assert (customer_lists.counts(db.session(), NOW)["nie-aktiviert"], COUNTED) == (3, 1000)


@pytest.mark.parametrize("read", ["counts", *LISTS, "undelivered"])
def test_every_list_is_read_from_its_index(app, backend, erika, read):
    """PostgreSQL would scan tables as small as these, so that is switched off."""
    queries = []
    with app.app_context():
        session = db.session()
        postgresql = session.get_bind().dialect.name == "postgresql"
        if postgresql:
            for switch in ("enable_seqscan", "enable_sort"):
                session.connection().exec_driver_sql(f"SET LOCAL {switch} = off")
        event.listen(db.engine, "before_cursor_execute", lambda *given: queries.append(given[2:4]))
        if read == "counts":
            customer_lists.counts(session, NOW)
        elif read == "undelivered":
            outbox.undelivered_lately(session, NOW)
        else:
            customer_lists.page(session, read, NOW, after=1)
        for statement, parameters in [one for one in queries if "FROM" in one[0]]:
            explain = "EXPLAIN " if postgresql else "EXPLAIN QUERY PLAN "
            rows = session.connection().exec_driver_sql(explain + statement, parameters).all()
            plan = "\n".join(str(tuple(row)) for row in rows)
            names = ("ix_customer_", "ix_account_link_open", "ix_outgoing_mail_undelivered", "ix_outgoing_mail_state")
            assert any(name in plan for name in names), plan
            assert not any(slow in plan for slow in ("Seq Scan", "Sort", "TEMP B-TREE")), plan


def test_the_last_login_is_stored_and_refuses_no_form_that_is_open(backend, log_in, erika, clock):
    version = backend.read(erika).version
    clock.shift(timedelta(hours=1))
    log_in(erika)
    read = backend.read(erika)
    assert (read.last_login_at, read.version) == (NOW + timedelta(hours=1), version)
