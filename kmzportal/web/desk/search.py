"""Kunden: the search of the desk, and the page after a login."""

from datetime import UTC, datetime

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services import recovery, search, support
from kmzportal.web.auth import clerk_only
from kmzportal.web.desk.customers import current_case_id
from kmzportal.web.responses import redirect_to, render

bp = Blueprint("search", __name__, url_prefix="/kundenservice")

MAX_QUERY = 100  # characters


@bp.get("")
@clerk_only
def start() -> ResponseReturnValue:
    return redirect_to(".customers")


@bp.get("/kunden")
@clerk_only
def customers() -> ResponseReturnValue:
    query = request.args.get("suche", "").strip()[:MAX_QUERY]
    found, number = search.search(db.session(), query), _with_reference(query)
    return render("desk/search.html", query=query, found=found, number=number, case_id=current_case_id())


def _with_reference(query: str) -> dict[str, str] | None:
    """Return label and URL of the case or the request for a new password with this Vorgangsnummer."""
    session = db.session()
    if case := support.find_by_reference(session, query):
        return {"label": f"Anfrage {case.reference}", "url": url_for("requests.case", case_id=case.id)}
    if requests := recovery.find_by_reference(session, datetime.now(UTC), query):
        reference = requests[0].reference
        url = url_for("requests.overview", nummer=reference)
        return {"label": f"Passwort vergessen {reference}", "url": url}
    return None
