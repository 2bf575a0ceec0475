"""The database: SQLite by default, PostgreSQL when one machine is not enough; the same code for both."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, Connection, DateTime, Dialect, Engine, Integer, MetaData, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import JSON, TypeDecorator

VERSIONS = Path(__file__).parent / "migrations" / "versions"
NEWEST_VERSION = max(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))
BUSY_TIMEOUT = 10_000  # milliseconds
#: https://www.postgresql.org/docs/current/libpq-connect.html; PgBouncer gives each transaction another connection, on
#: which the statements that psycopg prepared before do not exist.
POSTGRES_OPTIONS = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 60,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds
    "prepare_threshold": None,
}
WRITES = "kmz_writes"  # execution option of a connection whose transaction will write


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. SQLite drops the time zone, so it is removed and put back here."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


class Base(DeclarativeBase):
    """The base of all tables. Constraints are named, so that migrations can change them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime, dict[str, Any]: JSON, list[int]: JSON, list[str]: JSON}


Id = Annotated[int, mapped_column(primary_key=True)]
BIG = BigInteger().with_variant(Integer, "sqlite")  # where every integer may have 64 bits

#: Objects stay readable after the commit, so a page is rendered without holding a connection.
#: Database errors are logged; the parameters of a statement hold addresses and hashes, so they are not.
#: Connections are tested before use, as a server restarts and firewalls drop those that are idle.
db = SQLAlchemy(
    metadata=Base.metadata,
    session_options={"expire_on_commit": False},
    engine_options={"hide_parameters": True, "pool_pre_ping": True},
)


@event.listens_for(Engine, "do_connect")
def _connect_to_postgres(dialect: Dialect, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
    """Notice dead connections soon, and work behind PgBouncer; what the URI says takes precedence."""
    if dialect.name == "postgresql":
        for name, value in POSTGRES_OPTIONS.items():
            options.setdefault(name, value)


@event.listens_for(Engine, "connect")
def _set_pragmas(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.isolation_level = None  # BEGIN is sent by _begin
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT}")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA journal_size_limit=4000000")  # bytes; the -wal file grows while pages are read


@event.listens_for(Engine, "begin")
def _begin(connection: Connection) -> None:
    """Take SQLite's write lock at the start: a read upgraded to a write fails at once when another wrote meanwhile."""
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def reason(error: SQLAlchemyError) -> str:
    """Return the first line of the driver's message; that of SQLAlchemy contains the parameters of the statement."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]


def close() -> None:
    """Close all connections of this process. The last one to SQLite writes its -wal file into the database."""
    db.session.remove()
    db.engine.dispose()


def schema_version() -> str | None:
    """Return the newest migration that has run, None without any; raises DBAPIError without a connection.

    Without alembic, which would take 11 MiB of memory in each web process.
    """
    connection = db.session.connection()
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def up_to_date() -> bool:
    """Return whether the newest migration has run; raises DBAPIError when the database cannot be reached."""
    return schema_version() == NEWEST_VERSION
