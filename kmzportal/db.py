"""The database: SQLite by default, PostgreSQL when outgrown; the same code for both."""

import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Engine, event

from kmzportal.models.base import Base

#: Objects stay readable after their transaction has ended, so a page is drawn without holding a connection.
#: Errors are logged, and the values of a statement are addresses and hashes.
db = SQLAlchemy(
    metadata=Base.metadata,
    session_options={"expire_on_commit": False},
    engine_options={"hide_parameters": True},
)
MIGRATIONS = Path(__file__).parent / "migrations"
migrate = Migrate(db=db, directory=str(MIGRATIONS), render_as_batch=True, compare_type=True)

BUSY_TIMEOUT = 10_000  # milliseconds
WRITES = "kmz_writes"


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        for pragma in (
            "journal_mode=WAL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT}",
            "synchronous=NORMAL",
        ):
            connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a read that is upgraded later fails at once when another wrote."""
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def up_to_date() -> bool:
    """Whether the tables are as this code wants them; raises DBAPIError where there is no database to ask."""
    return MigrationContext.configure(db.session.connection()).get_current_revision() == _newest_revision()


@cache
def _newest_revision() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()
