"""A visit: the use of an opened link in one browser.

The token is removed from the address bar at once. The signed cookie contains the ids of opened links with their times;
the following URLs contain the id, so that two tabs do not interfere.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, wraps
from typing import Any

from flask import current_app, g, request, session
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.models import AccountLink, LinkKind
from kmzportal.services import links
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.services.transaction import Transaction, transaction
from kmzportal.web.auth import View, current_user, device_token, is_background_poll, source
from kmzportal.web.forms import ActionForm, restore_input, save_input
from kmzportal.web.responses import error_page, redirect_to, render

_MAX_VISITS = 5  # links in a cookie


@dataclass
class Visit:
    link_id: int
    arrived: datetime
    ends_at: datetime  #: if no request follows
    expires_at: datetime  #: even if requests follow
    checked: bool  #: the robot check was passed in this browser


def start(link: AccountLink, checked: bool = False) -> None:
    """Store in the cookie that the link was opened; `checked`: without a robot check."""
    end(link.id)
    by_arrival = sorted(session["links"].items(), key=lambda visit: (visit[1][0], int(visit[0])))
    session["links"] = dict(by_arrival[1 - _MAX_VISITS :])  # the cookie does not keep their order
    _store(link.id, datetime.now(UTC), checked)


def peek(link_id: int) -> Visit | None:
    """Return the visit, ended or not, without prolonging it."""
    arrived, seen, checked = session.get("links", {}).get(str(link_id), (0, 0, False))
    expires = arrived + current_app.config["LINK_SESSION_LIFETIME"]
    ends = min(expires, seen + current_app.config["LINK_SESSION_IDLE"])
    at = partial(datetime.fromtimestamp, tz=UTC)
    return Visit(link_id, at(arrived), at(ends), at(expires), checked) if arrived else None


def peek_alive(link_id: int) -> Visit | None:
    """Return the visit unless it has ended, without prolonging it."""
    visit = peek(link_id)
    return visit if visit and datetime.now(UTC) < visit.ends_at else None


def find(link_id: int) -> Visit | None:
    """Return the visit unless it has ended, and prolong it."""
    visit = peek_alive(link_id)
    if visit is None:
        return None
    _store(link_id, visit.arrived, visit.checked)
    return peek(link_id)


def visited_link(link_id: int) -> AccountLink | None:
    """Return the link if this browser opened it and the visit has not ended."""
    return db.session.get(AccountLink, link_id) if find(link_id) else None


def mark_checked(visit: Visit) -> None:
    _store(visit.link_id, visit.arrived, True)


def end(link_id: int) -> None:
    session["links"] = {key: entry for key, entry in session.get("links", {}).items() if key != str(link_id)}


def _store(link_id: int, arrived: datetime, checked: bool = False) -> None:
    entry = [int(arrived.timestamp()), int(datetime.now(UTC).timestamp()), checked]
    session["links"] = session.get("links", {}) | {str(link_id): entry}


def link_holder(*kinds: LinkKind, checked: bool = False) -> Callable[[View], View]:
    """Return a decorator for views of an opened link of these kinds; others get a page with the reason."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(link_id: int, **values: Any) -> ResponseReturnValue:
            visit = peek_alive(link_id) if is_background_poll() else find(link_id)
            link = db.session.get(AccountLink, link_id) if visit else None
            if visit is None or link is None or link.kind not in kinds:
                return link_not_found()
            if checked and not visit.checked:
                return redirect_to("link.show", link_id=link_id)
            restore_input(current_user.actor)
            try:
                return _refusal(link, visit) or view(link, visit, **values)
            except LinkUnusable:  # the link ended during this request
                return _refusal(link, visit) or link_ended(link)

        guarded.access = "link_holder"  # type: ignore[attr-defined]
        return guarded

    return decorate


@contextmanager
def link_transaction(link: AccountLink) -> Iterator[Transaction]:
    """Yield a transaction of the link's holder, and mark the link as opened."""
    with transaction(f"link:{link.id}", source(), device_token=device_token()) as tx:
        links.mark_opened(tx, link)
        yield tx


def link_not_found() -> ResponseReturnValue:
    """Return the same page for unknown tokens, links that this browser did not open, and ended visits."""
    save_input(current_user.actor, request.path)  # shown again when the link is opened again
    visit = peek((request.view_args or {}).get("link_id", 0))
    link = db.session.get(AccountLink, visit.link_id) if visit and datetime.now(UTC) >= visit.ends_at else None
    if link and not link.policy.mailed:
        return redirect_to(link.policy.first_page, "Das hat zu lange gedauert. Geben Sie beides noch einmal ein.")
    if session.get("kept_form", {}).get("path") == request.path:
        then = "Dann stehen Ihre Eingaben wieder da. Nur Passwörter geben Sie noch einmal ein."
    else:
        then = "Er muss vollständig sein, und Ihr Browser muss Cookies erlauben."
    return error_page(
        "Diesen Link können wir nicht öffnen",
        f"Öffnen Sie bitte den Link in der E-Mail noch einmal. {then} Oder fordern Sie einen neuen Link an.",
        404,
        help="link-geht-nicht",
        next_step={"label": "Passwort vergessen?", "url": "/passwort-vergessen"},
    )


def _refusal(link: AccountLink, visit: Visit) -> ResponseReturnValue | None:
    """Return a page with the reason why the link cannot be used, or None if it can."""
    if current_user.is_authenticated and current_user.person is not link.holder:
        return render("link/other_user.html", ActionForm(), link=link)
    if link.holder.locked_at and not link.policy.works_when_locked:
        raise AccountLocked
    if not link.usable(visit.arrived):
        return link_ended(link)
    g.visit = visit  # for the warning before the visit ends, see session_timeout.py
    return None


def link_ended(link: AccountLink, form: ActionForm | None = None) -> ResponseReturnValue:
    """Return a page with the reason why the link ended, and a button for a new one if it is renewable."""
    g.pop("visit", None)
    now = datetime.now(UTC)
    form = form or ActionForm(formdata=None)
    response = render("link/ended.html", form, link=link, state=link.state(now), renewable=link.renewable(now))
    if not form.errors:
        response.status_code = 410
    return response


def finish(link: AccountLink) -> ResponseReturnValue:
    """Redirect to the page Fertig, and prefill the address of the login page."""
    if link.policy.ends_with_address:  # the browser at the old mailbox must not learn the new address
        session["address"] = link.holder.email
    return redirect_to("link.clerk_done" if link.clerk else "link.done", link_id=link.id)
