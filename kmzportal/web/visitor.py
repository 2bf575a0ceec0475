"""Whoever is at the other end: nobody known, a customer, or a clerk."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from flask import current_app, g, request, session
from flask_login import LoginManager, current_user, login_user

from kmzportal.db import db
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.customer import Customer
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.person import Person
from kmzportal.services import login
from kmzportal.services.work import UnitOfWork
from kmzportal.unit_of_work import unit_of_work
from kmzportal.web.origin import source

login_manager = LoginManager()
login_manager.session_protection = None  # sessions live in the database; phones change their address

DOOR, STAFF_DOOR = "login.login", "staff_login.login"  #: the endpoints where customers and clerks log in


class Visitor:
    """A person in a living session, as Flask-Login sees it; its id is the session's token."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, token: str, here: LoginSession):
        self.token = token
        self.here = here

    def get_id(self) -> str:  # the name is Flask-Login's
        return self.token

    @property
    def person(self) -> Customer | Clerk:
        return cast("Customer | Clerk", self.here.customer or self.here.clerk)

    @property
    def customer(self) -> Customer:
        """The customer; only behind customer_only."""
        return cast(Customer, self.here.customer)

    @property
    def clerk(self) -> Clerk:
        """The clerk; only behind clerk_only and admin_only."""
        return cast(Clerk, self.here.clerk)

    @property
    def initials(self) -> str | None:
        return self.here.clerk.initials if self.here.clerk else None

    @property
    def name(self) -> str:
        """The actor in history and audit."""
        return self.here.actor

    @property
    def home(self) -> str:
        """The endpoint of the page on which this visitor begins."""
        return "desk.start" if self.here.clerk else "account.overview"

    @property
    def door(self) -> str:
        """The endpoint of the page on which this visitor logs in."""
        return STAFF_DOOR if self.here.clerk else DOOR


class Stranger:
    is_authenticated = False
    is_active = False
    is_anonymous = True
    name = "visitor"

    def get_id(self) -> None:
        return None


login_manager.anonymous_user = Stranger
visitor: Any = current_user


def recognise(token: str) -> Visitor | None:
    """Return the visitor of a living session; the page is then drawn without holding a connection."""
    now = datetime.now(UTC)
    here = login.find_session(db.session(), token)
    db.session.commit()
    if here is None or here.awaits_code or not here.alive(now) or cast(Person, here.customer or here.clerk).locked_at:
        return None
    found = Visitor(token, here)
    if now - here.last_seen > login.SEEN_AT_MOST_EVERY and not _is_quiet():
        with unit_of_work(found.name) as work:
            login.touch(work, here.id)
    return found


login_manager.user_loader(recognise)


def _is_quiet() -> bool:
    return getattr(current_app.view_functions.get(request.endpoint or ""), "quiet", False)


def nobody() -> None:
    """Draw this answer as for a stranger: the database cannot be asked who it is."""
    g._login_user = Stranger()  # where Flask-Login keeps it


def welcome(token: str) -> None:
    """Let the browser carry the token; all it carried before is dropped but the links it opened."""
    links = session.get("links")
    kept = session.get("kept_form")
    forget()
    session.update({key: value for key, value in (("links", links), ("kept_form", kept)) if value})
    carry(token)


def carry(token: str) -> None:
    """Put the session's token into the cookie; Flask-Login keeps it as the user's id.

    Of a clerk whose code is still due it is carried apart: to Flask-Login this is nobody yet.
    """
    here = login.find_session(db.session(), token)
    if here and here.awaits_code:
        session["awaits_code"] = token
    elif here:
        login_user(Visitor(token, here))
    db.session.commit()


def forget() -> None:
    """Empty the cookie, with the secret that forms are bound to."""
    session.clear()
    g.pop("csrf_token", None)


@contextmanager
def visitors_work(first: Callable[[UnitOfWork], None] = lambda _: None) -> Iterator[UnitOfWork]:
    """Yield a unit of work on the visitor's behalf, locked after `first` is; raises SessionOver if it just ended."""
    with unit_of_work(visitor.name, source(), visitor.initials) as work:
        first(work)
        login.still_here(work, visitor.here)
        yield work
