"""How alembic reaches our database: quietly, in one transaction, one process at a time.

On SQLite the transaction takes the write lock (BEGIN IMMEDIATE, see db.py), on PostgreSQL an advisory lock. Whoever
comes second waits, then finds nothing left to do. Foreign keys rest on SQLite while tables are copied, and are
checked before the end.
"""

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from kmzportal.db import WRITES, UTCDateTime, db

ADVISORY_LOCK = 4_761_526_001
WAIT_FOR_THE_OTHER = 600_000  # milliseconds


def render_item(kind, thing, autogen_context):
    """Write our own column type as what it is in the database."""
    return "sa.DateTime()" if kind == "type" and isinstance(thing, UTCDateTime) else False


def leave_out_what_is_empty(_context, _revision, directives):
    """Write no version when the models have not changed."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def settings():
    given = {**current_app.extensions["migrate"].configure_args}
    return given | {
        "target_metadata": db.metadata,
        "render_item": render_item,
        "process_revision_directives": leave_out_what_is_empty,
    }


def prepare(connection: Connection):
    if connection.dialect.name == "sqlite":
        connection.detach()  # closed at the end, so the pragmas reach nobody else
        raw = connection.connection.dbapi_connection
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute(f"PRAGMA busy_timeout={WAIT_FOR_THE_OTHER}")


def lock(connection: Connection):
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})


def check(connection: Connection):
    if connection.dialect.name == "sqlite":
        tables = {row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}
        if tables:
            raise RuntimeError(f"the migration leaves rows that point nowhere in {', '.join(sorted(tables))}")


def migrate():
    with db.engine.connect().execution_options(**{WRITES: True}) as connection:
        prepare(connection)
        with connection.begin():
            lock(connection)
            context.configure(connection=connection, **settings())
            context.run_migrations()
            check(connection)


def print_sql():
    """For `db upgrade --sql`, whose output somebody runs by hand."""
    context.configure(url=db.engine.url, literal_binds=True, **settings())
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    print_sql()
else:
    migrate()
