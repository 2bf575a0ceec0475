"""The move from SQLite to PostgreSQL."""

import pytest
from sqlalchemy import create_engine, make_url, select, text

from kmzportal import create_app
from kmzportal.cli import cli
from kmzportal.db import db
from kmzportal.migrations import upgrade
from kmzportal.models import AuditEvent, Customer, LinkKind, SupportCase
from kmzportal.server import worker
from kmzportal.services import audit_chain, deletion, links, outbox, support
from kmzportal.services.transaction import transaction
from tests import people


@pytest.fixture
def build(tmp_path):
    """Return a function that makes an application with this database; all use the same keys."""
    apps = []

    def build(uri=""):
        apps.append(create_app({"SQLALCHEMY_DATABASE_URI": uri or f"sqlite:///{tmp_path}/kmzportal.db"}, tmp_path))
        return apps[-1]

    yield build
    for app in apps:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def postgres(build, postgres_uri):
    """An application with an empty database."""
    engine = create_engine(postgres_uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS target"))
        connection.execute(text("CREATE DATABASE target"))
    engine.dispose()
    return build(make_url(postgres_uri).set(database="target").render_as_string(hide_password=False))


@pytest.fixture
def sqlite(build):
    """An application whose database has a bit of everything."""
    app = build()
    upgrade(app)
    with app.app_context():
        with transaction("console") as tx:
            erika, max_ = people.person(people.ERIKA), people.person(people.MAX)
            tx.session.add_all([erika, max_, people.person(people.ROSA)])
            tx.session.flush()
            links.send(tx, links.issue(tx, LinkKind.DESK, erika))
            cases = [support.open_case(tx, "other", "form", f"k{number}@schule.example", "Frage") for number in "12"]
            tx.session.flush()
            cases[0].merged_into = cases[1]  # a row that refers to a later one
        with transaction("console") as tx:
            deletion.delete_customer(
                tx, tx.session.get_one(Customer, max_.id), max_.version, "Wunsch", loans_open=False
            )
    return app


def rows(app):
    with app.app_context(), db.engine.connect() as connection:
        return {
            table.name: sorted(connection.execute(select(table)).all(), key=repr) for table in db.metadata.sorted_tables
        }


def copy(app, folder):
    return app.test_cli_runner().invoke(cli, ["copy-from", str(folder / "kmzportal.db")])


def test_all_rows_move_and_ids_continue(sqlite, postgres, tmp_path):
    with sqlite.app_context():
        worker.chain_events()
    result = copy(postgres, tmp_path)
    assert result.exit_code == 0, result.output
    moved = rows(postgres)
    assert moved == rows(sqlite)
    assert f"Übernommene Zeilen: {sum(map(len, moved.values()))}, in {len(moved)} Tabellen." in result.output
    with postgres.app_context(), transaction("console") as tx:
        assert tx.session.scalar(select(SupportCase.merged_into_id).where(SupportCase.merged_into_id.is_not(None)))
        tx.session.add(tim := people.person(people.ANNELIESE))
        tx.record("login.succeeded")
        tx.session.flush()
        assert tim.id == 3, "the id of the deleted customer is not used again"
        assert len(tx.session.scalars(select(AuditEvent)).all()) == len(moved["audit_event"]) + 1
    with postgres.app_context():
        worker.chain_events()
        verdict = audit_chain.verify(db.session(), postgres.config)
        assert (verdict.fault, verdict.number) == (None, len(moved["audit_event"]) + 1)
    again = copy(postgres, tmp_path)
    assert (again.exit_code, "Nehmen Sie eine leere Datenbank." in again.output) == (1, True)


def test_nothing_moves_from_a_portal_that_runs_is_older_or_into_sqlite(sqlite, postgres, tmp_path):
    into_sqlite = copy(sqlite, tmp_path)
    assert (into_sqlite.exit_code, "nennt kein PostgreSQL" in into_sqlite.output) == (1, True)
    with sqlite.app_context(), transaction("worker") as tx:
        for loop in outbox.MAIL_LOOPS:
            outbox.record_heartbeat(tx, loop)
    running = copy(postgres, tmp_path)
    assert (running.exit_code, "lief in der letzten Minute ein Portal" in running.output) == (1, True)
    with sqlite.app_context(), db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    older = copy(postgres, tmp_path)
    assert (older.exit_code, "hat die Version 0001" in older.output) == (1, True)
