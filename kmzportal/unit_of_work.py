"""Opens and commits one transaction on someone's behalf, for views, console and worker alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import current_app
from sqlalchemy.orm.exc import StaleDataError

from kmzportal.db import WRITES, db
from kmzportal.domain.account_link import LinkKeys
from kmzportal.domain.refusals import ChangedMeanwhile, Refusal
from kmzportal.services.work import UnitOfWork

T = TypeVar("T")


@contextmanager
def unit_of_work(actor: str, source: str | None = None, initials: str | None = None) -> Iterator[UnitOfWork]:
    """Yield a UnitOfWork; commit it at the end.

    A Refusal rolls back what was done, writes its record in a second small transaction, and goes on up.
    Anything else rolls all of it back. Two who save the same record: the second gets ChangedMeanwhile.
    """
    try:
        with _transaction(actor, source, initials) as work:
            yield work
    except StaleDataError:
        raise ChangedMeanwhile from None
    except Refusal as refusal:
        if refusal.record:
            with _transaction(actor, source, initials) as work:
                work.record(refusal.record, refusal.about, **refusal.details)
        raise


@contextmanager
def _transaction(actor: str, source: str | None, initials: str | None) -> Iterator[UnitOfWork]:
    session = db.session()
    session.rollback()  # a read that is still open would be older than what we are about to lock
    session.expire_all()
    session.connection(execution_options={WRITES: True})
    try:
        yield UnitOfWork(session, datetime.now(UTC), actor, link_keys(), current_app.config, source, initials)
        session.commit()
    except BaseException:
        session.rollback()
        raise


def outside_transaction(hashing: Callable[..., T], *args: Any) -> T:
    """End the read that is open and run what takes long, so that no connection waits for it."""
    db.session.commit()
    return hashing(*args)


def link_keys() -> LinkKeys:
    keys: Any = current_app.config
    return LinkKeys([keys["LINK_KEY"], *keys["LINK_KEY_FALLBACKS"]])
