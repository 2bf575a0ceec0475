"""How alembic runs the migrations: in one transaction, one process at a time.

On SQLite the transaction takes the write lock (BEGIN IMMEDIATE, see db.py), on PostgreSQL an advisory lock. A second
process waits, then finds nothing left to do. On SQLite foreign keys are off while tables are copied, and are checked
before the end.
"""

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from kmzportal.db import WRITES, UTCDateTime, db

ADVISORY_LOCK = 4_761_526_001
LOCK_TIMEOUT = 600_000  # milliseconds


def render_item(kind, item, _context):
    """Write our own column type as the type that it has in the database."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UTCDateTime) else False


def skip_empty_version(_context, _revision, directives):
    """Write no version when the models have not changed."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def run_migrations(**target):
    context.configure(
        **target,
        **current_app.extensions["migrate"].configure_args,
        target_metadata=db.metadata,
        render_item=render_item,
        process_revision_directives=skip_empty_version,
    )
    context.run_migrations()


def disable_foreign_keys(connection: Connection):
    connection.detach()  # closed at the end, so that no other user of the pool gets these pragmas
    raw = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    raw.execute(f"PRAGMA busy_timeout={LOCK_TIMEOUT}")


def check_foreign_keys(connection: Connection):
    if tables := {row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}:
        raise RuntimeError(f"the migration leaves rows that point nowhere in {', '.join(sorted(tables))}")


if context.is_offline_mode():  # `db upgrade --sql` prints statements to be run by hand
    run_migrations(url=db.engine.url, literal_binds=True)
else:
    with db.engine.connect().execution_options(**{WRITES: True}) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            disable_foreign_keys(connection)
        with connection.begin():
            if not sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            run_migrations(connection=connection)
            if sqlite:
                check_foreign_keys(connection)
