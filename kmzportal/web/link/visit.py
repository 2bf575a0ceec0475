"""A visit to an opened link: which link, since when, and whether the robot check was passed.

The token leaves the address bar at once. The signed cookie holds the ids of opened links, each with its times; the
URLs that follow contain the id, so that two tabs do not mix.
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
from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.services import links
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.services.transaction import Transaction, transaction
from kmzportal.web.auth import current_user, source
from kmzportal.web.forms import ActionForm, restore_input, save_input
from kmzportal.web.responses import error_page, redirect_to, render

_MAX_VISITS = 5  # links that a cookie remembers


@dataclass
class Visit:
    link_id: int
    arrived: datetime
    ends_at: datetime  #: without further requests
    expires_at: datetime  #: the latest end
    checked: bool  #: the robot check was passed in this browser


def start(link: AccountLink) -> None:
    """Remember that the link was opened in this browser."""
    end(link.id)
    session["links"] = dict(list(session["links"].items())[1 - _MAX_VISITS :])
    _store(link.id, datetime.now(UTC))


def peek(link_id: int) -> Visit | None:
    """Return the visit, also one that is over, without prolonging it."""
    arrived, seen, checked = session.get("links", {}).get(str(link_id), (0, 0, False))
    expires = arrived + current_app.config["LINK_SESSION_LIFETIME"]
    ends = min(expires, seen + current_app.config["LINK_SESSION_IDLE"])
    at = partial(datetime.fromtimestamp, tz=UTC)
    return Visit(link_id, at(arrived), at(ends), at(expires), checked) if arrived else None


def find(link_id: int) -> Visit | None:
    """Return the visit if it is not over, and prolong it."""
    visit = peek(link_id)
    if visit is None or datetime.now(UTC) >= visit.ends_at:
        return None
    _store(link_id, visit.arrived, visit.checked)
    return peek(link_id)


def visited_link(link_id: int) -> AccountLink | None:
    """Return the link if this browser opened it and the visit is not over."""
    return db.session.get(AccountLink, link_id) if find(link_id) else None


def mark_checked(visit: Visit) -> None:
    """Note that the robot check was passed in this browser."""
    _store(visit.link_id, visit.arrived, True)


def end(link_id: int) -> None:
    session["links"] = {key: entry for key, entry in session.get("links", {}).items() if key != str(link_id)}


def _store(link_id: int, arrived: datetime, checked: bool = False) -> None:
    entry = [int(arrived.timestamp()), int(datetime.now(UTC).timestamp()), checked]
    session["links"] = session.get("links", {}) | {str(link_id): entry}


View = Callable[..., ResponseReturnValue]


def link_holder(*kinds: LinkKind, checked: bool = False) -> Callable[[View], View]:
    """Admit browsers that opened a link of these kinds, and show all others why the link cannot be used."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(link_id: int, **values: Any) -> ResponseReturnValue:
            visit = find(link_id)
            link = db.session.get(AccountLink, link_id) if visit else None
            if visit is None or link is None or link.kind not in kinds:
                return link_not_found()
            if checked and not visit.checked:
                return redirect_to("link.show", link_id=link_id)
            restore_input(current_user.actor)
            try:
                return _refusal(link, visit) or view(link, visit, **values)
            except LinkUnusable:  # it ended while this request was running
                return _refusal(link, visit) or link_ended(link)

        guarded.access = "link_holder"  # type: ignore[attr-defined]
        return guarded

    return decorate


@contextmanager
def link_transaction(link: AccountLink) -> Iterator[Transaction]:
    """Yield a transaction on behalf of the link's holder. It marks the link as opened."""
    with transaction(f"link:{link.id}", source()) as tx:
        links.mark_opened(tx, link)
        yield tx


def link_not_found() -> ResponseReturnValue:
    """One answer for unknown tokens, links that this browser did not open, and visits that are over."""
    save_input(current_user.actor, request.path)  # shown again when the link is opened again
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
    """Return the page that says why the link cannot be used now, or None if it can."""
    if current_user.is_authenticated and current_user.person is not link.holder:
        return render("link/other_user.html", ActionForm(), link=link)
    if link.holder.locked_at and not link.policy.works_when_locked:
        raise AccountLocked
    if not link.usable(visit.arrived):
        return link_ended(link)
    g.visit = visit  # the page shows when the visit ends, see session_timeout.py
    return None


def link_ended(link: AccountLink, form: ActionForm | None = None) -> ResponseReturnValue:
    """Say why the link ended, and offer a new one where that is allowed."""
    g.pop("visit", None)
    now = datetime.now(UTC)
    form = form or ActionForm(formdata=None)
    answer = render("link/ended.html", form, link=link, state=link.state(now), renewable=link.renewable(now))
    if not form.errors:
        answer.status_code = 410
    return answer


def finish(link: AccountLink) -> ResponseReturnValue:
    """Redirect to the page Fertig. The login page then fills in the address."""
    if link.policy.ends_with_address:  # the browser at the old mailbox must not learn the new address
        session["address"] = link.holder.email
    return redirect_to("link.clerk_done" if link.clerk else "link.done", link_id=link.id)
