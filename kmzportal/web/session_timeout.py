"""The time left of a session or a visit to a link: GET returns it, POST prolongs it (WCAG 2.2, 2.2.1)."""

from datetime import UTC, datetime

from flask import Blueprint, g, render_template, request
from flask.typing import ResponseReturnValue

from kmzportal.web import cookie
from kmzportal.web.auth import anyone, background_poll
from kmzportal.web.link import visit as visits
from kmzportal.web.responses import redirect_to, wants_fragment

bp = Blueprint("session_timeout", __name__)


@bp.app_template_filter()
def seconds_until(at: datetime) -> int:
    return int((at - datetime.now(UTC)).total_seconds())


@bp.route("/sitzung", methods=["GET", "POST"])
@anyone
@background_poll
def login_session() -> ResponseReturnValue:
    """Any POST prolongs the session, see auth.load_user."""
    return render_template("session_timeout.html") if wants_fragment() else redirect_to("login.start")


@bp.route("/konto-link/<int:link_id>/sitzung", methods=["GET", "POST"])
@anyone
@background_poll
def link_visit(link_id: int) -> ResponseReturnValue:
    """Empty when the link or the visit was ended."""
    if request.method == "POST":
        visits.find(link_id, prolong=True)
    if not wants_fragment():
        return redirect_to("link.show", link_id=link_id)
    visit = cookie.find_visit(link_id)
    if visit is None or visit.ended_at or not visit.link.usable(visit.started_at):
        return ""
    g.visit = visit
    return render_template("session_timeout.html")
