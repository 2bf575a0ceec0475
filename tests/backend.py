"""Does deeds as a request does them: each in a transaction and a session of its own.

What a test reads, it reads through yet another session, so whatever nobody committed is not seen.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from pyotp import TOTP
from sqlalchemy import Select, inspect, select
from sqlalchemy.orm import Session

from kmzportal.db import Base, db
from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.models.audit_event import AuditEvent
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.models.login_session import LoginSession
from kmzportal.models.outgoing_mail import OutgoingMail
from kmzportal.services import links, sessions
from kmzportal.services.passwords import check_password
from kmzportal.services.second_factor import SecondFactor
from kmzportal.services.transaction import Transaction, link_keys, transaction

MEET_WITHIN = 20  # seconds


class Backend:
    def __init__(self, app: Flask):
        self.app = app
        with app.app_context():
            self.keys = link_keys()

    @contextmanager
    def transaction(self, actor: str = "visitor", source: str | None = None) -> Iterator[Transaction]:
        """Open one unit of work in a session of its own, committed at the end."""
        with self.app.app_context(), transaction(actor, source) as tx:
            yield tx

    def run(self, deed: Callable[..., Any], *what: Any, actor: str = "visitor", source: str | None = None) -> Any:
        """Do one deed and return what it returns; people and links among `what` are read anew."""
        with self.transaction(actor, source) as tx:
            return deed(tx, *(_anew(tx.session, one) for one in what))

    def issue(self, kind: LinkKind, person: Any, email: str | None = None) -> AccountLink:
        """Write a link for somebody as a clerk does, and mail it."""
        link: AccountLink = self.run(links.issue, kind, person, email, "ro", actor="clerk:1")
        self.run(links.send, link)
        return link

    def add(self, thing: Base) -> Any:
        """Write somebody or something into the database as it is."""
        with self.transaction("console") as tx:
            tx.session.add(thing)
        return thing

    def read(self, thing: Any) -> Any:
        """Return the thing as it stands in the database now, or all that a select finds."""
        with self.app.app_context():
            return db.session.scalars(thing).all() if isinstance(thing, Select) else _anew(db.session(), thing)

    def log_in(
        self, address: str, password: str, source: str | None = None, table: sessions.PersonTable = Customer
    ) -> Any:
        """Log in as the web does and return the session's token, or None."""
        with self.app.app_context():
            known = sessions.find_password_hash(db.session(), address, table)
        check = check_password(password, known)
        new = self.run(sessions.log_in, address, check, "Firefox unter Windows", table, source=source)
        return new and new.token

    def add_second_factor(self, clerk: Clerk) -> SecondFactor:
        """Let a clerk have a second factor, none of whose codes was used yet, and return it."""
        with self.transaction("console") as tx:
            tx.session.get_one(Clerk, clerk.id).factor_nonce = f"nonce of {clerk.initials}"
        return SecondFactor(self.keys, f"nonce of {clerk.initials}")

    @staticmethod
    def totp_code(secret: str) -> str:
        """Return the code that an app with this secret shows at this moment."""
        return TOTP(secret.replace(" ", "")).at(datetime.now(UTC))

    def session_of(self, token: str) -> LoginSession | None:
        with self.app.app_context():
            return sessions.find(db.session(), token)

    def mails(self, *templates: str) -> list[OutgoingMail]:
        """Return what waits in the outbox in the order it was queued, of these templates or of all."""
        queued = self.read(select(OutgoingMail).order_by(OutgoingMail.id))
        return [mail for mail in queued if mail.template in templates or not templates]

    def actions(self) -> list[str]:
        """Return the names of all deeds on record, in their order."""
        return [event.action for event in self.read(select(AuditEvent).order_by(AuditEvent.id))]

    def run_concurrently(self, number: int, deed: Callable[..., Any], *what: Any) -> list[Any]:
        """Let so many do the same deed at the same time; return what each got: a result or an exception.

        On PostgreSQL all have begun and have read before the first one writes; SQLite lets one begin after another.
        At most 15 at once: so many connections has the pool.
        """
        meeting = threading.Barrier(number)

        def one(_: int) -> Any:
            try:
                with self.transaction() as tx:
                    mine = [_anew(tx.session, thing) for thing in what]
                    if tx.session.get_bind().dialect.name == "postgresql":
                        meeting.wait(MEET_WITHIN)
                    return deed(tx, *mine)
            except Exception as error:
                return error

        with ThreadPoolExecutor(number) as threads:
            return list(threads.map(one, range(number)))


def _anew(session: Session, thing: Any) -> Any:
    return session.get(type(thing), inspect(thing).identity) if isinstance(thing, Base) else thing
