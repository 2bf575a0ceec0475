"""Whoever is at the other end: nobody known, a customer, or a clerk."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any, cast

from flask import abort, current_app, g, request, session
from flask_login import LoginManager, current_user, login_user

from kmzportal.db import db
from kmzportal.models.clerk import Clerk
from kmzportal.models.customer import Customer
from kmzportal.models.login_session import LoginSession
from kmzportal.models.person import Person
from kmzportal.services import sessions
from kmzportal.services.transaction import Transaction, transaction
from kmzportal.web.responses import wants_fragment

login_manager = LoginManager()
login_manager.session_protection = None  # sessions live in the database; phones change their address

LOGIN_ENDPOINT, STAFF_LOGIN_ENDPOINT = (
    "login.login",
    "desk_login.login",
)  #: the endpoints where customers and clerks log in


class AuthenticatedUser:
    """A person in a living session, as Flask-Login sees it; its id is the session's token."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, token: str, login_session: LoginSession):
        self.token = token
        self.login_session = login_session

    def get_id(self) -> str:  # the name is Flask-Login's
        return self.token

    @property
    def person(self) -> Customer | Clerk:
        return cast("Customer | Clerk", self.login_session.customer or self.login_session.clerk)

    @property
    def customer(self) -> Customer:
        """The customer; only behind customer_only."""
        return cast(Customer, self.login_session.customer)

    @property
    def clerk(self) -> Clerk:
        """The clerk; only behind clerk_only and admin_only."""
        return cast(Clerk, self.login_session.clerk)

    @property
    def initials(self) -> str | None:
        return self.login_session.clerk.initials if self.login_session.clerk else None

    @property
    def actor(self) -> str:
        """The actor in history and audit."""
        return self.login_session.actor

    @property
    def home_endpoint(self) -> str:
        """The endpoint of the page on which this visitor begins."""
        return "customers.start" if self.login_session.clerk else "account.overview"

    @property
    def login_endpoint(self) -> str:
        """The endpoint of the page on which this visitor logs in."""
        return STAFF_LOGIN_ENDPOINT if self.login_session.clerk else LOGIN_ENDPOINT


class AnonymousUser:
    is_authenticated = False
    is_active = False
    is_anonymous = True
    actor = "visitor"

    def get_id(self) -> None:
        return None


login_manager.anonymous_user = AnonymousUser
current_user: Any = current_user


def load_user(token: str) -> AuthenticatedUser | None:
    """Return the visitor of a living session; the page is then drawn without holding a connection."""
    if "act_as_anonymous" in g:
        return None
    g.session_token = token
    now = datetime.now(UTC)
    login_session = sessions.find(db.session(), token)
    db.session.commit()
    if (
        login_session is None
        or login_session.awaits_code
        or not login_session.alive(now)
        or cast(Person, login_session.customer or login_session.clerk).locked_at
    ):
        return None
    found = AuthenticatedUser(token, login_session)
    if now - login_session.last_seen > sessions.TOUCH_INTERVAL and not _is_background_poll():
        with transaction(found.actor) as tx:
            sessions.touch(tx, login_session.id)
    return found


login_manager.user_loader(load_user)


def _is_background_poll() -> bool:
    return getattr(current_app.view_functions.get(request.endpoint or ""), "background_poll", False)


def act_as_anonymous() -> None:
    """Render this answer as for a stranger: the database cannot be asked whose session it is."""
    g.act_as_anonymous = True


def shown_visitor() -> Any:
    """Return the visitor for templates."""
    return AnonymousUser() if "act_as_anonymous" in g else current_user


def presented_token() -> str | None:
    """Return the session token that came with this request, whether or not its session is still alive."""
    token: str | None = g.get("session_token")
    return token


def sign_in(token: str) -> None:
    """Let the browser carry the token; all it carried before is dropped but the links it opened."""
    links = session.get("links")
    kept = session.get("kept_form")
    clear_session()
    session.update({key: value for key, value in (("links", links), ("kept_form", kept)) if value})
    store_session_token(token)


def store_session_token(token: str) -> None:
    """Put the session's token into the cookie; Flask-Login keeps it as the user's id.

    Of a clerk whose code is still due it is carried apart: to Flask-Login this is nobody yet.
    """
    login_session = sessions.find(db.session(), token)
    if login_session and login_session.awaits_code:
        session["awaits_code"] = token
    elif login_session:
        login_user(AuthenticatedUser(token, login_session))
    db.session.commit()


def clear_session() -> None:
    """Empty the cookie, with the secret that forms are bound to."""
    session.clear()
    g.pop("csrf_token", None)


@contextmanager
def user_transaction(first: Callable[[Transaction], None] = lambda _: None) -> Iterator[Transaction]:
    """Yield a unit of work on the visitor's behalf, locked after `first` is; raises SessionOver if it just ended."""
    with transaction(current_user.actor, source(), current_user.initials) as tx:
        first(tx)
        sessions.ensure_alive(tx, current_user.login_session)
        yield tx


View = Callable[..., Any]


def background_poll(view: View) -> View:
    """Declare that the page asks by itself, not its reader: it keeps no session alive (standards R094)."""
    view.background_poll = True  # type: ignore[attr-defined]
    return view


def anyone(view: View) -> View:
    """Declare that the view is for everybody."""
    view.access = "anyone"  # type: ignore[attr-defined]
    return view


def _require(access: str, admits: Callable[[LoginSession], object], view: View, door: str = LOGIN_ENDPOINT) -> View:
    """Let in whom the session admits, send strangers to log in at this door first, and everybody else away."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not current_user.is_authenticated and getattr(view, "background_poll", False) and wants_fragment():
            return "", 204  # nobody asked: what is being typed beside it must not be swept away
        if not current_user.is_authenticated:
            return login_manager.unauthorized()
        return view(*args, **kwargs) if admits(current_user.login_session) else abort(403)

    guarded.access = access  # type: ignore[attr-defined]
    guarded.login_endpoint = door  # type: ignore[attr-defined]
    return guarded


def customer_only(view: View) -> View:
    return _require("customer", lambda login_session: login_session.customer, view)


def clerk_only(view: View) -> View:
    return _require("clerk", lambda login_session: login_session.clerk, view, STAFF_LOGIN_ENDPOINT)


def admin_only(view: View) -> View:
    return _require(
        "admin", lambda login_session: login_session.clerk and login_session.clerk.admin, view, STAFF_LOGIN_ENDPOINT
    )


WITH_PORT = re.compile(r"^(\[.+\]|[\d.]+):\d+$")  # some proxies hand the port on


def source() -> str | None:
    """Return the address block a request comes from: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(WITH_PORT.sub(r"\1", request.remote_addr or "").strip("[]"))
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def device() -> str:
    """Return a coarse name of the browser, such as "Firefox unter Windows"."""
    agent = request.user_agent.string
    browsers = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    systems = {"Android": "Android", "iPhone": "iOS", "iPad": "iOS", "Windows": "Windows", "Mac OS": "macOS"}
    browser = next((name for sign, name in browsers.items() if sign in agent), "Browser")
    system = next((name for sign, name in {**systems, "Linux": "Linux"}.items() if sign in agent), None)
    return f"{browser} unter {system}" if system else browser
