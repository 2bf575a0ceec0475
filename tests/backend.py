"""Calls services as a web request does: each call in its own transaction, database session and app context.

What a test reads comes from yet another session, so it sees committed data only.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from pyotp import TOTP
from sqlalchemy import Select, inspect, select
from sqlalchemy.orm import Session

from kmzportal.db import Base, db
from kmzportal.models import AccountLink, AuditEvent, Clerk, Customer, LinkKind, LoginSession, OutgoingMail
from kmzportal.services import links, sessions
from kmzportal.services.passwords import check_password
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.transaction import Transaction, factor_keys, link_keys, transaction

BARRIER_TIMEOUT = 20  # seconds
THREAD_TIMEOUT = 60  # seconds; more than PostgreSQL's lock_timeout for several threads in turn


class Backend:
    def __init__(self, app: Flask):
        self.app = app
        with app.app_context():
            self.keys, self.factor_keys = link_keys(), factor_keys()

    @contextmanager
    def transaction(
        self, actor: str = "visitor", source: str | None = None, initials: str | None = None, device_token: str = ""
    ) -> Iterator[Transaction]:
        with self.app.app_context(), transaction(actor, source, initials, device_token=device_token) as tx:
            yield tx

    def run(self, function: Callable[..., Any], *arguments: Any, **context: Any) -> Any:
        """Call `function(tx, *arguments)` in one transaction, with `context` for `transaction`.

        Rows among the arguments are loaded anew.
        """
        with self.transaction(**context) as tx:
            return function(tx, *(_reload(tx.session, argument) for argument in arguments))

    def run_concurrently(self, number: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call the function in so many threads; return the result or the exception of each.

        On PostgreSQL all transactions have begun and read before the first one writes; SQLite lets one begin after
        another. At most 15, the size of the connection pool. Raises TimeoutError when a thread does not return.
        """
        barrier = threading.Barrier(number)
        results: list[Any] = [None] * number

        def run_in_step(tx: Transaction, *loaded: Any) -> Any:
            if tx.session.get_bind().dialect.name == "postgresql":
                barrier.wait(BARRIER_TIMEOUT)
            return function(tx, *loaded)

        def call(index: int) -> None:
            try:
                results[index] = self.run(run_in_step, *arguments)
            except Exception as error:
                results[index] = error

        _join([threading.Thread(target=call, args=(index,), daemon=True) for index in range(number)])
        return results

    def at_once(self, first: Callable[[threading.Event], Any], then: Callable[[], Any]) -> None:
        """Call `first` with an event in a thread, and `then` once it has set the event; both must come to their end."""
        begun, ended = threading.Event(), threading.Event()

        def call() -> None:
            first(begun)
            ended.set()

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        assert begun.wait(BARRIER_TIMEOUT)
        then()
        thread.join(THREAD_TIMEOUT)
        assert ended.is_set(), "the first has failed, or waits for ever"

    def add(self, row: Base) -> Any:
        """Insert a row as it is and return it."""
        with self.transaction("console") as tx:
            tx.session.add(row)
        return row

    def update(self, row: Base, **values: Any) -> None:
        """Write these values into the row, without any service."""
        with self.transaction("console") as tx:
            for name, value in values.items():
                setattr(_reload(tx.session, row), name, value)

    def read(self, wanted: Any) -> Any:
        """Return the row as it is in the database now, or all rows of a select."""
        with self.app.app_context():
            return db.session.scalars(wanted).all() if isinstance(wanted, Select) else _reload(db.session(), wanted)

    def log_in(
        self, address: str, password: str, source: str | None = None, table: sessions.PersonTable = Customer
    ) -> str | None:
        """Log in as the web does, the password checked outside of any transaction; return the token, or None."""
        known = self.run(sessions.attempt, address, table)
        checked = check_password(password, known.password_hash, throttled=known.throttled)
        new = self.run(sessions.log_in, address, checked, "Firefox unter Windows", table, source=source)
        return new.token if new else None

    def session_of(self, token: str | None) -> LoginSession | None:
        with self.app.app_context():
            return sessions.find(db.session(), token or "")

    def add_second_factor(self, clerk: Clerk) -> SecondFactor:
        """Give the clerk a second factor with no code used yet, and return it."""
        nonce = f"nonce of {clerk.initials}"
        self.update(clerk, factor_nonce=nonce)
        return SecondFactor(self.factor_keys, nonce)

    @staticmethod
    def totp_code(secret: str) -> str:
        """Return the code that an app with this secret shows now."""
        return TOTP(secret.replace(" ", "")).at(datetime.now(UTC))

    def issue(self, kind: LinkKind, person: Any, email: str | None = None) -> AccountLink:
        """Issue and mail a link as the clerk `ro`."""
        link: AccountLink = self.run(links.issue, kind, person, email, "ro", actor="clerk:1")
        self.run(links.send, link)
        return link

    def links(self, *kinds: LinkKind) -> list[AccountLink]:
        """Return the links of these kinds, or all, oldest first."""
        issued = self.read(select(AccountLink).order_by(AccountLink.issued_at, AccountLink.id))
        return [link for link in issued if link.kind in kinds or not kinds]

    def mails(self, *templates: str) -> list[OutgoingMail]:
        """Return the mails of these templates in the outbox, or all, oldest first."""
        queued = self.read(select(OutgoingMail).order_by(OutgoingMail.id))
        return [mail for mail in queued if mail.template in templates or not templates]

    def actions(self) -> list[str]:
        """Return the actions of all audit events, oldest first."""
        return [event.action for event in self.read(select(AuditEvent).order_by(AuditEvent.id))]


def _reload(session: Session, value: Any) -> Any:
    return session.get(type(value), inspect(value).identity) if isinstance(value, Base) else value


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(THREAD_TIMEOUT)
    if any(thread.is_alive() for thread in threads):
        raise TimeoutError
