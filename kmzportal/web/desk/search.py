"""Kunden: the search of the desk, its lists, and what the header of every page of the desk shows."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services import customer_lists, outbox, recovery, search, support
from kmzportal.web.auth import clerk_only, page_key
from kmzportal.web.desk.customers import current_case_id
from kmzportal.web.responses import redirect_to, render

bp = Blueprint("search", __name__, url_prefix="/kundenservice")

MAX_QUERY = 100  # characters
LARGEST_LINK_ID = 2**63 - 1


@bp.app_template_global()
def waiting_numbers() -> dict[str, str]:
    """Return what waits at the desk, in German, by the endpoint of the page that shows it. Read for every page."""
    session, now = db.session(), datetime.now(UTC)
    numbers = {}
    open_cases, overdue = support.counts(session, now)
    if open_cases:
        numbers["requests.overview"] = f"{open_cases}, {overdue} überfällig" if overdue else str(open_cases)
    if undelivered := outbox.undelivered_lately(session, now):
        numbers["outbox.mails"] = f"{undelivered} nicht zugestellt"
    return numbers


@bp.get("")
@clerk_only
def start() -> ResponseReturnValue:
    return redirect_to(".customers")


@bp.get("/kunden")
@clerk_only
def customers() -> ResponseReturnValue:
    query, session, now = request.args.get("suche", "").strip()[:MAX_QUERY], db.session(), datetime.now(UTC)
    number = _with_reference(query)
    found = None if number else search.search(session, query)
    return render(
        "desk/search.html",
        query=query,
        found=found,
        number=number,
        lists=customer_lists.LISTS,
        counts={} if query else customer_lists.counts(session, now),
        counted=customer_lists.COUNTED,
        case_id=current_case_id(),
        now=now,
    )


@bp.get("/kunden/liste/<name>")
@clerk_only
def customer_list(name: str) -> ResponseReturnValue:
    if name not in customer_lists.LISTS:
        abort(404)
    now = datetime.now(UTC)
    found = customer_lists.page(db.session(), name, now, page_key(largest=LARGEST_LINK_ID))
    shown = found[: customer_lists.ROWS_SHOWN]
    return render(
        "desk/customer_list.html",
        list=customer_lists.LISTS[name],
        name=name,
        now=now,
        rows=shown,
        more=shown[-1].id if len(found) > len(shown) else None,
    )


def _with_reference(query: str) -> dict[str, Any] | None:
    """Return label and URL of the case or the request for a new password with this Vorgangsnummer, and its customer."""
    session = db.session()
    if case := support.find_by_reference(session, query):
        url = url_for("requests.case", case_id=case.id)
        return {"label": f"Anfrage {case.reference}", "url": url, "customer": case.customer}
    if requests := recovery.find_by_reference(session, datetime.now(UTC), query):
        first = requests[0]
        url = url_for("requests.overview", nummer=first.reference)
        return {"label": f"Passwort vergessen {first.reference}", "url": url, "customer": first.customer}
    return None
