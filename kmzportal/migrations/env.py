"""How alembic runs the migrations: in one transaction, one process at a time.

On SQLite the transaction takes the write lock (BEGIN IMMEDIATE, see db.py), on PostgreSQL an advisory lock. A second
process waits, then finds nothing left to do. On SQLite foreign keys are off while tables are copied, and are checked
before the end.
"""

from pathlib import Path

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from kmzportal.db import NEWEST_VERSION, WRITES, UTCDateTime, db
from kmzportal.services import backup, restore

ADVISORY_LOCK = 4_761_526_001
LOCK_TIMEOUT = 600_000  # milliseconds


def render_item(kind, item, _context):
    """Write our own column type as the type that it has in the database."""
    return "sa.DateTime()" if kind == "type" and isinstance(item, UTCDateTime) else False


def skip_empty_version(_context, _revision, directives):
    """Write no version when the models have not changed."""
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def configure(**target):
    context.configure(
        **target,
        **current_app.extensions["migrate"].configure_args,
        target_metadata=db.metadata,
        render_item=render_item,
        process_revision_directives=skip_empty_version,
    )


def run_migrations(connection: Connection):
    """Run what is due, after a backup of a database that has tables."""
    configure(connection=connection)
    before = context.get_context().get_current_revision()
    backup.refuse_newer(before)
    target = context.get_context().opts.get("destination_rev")  # none for commands that migrate nothing
    due = target and before != {"head": NEWEST_VERSION}.get(target, target)
    kept = None
    if due and before:
        instance = Path(current_app.instance_path)
        kept = backup.create(instance, current_app.config, prune=not restore.is_pending(instance))
    context.run_migrations()
    if due:
        after = context.get_context().get_current_revision()
        saved = f", vorher gesichert in {kept}" if kept else ""
        print(f"Datenbank: {before or 'neu'} → {after}{saved}", flush=True)


def disable_foreign_keys(connection: Connection):
    connection.detach()  # closed at the end, so that no other user of the pool gets these pragmas
    raw = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    raw.execute(f"PRAGMA busy_timeout={LOCK_TIMEOUT}")


def check_foreign_keys(connection: Connection):
    if tables := {row[0] for row in connection.exec_driver_sql("PRAGMA foreign_key_check")}:
        raise RuntimeError(f"the migration leaves rows that point nowhere in {', '.join(sorted(tables))}")


if context.is_offline_mode():  # `db upgrade --sql` prints statements to be run by hand
    configure(url=db.engine.url, literal_binds=True)
    context.run_migrations()
else:
    with db.engine.connect().execution_options(**{WRITES: True}) as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite:
            disable_foreign_keys(connection)
        with connection.begin():
            if not sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            run_migrations(connection)
            if sqlite:
                check_foreign_keys(connection)
