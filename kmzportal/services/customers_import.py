"""Customers from the office's list: all rows or none, and nothing overwritten that was changed here."""

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from kmzportal.db import Base
from kmzportal.models.account_link import AccountLink, LinkKind, LinkState
from kmzportal.models.customer import search_text
from kmzportal.services.customers_check import Row
from kmzportal.services.customers_file import COLUMNS
from kmzportal.services.customers_plan import Merge, Plan
from kmzportal.services.refusals import ChangedMeanwhile, Refusal
from kmzportal.services.transaction import Transaction

AT_ONCE = 1000  # rows
CUSTOMERS = Base.metadata.tables["customer"]
EVENTS = Base.metadata.tables["audit_event"]
BY_ID = CUSTOMERS.c.id == bindparam("_id")
AS_READ = BY_ID & (CUSTOMERS.c.version == bindparam("_version"))
ENDED_BY_AN_ADDRESS = (LinkKind.RECOVERY, LinkKind.DESK, LinkKind.ADDRESS)


class RowsRefused(Refusal):
    """Some rows cannot be imported, so none is."""


def carry_out(tx: Transaction, plan: Plan, tell: Callable[[int], object]) -> None:
    """Write what is planned, telling how many rows are done; raises RowsRefused or ChangedMeanwhile."""
    if plan.refused:
        raise RowsRefused
    try:
        for movers in _portions([merge for merge in plan.changed if merge.moves]):
            _free_addresses(tx, movers)
        for merges in _portions(plan.touched):
            _update(tx, merges)
            tell(len(merges))
        for rows in _portions(plan.new):
            _insert(tx, rows)
            tell(len(rows))
    except IntegrityError:
        raise ChangedMeanwhile from None


def _portions(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (things[start : start + AT_ONCE] for start in range(0, len(things), AT_ONCE))


def _free_addresses(tx: Transaction, movers: Sequence[Merge]) -> None:
    """Let go of the old addresses, that others in the file may take them, and of the links sent to them."""
    ids = [merge.stored.id for merge in movers]
    parked = [{"_id": id_, "email_canonical": f"import:{id_}"} for id_ in ids]
    tx.session.execute(update(CUSTOMERS).where(BY_ID), parked)
    tx.session.execute(
        update(AccountLink)
        .where(
            AccountLink.customer_id.in_(ids), AccountLink.ended_at.is_(None), AccountLink.kind.in_(ENDED_BY_AN_ADDRESS)
        )
        .values(ended_at=tx.now, ended_as=LinkState.WITHDRAWN)
    )


def _update(tx: Transaction, merges: Sequence[Merge]) -> None:
    """Write the rows unless one of them was saved by somebody else since it was read."""
    changes = update(CUSTOMERS).where(AS_READ).values(version=CUSTOMERS.c.version + 1)
    updated = tx.session.connection().execute(changes, [_changed_row(merge) for merge in merges])
    if updated.rowcount != len(merges):
        raise ChangedMeanwhile
    changed = [merge for merge in merges if merge.taken]
    events = [_event(tx, "data.imported", merge.stored.id, fields=list(merge.taken)) for merge in changed]
    if events:
        tx.session.execute(insert(EVENTS), events)


def _changed_row(merge: Merge) -> dict[str, Any]:
    stored = merge.stored
    fields = {name: merge.taken.get(name, getattr(stored, name)) for name in COLUMNS}
    words = search_text(SimpleNamespace(**fields, pending_email=stored.pending_email))
    canonical = merge.row.canonical if merge.moves else stored.email_canonical
    return fields | {
        "_id": stored.id,
        "_version": stored.version,
        "email_canonical": canonical,
        "imported": merge.imported,
        "search": words,
    }


def _insert(tx: Transaction, rows: Sequence[Row]) -> None:
    """Let new customers in, without a password: only a link gives them one (standards R014)."""
    tx.session.execute(insert(CUSTOMERS), [_new_row(tx, row) for row in rows])
    ids = select(CUSTOMERS.c.id).where(CUSTOMERS.c.number.in_([row.number for row in rows]))
    events = [_event(tx, "customer.imported", id_) for id_ in tx.session.scalars(ids)]
    tx.session.execute(insert(EVENTS), events)


def _new_row(tx: Transaction, row: Row) -> dict[str, Any]:
    fields = dict.fromkeys(COLUMNS, "") | row.values | {"number": row.number}
    return fields | {
        "search": search_text(SimpleNamespace(**fields, pending_email=None)),
        "email_canonical": row.canonical,
        "imported": row.values,
        "created_at": tx.now,
        "version": 1,
    }


def _event(tx: Transaction, action: str, customer_id: int, **details: Any) -> dict[str, Any]:
    return {
        "at": tx.now,
        "action": action,
        "actor": tx.actor,
        "customer_id": customer_id,
        "details": details,
        "source": tx.source,
    }
