"""Authentication and access control: the session cookie, login, and decorators of views."""

import ipaddress
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, Request, Response, abort, after_this_request, current_app, g, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_login import AnonymousUserMixin, LoginManager, UserMixin, login_user
from flask_login import current_user as flask_login_user
from itsdangerous import BadSignature
from markupsafe import escape
from werkzeug.exceptions import Forbidden
from werkzeug.urls import iri_to_uri

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.models import Clerk, Customer, LoginSession, Person
from kmzportal.services import accounts, devices, passwords, sessions
from kmzportal.services.refusals import ChangedMeanwhile, Refusal, SessionOver
from kmzportal.services.sessions import NewSession, PersonTable
from kmzportal.services.shares import Concurrency, Holder, Pace
from kmzportal.services.transaction import Transaction, require_none, transaction
from kmzportal.web import cookie
from kmzportal.web.forms import PortalForm, restore_input, save_input
from kmzportal.web.responses import local_path, redirect_to, wants_fragment

log = logging.getLogger(__name__)
login_manager = LoginManager()
login_manager.session_protection = None  # sessions are in the database; phones change their IP address

LOGIN_ENDPOINT = "login.login"  #: where customers log in
STAFF_LOGIN_ENDPOINT = "desk_login.login"  #: where clerks log in

LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
ANY_HOST = {"health.healthz", "health.readyz", "health.figures"}  #: monitoring may not know the public host name
FOREIGN = """<!DOCTYPE html><html lang="de"><head><meta charset="utf-8"><title>Falsche Adresse</title></head><body>
<h1>Diese Seite gibt es hier nicht</h1>
<p>Bitte rufen Sie das Portal unter seiner eigenen Adresse auf: {}</p></body></html>"""
#: Of a source over its limit a login begins every 3 s in each process; few wait, as each occupies a thread.
slow_logins = Pace(3, each=2, most=4)
Result = TypeVar("Result")
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


class CookieSessions(SecureCookieSessionInterface):
    """Flask's signed cookie, whose own age does not count: that of its sessions and links is in rows and entries.

    Flask would remove a cookie for good that was signed by another host whose clock is a second ahead.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        serializer = self.get_signing_serializer(app)
        try:
            cookie = request.cookies.get(self.get_cookie_name(app), "")
            return self.session_class(serializer.loads(cookie)) if serializer and cookie else self.session_class()
        except BadSignature:
            return self.session_class()


def init_app(app: Flask) -> None:
    app.session_interface = CookieSessions()
    login_manager.init_app(app)
    app.before_request(warn_of_ignored_proxy)
    app.before_request(refuse_other_hosts)
    app.before_request(refuse_other_sites)
    app.context_processor(lambda: {"current_user": AnonymousUser() if "act_as_anonymous" in g else current_user})


def warn_of_ignored_proxy() -> None:
    """Log when a proxy in front is not trusted: behind it all people would share one source address."""
    if "X-Forwarded-For" in request.headers and not current_app.config["PROXY_HOPS"]:
        warn_hourly("proxy", "X-Forwarded-For kommt an, aber PROXY_HOPS ist 0. Hinter einem Proxy: PROXY_HOPS = 1")


def warn_hourly(about: str, message: str, *values: object) -> None:
    """Log a warning at most once an hour in each process; whoever sends requests must not fill the log."""
    warned: dict[str, float] = current_app.extensions.setdefault("warned", {})
    if time.monotonic() >= warned.get(about, 0):
        warned[about] = time.monotonic() + 3600
        log.warning(message, *values)


def refuse_other_hosts() -> Response | None:
    """Respond only to the host of PUBLIC_URL, or without PUBLIC_URL only to loopback names, which are all the same.

    The scheme's own port and the dot at the end of a complete name mean the same host (RFC 9110, 4.2.3; RFC 1034, 3.1).
    """
    public_url = current_app.config["PUBLIC_URL"]
    scheme, netloc = urlsplit(public_url)[:2]
    name, port = _host_and_port(request.headers.get("Host", ""))
    own_port = {"http": "80", "https": "443"}.get(scheme, "")
    own_name, given_port = _host_and_port(netloc.rpartition("@")[2])
    same_name = name == own_name or {name, own_name} <= LOOPBACK
    same = same_name and (port or own_port) == (given_port or own_port)
    known = same if public_url else name in LOOPBACK
    if known or request.endpoint in ANY_HOST:
        return None
    host = request.headers.get("Host", "")
    warn_hourly("host", "Anfragen an %.100r werden abgewiesen, denn PUBLIC_URL ist %s.", host, public_url)
    return Response(FOREIGN.format(escape(public_url)), 400)


def _host_and_port(host: str) -> tuple[str, str]:
    name, _, port = host.casefold().rpartition(":")
    name, port = (name, port) if port.isdecimal() or host.endswith(":") else (host.casefold(), "")
    return name.removesuffix("."), port


def refuse_other_sites() -> None:
    """Refuse forms of other sites by Sec-Fetch-Site, or by Origin where browsers do not send it."""
    if request.method not in UNSAFE:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "null")
    if site in ("cross-site", "same-site") if site else origin not in ("null", current_app.config["PUBLIC_URL"]):
        abort(403)


class AuthenticatedUser(UserMixin):  # type: ignore[misc]
    """A customer or clerk with an active login session. Flask-Login keeps the session's token as the user's id."""

    def __init__(self, token: str, login_session: LoginSession):
        self.id = token
        self.login_session = login_session
        #: Read with the token. After a wait for a lock the row is read again, and may hold a proof that came with a
        #: new token: it must not admit a request with a stolen cookie that waited.
        self.proved_at = login_session.password_checked_at

    def proved_within(self, seconds: int) -> bool:
        """Return whether password or second factor was confirmed in this session in the last seconds."""
        return self.proved_at is not None and (datetime.now(UTC) - self.proved_at).total_seconds() < seconds

    def logged_in_within(self, seconds: int) -> bool:
        """Return whether the session began in the last seconds."""
        return (datetime.now(UTC) - self.login_session.started_at).total_seconds() < seconds

    @property
    def person(self) -> Customer | Clerk:
        return cast("Customer | Clerk", self.login_session.customer or self.login_session.clerk)

    @property
    def customer(self) -> Customer:
        """The customer; only in views with customer_only."""
        return cast(Customer, self.login_session.customer)

    @property
    def clerk(self) -> Clerk:
        """The clerk; only in views with clerk_only or admin_only."""
        return cast(Clerk, self.login_session.clerk)

    @property
    def initials(self) -> str | None:
        return self.login_session.clerk.initials if self.login_session.clerk else None

    @property
    def actor(self) -> str:
        return self.login_session.actor

    @property
    def holder(self) -> Holder:
        """The session as a holder of turns: not the person, whose turns a stolen session would take."""
        return Holder(f"session:{self.login_session.id}", known=True)

    @property
    def home_endpoint(self) -> str:
        """The endpoint of the first page after the login."""
        return "search.start" if self.login_session.clerk else "account.overview"


class AnonymousUser(AnonymousUserMixin):  # type: ignore[misc]
    actor = "visitor"  #: the name in history and audit


login_manager.anonymous_user = AnonymousUser
current_user: Any = flask_login_user


@login_manager.user_loader  # type: ignore[untyped-decorator]
def load_user(token: str) -> AuthenticatedUser | None:
    """Return the user of an active session, or None. Returns the connection to the pool before rendering."""
    if "act_as_anonymous" in g:
        return None
    now = datetime.now(UTC)
    require_none(db.session())
    login_session = sessions.find(db.session(), token)
    db.session.commit()
    if (
        login_session is None
        or login_session.awaits_code
        or not login_session.alive(now)
        or cast(Person, login_session.customer or login_session.clerk).locked_at
    ):
        g.ended_session = login_session  # or None, if it is unknown; see ask_to_log_in
        return None
    user = AuthenticatedUser(token, login_session)
    if now - login_session.last_seen > sessions.TOUCH_INTERVAL and not is_background_poll():
        with transaction(user.actor) as tx:
            sessions.touch(tx, LoginSession, login_session.id)
    return user


def act_as_anonymous() -> None:
    """Render this response without loading the user from the database."""
    g.act_as_anonymous = True


def log_in(email: str, password: str, table: PersonTable) -> NewSession | None:
    """Return a new session for the right password, else None. The hash is compared outside of any transaction.

    Raises TooBusy, or SourceBusy for a source over its limit.
    """
    with transaction("visitor", source(), lock_now=False, device_token=device_token()) as tx:
        attempt = sessions.attempt(tx, email, table)
    # Without a source, requests share by address: those behind a proxy that is not trusted all have none.
    holder = holder_of_source(mail_address.canonical(email))
    if attempt.slow:
        wait_for_slow_turn(mail_address.canonical(email))
    if attempt.known:  # not the device: a login without its cookie makes another one
        holder = Holder(attempt.known, known=True)
    check = passwords.check_password(password, attempt.password_hash, holder, attempt.throttled)
    with transaction("visitor", source(), device_token=device_token()) as tx:
        new = sessions.log_in(tx, email, check, device(), table)
        if new is None and table is Customer:
            cookie.keep_address(tx, email)  # filled in at Passwort vergessen
    return new


def wait_for_slow_turn(name: str) -> None:
    """Wait until it is the turn of this source, which is over its limit, or of `name` without one; raises SourceBusy.

    Sources of earlier logins wait apart: strangers with slow sources of their own must not keep a school out.
    """
    with transaction("visitor", source(), lock_now=False) as tx:
        known = sessions.is_known_source(tx.session, tx.keys, tx.source, tx.now)
    slow_logins.wait(holder_of_source(name)._replace(known=known))


def check_own_password(typed: str) -> NewSession | None:
    """Return the user's session with a new token if this is the current password, else None; raises TooBusy."""
    person, login_session, known = current_user.person, current_user.login_session, current_user.person.password_hash
    with transaction(current_user.actor, source(), lock_now=False) as tx:
        throttled = accounts.confirmation_is_throttled(tx, login_session)
    if throttled:  # takes no turn: a stolen session could fill the places of its owner, who logs in elsewhere
        check = passwords.PasswordCheck(None, matches=False, throttled=True)
    else:
        check = passwords.check_password(typed, known, Holder(current_user.actor, known=True))
    with user_transaction() as tx:
        return accounts.check_current_password(tx, person, login_session, check)


def sign_in(new: NewSession) -> None:
    """Clear the cookie and store a new session; saved input and open links that set no password of hers are kept."""
    with transaction("visitor") as tx:
        cookie.end_visits(tx, new.login_session.customer or new.login_session.clerk)
        cookie.forget(tx, cookie.ADDRESS, cookie.REQUEST, cookie.CASE)
    kept = {key: session[key] for key in (cookie.VISITS, cookie.SAVED_FORM) if key in session}
    clear_session()
    session.update(kept)
    store_session(new)
    if new.device_token:
        set_device_cookie(new.device_token)


def set_device_cookie(token: str) -> None:
    @after_this_request
    def set_cookie(response: Response) -> Response:
        config = current_app.config
        kept = {"max_age": devices.KEPT, "secure": config["SESSION_COOKIE_SECURE"], "httponly": True, "samesite": "Lax"}
        response.set_cookie(config["DEVICE_COOKIE_NAME"], token, **kept)
        return response


def device_token() -> str:
    """Return the token of the browser's device cookie, or an empty text."""
    return request.cookies.get(current_app.config["DEVICE_COOKIE_NAME"], "")


def known_device() -> str | None:
    """Return the account, such as `customer:12`, that logged in last with this browser; see services/devices.py."""
    token = device_token()
    return devices.account_of(db.session(), token, datetime.now(UTC)) if token else None


def store_session(new: NewSession) -> None:
    """Store the token in the cookie: as Flask-Login's user id, or separately until the second factor is verified."""
    if new.login_session.awaits_code:
        session["awaits_code"] = new.token
    else:
        login_user(AuthenticatedUser(new.token, new.login_session))


def clear_session() -> None:
    """Clear the cookie, including the secret of the CSRF tokens."""
    session.clear()
    g.pop("csrf_token", None)


@contextmanager
def user_transaction(first: Callable[[Transaction], None] = lambda _: None) -> Iterator[Transaction]:
    """Yield a transaction of the user, whose row is locked after calling `first`; raises SessionOver."""
    with transaction(current_user.actor, source(), current_user.initials, device_token=device_token()) as tx:
        first(tx)
        sessions.ensure_alive(tx, current_user.login_session)
        yield tx


def act(
    form: PortalForm, action: Callable[[Transaction], Result], first: Callable[[Transaction], None] = lambda _: None
) -> Result | None:
    """If the form is valid, call `action` in a transaction of the user and return its result.

    A refusal rolls back and is added to `form.errors`: check these afterwards. Raises ChangedMeanwhile and SessionOver.
    """
    if not form.validate_on_submit():
        return None
    try:
        with user_transaction(first) as tx:
            return action(tx)
    except (ChangedMeanwhile, SessionOver):
        raise
    except Refusal as refusal:
        form.add_refusal(refusal)
        return None


View = Callable[..., ResponseReturnValue]


def background_poll(view: View) -> View:
    """Mark a view that pages request by themselves: such a GET does not prolong the session."""
    view.background_poll = True  # type: ignore[attr-defined]
    return view


def is_background_poll() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return request.method == "GET" and getattr(view, "background_poll", False)


def anyone(view: View) -> View:
    """Mark a view that needs no login."""
    view.access = "anyone"  # type: ignore[attr-defined]
    return view


class MissingRight(Forbidden):
    """The user is logged in and lacks the right to the page; `reason` is a German sentence that says who has it."""

    def __init__(self, reason: str):
        super().__init__()
        self.reason = reason


#: How many requests of one session, and of one person with several, run at a time in a process, and how many wait.
#: Whoever asks for slow pages again and again waits for himself, and a stolen session leaves room for its owner's.
OF_SESSION, OF_PERSON = (3, 10), (6, 12)
requests_of_sessions = Concurrency(seconds=10)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait until the user may run one more request; raises TooBusy, or SessionOver if the session ended meanwhile.

    Once a request, as views call other views.
    """
    if "has_turn" in g:
        yield
        return
    limits = {f"session:{current_user.login_session.id}": OF_SESSION, current_user.actor: OF_PERSON}
    with requests_of_sessions.turn(limits) as waited:
        if waited:
            db.session().expire_all()
            if load_user(current_user.id) is None:
                raise SessionOver
        g.has_turn = True
        yield


def _require(
    access: str, admits: Callable[[LoginSession], object], login_endpoint: str, reason: str
) -> Callable[[View], View]:
    """Return a decorator that redirects to `login_endpoint`, and raises MissingRight if `admits` refuses the user."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not current_user.is_authenticated:
                if is_background_poll() and wants_fragment():
                    return "", 204  # nothing is swapped, so that unsaved input stays
                return login_manager.unauthorized()
            with _turn():
                if not admits(current_user.login_session):  # behind the wait, in which it may have been taken away
                    raise MissingRight(reason)
                restore_input(current_user.actor)
                return view(*args, **kwargs)

        guarded.access = access  # type: ignore[attr-defined]
        guarded.login_endpoint = login_endpoint  # type: ignore[attr-defined]
        return guarded

    return decorate


OF_CUSTOMERS = "Diese Seite gehört zum Konto einer Kundin oder eines Kunden. Sie sind im Kundenservice angemeldet."
OF_CLERKS = "Diese Seite sehen nur Mitarbeitende im Kundenservice."
OF_ADMINS = "Diese Seite sehen nur Personen, die Mitarbeitende verwalten."
customer_only = _require("customer", lambda active: active.customer, LOGIN_ENDPOINT, OF_CUSTOMERS)
clerk_only = _require("clerk", lambda active: active.clerk, STAFF_LOGIN_ENDPOINT, OF_CLERKS)
admin_only = _require("admin", lambda active: active.clerk and active.clerk.admin, STAFF_LOGIN_ENDPOINT, OF_ADMINS)


def form_url() -> str | None:
    """Return path and query of the page with the form that was sent: this URL if GET shows it, else the page before."""
    try:
        path, query = urlsplit(request.referrer or "")[2:4]
    except ValueError:  # anyone can send what is no URL
        path = query = ""
    if request.url_rule and "GET" in (request.url_rule.methods or ()):
        path, query = iri_to_uri(request.path), request.query_string.decode("ascii", "ignore")
    return local_path(f"{path}?{query}".rstrip("?"))


class SecondFactorDue(Exception):
    """The clerk has to enter the second factor afresh; `page` has the form, where the URL of its action has none."""

    def __init__(self, page: str | None):
        super().__init__(page)
        self.page = page


def require_second_factor(page: str | None = None) -> None:
    """Raise SecondFactorDue unless the clerk entered the second factor, or without one the password, lately.

    For acts whose effect outlasts the session, so that a stolen session is not enough (OWASP ASVS 7.5.3).
    """
    lifetime = current_app.config["STAFF_PROOF_LIFETIME"]
    if not current_user.proved_within(lifetime):
        raise SecondFactorDue(page)


def ask_for_second_factor(due: SecondFactorDue) -> ResponseReturnValue:
    """Ask for it; after the right code the page with the form opens again, with the input."""
    if wanted := due.page or form_url():
        save_input(current_user.actor, urlsplit(wanted).path)
    return redirect_to("desk_login.confirm", weiter=wanted)


def fresh_second_factor(view: View) -> View:
    """Call require_second_factor before the view. Goes below clerk_only."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        require_second_factor()
        return view(*args, **kwargs)

    return guarded


def page_key(parameter: str = "vor", largest: int = 2**31 - 1) -> int | None:
    """Return where a list goes on, from a parameter of the URL; None at its beginning, or if it is no valid number.

    Every list of the desk asks for its further pages here: it goes on only after the second factor, or a stolen session
    could copy the data of all customers (OWASP ASVS 7.5.3).
    """
    number = request.args.get(parameter, type=int)
    if not number or not 0 < number <= largest:
        return None
    require_second_factor()
    return number


WITH_PORT = re.compile(r"^(\[.+\]|[\d.]+):\d+$")  # some proxies append the client's port


def source() -> str | None:
    """Return the client's IPv4 address, or the /64 block of its IPv6 address.

    None for this machine: behind a proxy that is not trusted everybody comes from there, and no limit by source may
    shut out all of them. What a trusted proxy sends and is no address counts as one source.
    """
    try:
        address = ipaddress.ip_address(WITH_PORT.sub(r"\1", request.remote_addr or "").strip("[]"))
    except ValueError:
        return "unknown" if current_app.config["PROXY_HOPS"] else None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return None
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def holder_of_source(name: str) -> Holder:
    """Return who takes turns at slow work: the source of this request, or `name` where it has none.

    Of IPv6 that is the /56 block which a home gets, in the /48 block that is the most for one site (RFC 6177, 2).
    """
    block = source()
    if block is None or ":" not in block:
        return Holder(block or name)
    home, site = (ipaddress.ip_network(block).supernet(new_prefix=prefix) for prefix in (56, 48))
    return Holder(str(home), network=str(site))


def device() -> str:
    """Return a coarse name of the browser, such as "Firefox unter Windows"."""
    agent = request.user_agent.string
    browsers = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    systems = {"Android": "Android", "iPhone": "iOS", "iPad": "iOS", "Windows": "Windows", "Mac OS": "macOS"}
    browser = next((name for part, name in browsers.items() if part in agent), "Browser")
    system = next((name for part, name in {**systems, "Linux": "Linux"}.items() if part in agent), None)
    return f"{browser} unter {system}" if system else browser
