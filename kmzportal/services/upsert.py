"""Writes that decide by themselves who was first; alike on both databases."""

from typing import Any

from sqlalchemy import Update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from kmzportal.domain.base import Base

INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def upsert(session: Session, table: type[Base], values: dict[str, Any], change: dict[str, Any]) -> None:
    """Insert `values`; where the primary key exists, apply `change` instead."""
    insert = INSERT[session.get_bind().dialect.name](table).values(values)
    keys = [column.name for column in table.__table__.primary_key]
    session.execute(insert.on_conflict_do_update(index_elements=keys, set_=change))


def insert_once(session: Session, table: type[Base], values: dict[str, Any]) -> bool:
    """Insert `values` and return True, or False when the primary key existed already."""
    insert = INSERT[session.get_bind().dialect.name](table).values(values).on_conflict_do_nothing()
    keys = list(table.__table__.primary_key)
    return session.execute(insert.returning(*keys)).first() is not None


def changed(session: Session, statement: Update) -> int:
    """Execute the statement and return how many rows met its condition."""
    result: Any = session.execute(statement)
    return int(result.rowcount)
