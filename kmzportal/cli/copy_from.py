"""kmzportal copy-from: move from SQLite to PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Connection, Table, create_engine, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from kmzportal.cli.fault import Fault
from kmzportal.db import NEWEST_VERSION, WRITES, db, reason
from kmzportal.migrations import upgrade
from kmzportal.services import outbox

ROWS_AT_ONCE = 1000


@click.command("copy-from")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_appcontext
def copy_from(file: Path) -> None:
    """Übernimmt alles aus der SQLite-Datei FILE in ein leeres PostgreSQL.

    Beenden Sie vorher das Portal und tragen Sie das PostgreSQL als SQLALCHEMY_DATABASE_URI ein.
    """
    if db.engine.dialect.name != "postgresql":
        raise Fault("SQLALCHEMY_DATABASE_URI nennt kein PostgreSQL. Tragen Sie es zuerst in instance/config.toml ein.")
    source = create_engine(f"sqlite:///{file}")
    try:
        # Writing transactions: no other process writes into either database until the end.
        with source.connect().execution_options(**{WRITES: True}) as old:
            _check(old, file)
            upgrade(current_app)
            with db.engine.begin() as new:
                number = sum(_copy(table, old, new) for table in db.metadata.sorted_tables)
    except DBAPIError as error:
        raise Fault(f"Es wurde nichts übernommen: {reason(error)}.") from None
    finally:
        source.dispose()
    click.echo(f"Übernommene Zeilen: {number}, in {len(db.metadata.sorted_tables)} Tabellen. Sie sind nachgezählt.")


def _check(old: Connection, file: Path) -> None:
    version = old.scalar(text("SELECT version_num FROM alembic_version"))
    if version != NEWEST_VERSION:
        raise Fault(f"{file} hat die Version {version}, nicht {NEWEST_VERSION}. Abhilfe dort: kmzportal db upgrade.")
    if not outbox.worker_silent(Session(old), datetime.now(UTC)):
        raise Fault(f"Mit {file} lief in der letzten Minute ein Portal. Beenden Sie es, und warten Sie eine Minute.")


def _copy(table: Table, old: Connection, new: Connection) -> int:
    """Copy all rows of a table, with their ids, and return how many; raises Fault when they are not all there."""
    if new.scalar(select(func.count()).select_from(table)):
        raise Fault(f"In PostgreSQL stehen schon Zeilen ({table.name}). Nehmen Sie eine leere Datenbank.")
    own = [column.name for column in table.columns if any(key.column.table is table for key in column.foreign_keys)]
    linked = []  # rows that refer to rows of the same table, maybe to later ones
    with _without_indexes(table, new):
        for rows in old.execute(select(table).order_by(*table.primary_key)).mappings().partitions(ROWS_AT_ONCE):
            new.execute(insert(table), [{**row, **dict.fromkeys(own)} for row in rows])
            linked += [row for row in rows if any(row[name] for name in own)]
    for row in linked:
        new.execute(update(table).where(table.c.id == row["id"]).values({name: row[name] for name in own}))
    _continue_ids(table, old, new)
    counts = [connection.scalar(select(func.count()).select_from(table)) or 0 for connection in (old, new)]
    if counts[0] != counts[1]:
        raise Fault(f"{table.name}: von {counts[0]} Zeilen kamen {counts[1]} an. Es wurde nichts übernommen.")
    return counts[0]


@contextmanager
def _without_indexes(table: Table, new: Connection) -> Iterator[None]:
    """Make the indexes after the rows, which is four times as quick."""
    for index in table.indexes:
        index.drop(new)
    yield
    for index in table.indexes:
        index.create(new)


def _continue_ids(table: Table, old: Connection, new: Connection) -> None:
    """Let PostgreSQL continue after the last id, deleted ones included: an id is never used again."""
    if "id" in table.c:
        used = old.scalar(text("SELECT max(seq) FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
        last = max(used or 0, old.scalar(select(func.max(table.c.id))) or 0)
        if last:
            new.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "id"), last)))
