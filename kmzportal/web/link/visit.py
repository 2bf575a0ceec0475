"""A visit: the use of an opened link in one browser.

The token is removed from the address bar at once. The following URLs contain the id of the link, so that two tabs do
not interfere, and open only where the cookie has the token of a visit to it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from flask import g, request
from flask.typing import ResponseReturnValue

from kmzportal.models import AccountLink, LinkKind, LinkState, LinkVisit
from kmzportal.services import links, sessions
from kmzportal.services.refusals import AccountLocked, LinkUnusable
from kmzportal.services.transaction import Transaction, transaction
from kmzportal.web import cookie
from kmzportal.web.auth import View, current_user, device_token, is_background_poll, source
from kmzportal.web.forms import ActionForm, restore_input, save_input
from kmzportal.web.responses import error_page, redirect_to, render

ENDED = "Sie sind abgemeldet. Mit diesem Link geht es ohne Anmeldung weiter."


def find(link_id: int, prolong: bool) -> LinkVisit | None:
    """Return this browser's visit to the link unless it has ended."""
    visit, now = cookie.find_visit(link_id), datetime.now(UTC)
    if visit is None or not visit.alive(now):
        return None
    if prolong and now - visit.last_seen > sessions.TOUCH_INTERVAL:
        with transaction("visitor") as tx:
            sessions.touch(tx, LinkVisit, visit.id)
    return visit


def begin(link: AccountLink, checked: bool = False) -> bool:
    """Start a visit and return whether that ended the session of the link's holder.

    One that sets a password does, as one cookie must not open both; see visits.end. `checked`: no robot check.
    """
    sets_password = link.policy.sets_password and link.usable(datetime.now(UTC))
    ends = bool(sets_password and current_user.is_authenticated and current_user.person is link.holder)
    with transaction(current_user.actor if ends else "visitor", source()) as tx:
        if ends:
            tx.lock(link.holder)
            sessions.log_out(tx, current_user.login_session)
        cookie.start_visit(tx, link, checked=checked)
    return ends  # the cookie keeps the ended session's token: what is typed in another tab comes back after the login


def link_holder(*kinds: LinkKind, checked: bool | None = None) -> Callable[[View], View]:
    """Return a decorator for views of an opened link of these kinds; others get a page with the reason.

    `checked`: only after the robot check, or only before it; the other leads to the page where it goes on.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(link_id: int, **values: Any) -> ResponseReturnValue:
            visit = find(link_id, prolong=not is_background_poll())
            if visit is None or visit.link.kind not in kinds:
                return link_not_found()
            link = visit.link
            if checked is not None and visit.checked is not checked:
                return redirect_to("link.show", link_id=link_id)
            restore_input(f"link:{link_id}")
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
    visit = cookie.find_visit((request.view_args or {}).get("link_id", 0))
    if visit and visit.link.ended_as == LinkState.REDEEMED:
        return link_ended(visit.link)
    if visit and visit.ended_at is None and datetime.now(UTC) >= visit.ends_at:
        save_input(f"link:{visit.link_id}", request.path)  # shown again when the link is opened again
        if not visit.link.policy.mailed:
            first_page = visit.link.policy.first_page
            return redirect_to(first_page, "Das hat zu lange gedauert. Geben Sie beides noch einmal ein.", "info")
    if visit and cookie.kept(cookie.SAVED_FORM, f"link:{visit.link_id}").get("path") == request.path:
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


def _refusal(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue | None:
    """Return a page with the reason why the link cannot be used, or None if it can."""
    if current_user.is_authenticated and current_user.person is not link.holder:
        return render("link/other_user.html", ActionForm(), link=link)
    if link.holder.locked_at and not link.policy.works_when_locked:
        raise AccountLocked
    if not link.usable(visit.started_at):
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


def finish(link: AccountLink, visit: LinkVisit) -> ResponseReturnValue:
    """Redirect to the page Fertig, in a visit of its own, and prefill the address of the customers' login page."""
    g.pop("visit", None)
    with transaction("visitor") as tx:
        cookie.start_visit(tx, link, visit, redeemed=True)
        # The browser at the old mailbox must not learn the new address, and no page shows that of a clerk.
        if link.policy.ends_with_address and link.customer:
            cookie.keep_address(tx, link.holder.email)
    return redirect_to("link.clerk_done" if link.clerk else "link.done", link_id=link.id)
