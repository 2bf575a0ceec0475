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

from kmzportal.db import db
from kmzportal.domain.account_link import AccountLink, LinkKind
from kmzportal.domain.audit_event import AuditEvent
from kmzportal.domain.base import Base
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.outgoing_mail import OutgoingMail
from kmzportal.domain.passwords import prove
from kmzportal.domain.second_factor import SecondFactor
from kmzportal.services import account_link, login
from kmzportal.services.work import UnitOfWork
from kmzportal.unit_of_work import link_keys, unit_of_work

MEET_WITHIN = 20  # seconds


class Deeds:
    def __init__(self, app: Flask):
        self.app = app
        with app.app_context():
            self.keys = link_keys()

    @contextmanager
    def work(self, actor: str = "visitor", source: str | None = None) -> Iterator[UnitOfWork]:
        """Open one unit of work in a session of its own, committed at the end."""
        with self.app.app_context(), unit_of_work(actor, source) as work:
            yield work

    def do(self, deed: Callable[..., Any], *what: Any, actor: str = "visitor", source: str | None = None) -> Any:
        """Do one deed and return what it returns; people and links among `what` are read anew."""
        with self.work(actor, source) as work:
            return deed(work, *(_anew(work.session, one) for one in what))

    def issue(self, kind: LinkKind, person: Any, email: str | None = None) -> AccountLink:
        """Write a link for somebody as a clerk does, and mail it."""
        link: AccountLink = self.do(account_link.issue, kind, person, email, "ro", actor="clerk:1")
        self.do(account_link.send, link)
        return link

    def enter(self, thing: Base) -> Any:
        """Write somebody or something into the database as it is."""
        with self.work("console") as work:
            work.session.add(thing)
        return thing

    def read(self, thing: Any) -> Any:
        """Return the thing as it stands in the database now, or all that a select finds."""
        with self.app.app_context():
            return db.session.scalars(thing).all() if isinstance(thing, Select) else _anew(db.session(), thing)

    def log_in(self, address: str, password: str, source: str | None = None, table: login.Table = Customer) -> Any:
        """Log in as the web does: the hash is read first, the password proved outside of any transaction."""
        with self.app.app_context():
            known = login.password_hash_of(db.session(), address, table)
        return self.do(login.log_in, address, prove(password, known), "Firefox unter Windows", table, source=source)

    def give_factor(self, clerk: Clerk) -> SecondFactor:
        """Let a clerk have a second factor, none of whose codes was used yet, and return it."""
        with self.work("console") as work:
            work.session.get_one(Clerk, clerk.id).factor_nonce = f"nonce of {clerk.initials}"
        return SecondFactor(self.keys, f"nonce of {clerk.initials}")

    @staticmethod
    def app_shows(secret: str) -> str:
        """Return the code that an app with this secret shows at this moment."""
        return TOTP(secret.replace(" ", "")).at(datetime.now(UTC))

    def session_of(self, token: str) -> LoginSession | None:
        with self.app.app_context():
            return login.find_session(db.session(), token)

    def mails(self, *templates: str) -> list[OutgoingMail]:
        """Return what waits in the outbox in the order it was queued, of these templates or of all."""
        queued = self.read(select(OutgoingMail).order_by(OutgoingMail.id))
        return [mail for mail in queued if mail.template in templates or not templates]

    def history(self) -> list[str]:
        """Return the names of all deeds on record, in their order."""
        return [event.deed for event in self.read(select(AuditEvent).order_by(AuditEvent.id))]

    def at_once(self, number: int, deed: Callable[..., Any], *what: Any) -> list[Any]:
        """Let so many do the same deed at the same time; return what each got: a result or an exception.

        On PostgreSQL all have begun and have read before the first one writes; SQLite lets one begin after another.
        At most 15 at once: so many connections has the pool.
        """
        meeting = threading.Barrier(number)

        def one(_: int) -> Any:
            try:
                with self.work() as work:
                    mine = [_anew(work.session, thing) for thing in what]
                    if work.session.get_bind().dialect.name == "postgresql":
                        meeting.wait(MEET_WITHIN)
                    return deed(work, *mine)
            except Exception as error:
                return error

        with ThreadPoolExecutor(number) as threads:
            return list(threads.map(one, range(number)))


def _anew(session: Session, thing: Any) -> Any:
    return session.get(type(thing), inspect(thing).identity) if isinstance(thing, Base) else thing
