"""How long a session or a visit to a link still lasts: its page asks, and one click keeps it alive (standards R103)."""

from datetime import UTC, datetime

from flask import Blueprint, g, render_template
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.models.account_link import AccountLink
from kmzportal.web import link_visit
from kmzportal.web.auth import anyone, background_poll
from kmzportal.web.responses import redirect_to, wants_fragment

bp = Blueprint("time_left", __name__)


@bp.app_template_filter()
def seconds_until(at: datetime) -> int:
    return int((at - datetime.now(UTC)).total_seconds())


@bp.get("/sitzung")
@anyone
@background_poll
def ask() -> ResponseReturnValue:
    return _of_session()


@bp.post("/sitzung")
@anyone
def extend() -> ResponseReturnValue:
    """A request is all it takes, so there is nothing to do here."""
    return _of_session()


@bp.get("/konto-link/<int:link_id>/sitzung")
@anyone
@background_poll
def ask_visit(link_id: int) -> ResponseReturnValue:
    """Sets no cookie, or it would undo what another tab does meanwhile."""
    return _of_visit(link_id)


@bp.post("/konto-link/<int:link_id>/sitzung")
@anyone
def extend_visit(link_id: int) -> ResponseReturnValue:
    link_visit.find(link_id)
    return _of_visit(link_id)


def _of_session() -> ResponseReturnValue:
    return render_template("session_timeout.html") if wants_fragment() else redirect_to("login.start")


def _of_visit(link_id: int) -> ResponseReturnValue:
    """After Abbrechen, or when the link is dead, there is nothing to say, and nothing asks any more."""
    if not wants_fragment():
        return redirect_to("account_link.show", link_id=link_id)
    visit = link_visit.peek(link_id)
    link = db.session.get(AccountLink, link_id) if visit else None
    if visit is None or link is None or not link.usable(visit.arrived):
        return ""
    g.visit = visit
    return render_template("session_timeout.html")
