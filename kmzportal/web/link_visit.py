"""A visit to an opened link: which link, since when, and whether the robot check is behind it.

The token is taken out of the address bar at once. The signed cookie holds the ids of opened links, each with
its times; the clean URL carries the id, so two tabs never mix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, wraps
from typing import Any

from flask import current_app, g, request, session
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.models.account_link import AccountLink, LinkKind
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.web import forms
from kmzportal.web.auth import current_user
from kmzportal.web.errors import account_locked
from kmzportal.web.forms import ActionForm
from kmzportal.web.responses import error_page, redirect_to, render

ADDRESS_TAKEN = "Diese Adresse gehört inzwischen zu einem anderen Konto. Bitte rufen Sie uns an."
BACK = "Dann stehen Ihre Eingaben wieder da. Nur Passwörter geben Sie noch einmal ein."
CHECK = "Er muss vollständig sein, und Ihr Browser muss Cookies erlauben."
_MAX_VISITS = 5  # links a cookie remembers


@dataclass
class Visit:
    link_id: int
    arrived: datetime
    ends_at: datetime  #: unless it goes on
    expires_at: datetime  #: however busy it is
    checked: bool


def start(link: AccountLink) -> None:
    """Remember that the link was opened in this browser."""
    now = int(datetime.now(UTC).timestamp())
    others = {key: entry for key, entry in session.get("links", {}).items() if key != str(link.id)}
    session["links"] = {**dict(list(others.items())[1 - _MAX_VISITS :]), str(link.id): [now, now, False]}


def peek(link_id: int) -> Visit | None:
    """Return the visit, over or not; to look does not let it go on."""
    arrived, seen, checked = session.get("links", {}).get(str(link_id), (0, 0, False))
    expires = arrived + current_app.config["LINK_SESSION_LIFETIME"]
    ends = min(expires, seen + current_app.config["LINK_SESSION_IDLE"])
    at = partial(datetime.fromtimestamp, tz=UTC)
    return Visit(link_id, at(arrived), at(ends), at(expires), checked) if arrived else None


def find(link_id: int) -> Visit | None:
    """Return the visit if it did not rest too long, and note that it goes on."""
    visit, now = peek(link_id), datetime.now(UTC)
    return _note(visit, now, visit.checked) if visit and now < visit.ends_at else None


def mark_checked(visit: Visit) -> None:
    """The robot check is passed; the link is open for this browser only."""
    _note(visit, datetime.now(UTC), True)


def end(link_id: int) -> None:
    session["links"] = {key: entry for key, entry in session.get("links", {}).items() if key != str(link_id)}


def _note(visit: Visit, now: datetime, checked: bool) -> Visit | None:
    entry = [int(visit.arrived.timestamp()), int(now.timestamp()), checked]
    session["links"] = {**session["links"], str(visit.link_id): entry}
    return peek(visit.link_id)


View = Callable[..., ResponseReturnValue]


def link_holder(*kinds: LinkKind, checked: bool = False) -> Callable[[View], View]:
    """Let in who opened a link of these kinds here, and tell everybody else what to do instead."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(link_id: int, **values: Any) -> ResponseReturnValue:
            visit = find(link_id)
            link = db.session.get(AccountLink, link_id) if visit else None
            if visit is None or link is None or link.kind not in kinds:
                return link_not_found()
            if checked and link.policy.robot_check and not visit.checked:
                return redirect_to("account_link.show", link_id=link_id)
            try:
                return reason_to_refuse(link, visit) or view(link, visit, **values)
            except (LinkUnusable, AccountLocked):  # in the last moment, by another tab or by the office
                return reason_to_refuse(link, visit) or link_ended(link)

        guarded.access = "link_holder"  # type: ignore[attr-defined]
        return guarded

    return decorate


def link_not_found() -> ResponseReturnValue:
    """The one neutral page for unknown tokens, foreign ids and visits that rested too long."""
    forms.save_input(current_user.actor, request.path)  # opened again, the link shows it again
    kept = session.get("kept_form", {}).get("path") == request.path
    return error_page(
        "Diesen Link können wir nicht öffnen",
        f"Öffnen Sie bitte den Link in der E-Mail noch einmal. {BACK if kept else CHECK} Oder fordern Sie einen neuen "
        "Link an.",
        404,
        help="link-geht-nicht",
        next_step={"label": "Passwort vergessen?", "url": "/passwort-vergessen"},
    )


def reason_to_refuse(link: AccountLink, visit: Visit) -> ResponseReturnValue | None:
    """What stands between the holder of a link and the account, as a page; None if nothing does."""
    if current_user.is_authenticated and current_user.person is not link.holder:
        return render("link/other_user.html", ActionForm(), link=link)
    if link.holder.locked_at and link.kind != LinkKind.OBJECTION:
        return account_locked()
    if not link.usable(visit.arrived):
        return link_ended(link)
    g.visit = visit  # so its page asks how long it lasts, see time_left.py
    return None


def link_ended(link: AccountLink, form: ActionForm | None = None) -> ResponseReturnValue:
    """Tell the holder of a dead link which way it died, and offer a fresh one where that is right."""
    g.pop("visit", None)  # nothing of it can go on
    now = datetime.now(UTC)
    renewable = link.renewable(now)
    state = link.state(now)
    context = {"link": link, "state": state, "renewable": renewable}
    form = form or ActionForm(formdata=None)
    answer = render("link/ended.html", form, **context)
    if not form.errors:
        answer.status_code = 410
    return answer


def finish(link: AccountLink) -> ResponseReturnValue:
    """Lead to the page that says Fertig; the login page behind it knows the address already."""
    if link.kind != LinkKind.OBJECTION:  # the old mailbox must not learn the new address
        session["address"] = link.holder.email
    return redirect_to("first_link.done" if link.clerk else "account_link.done", link_id=link.id)
