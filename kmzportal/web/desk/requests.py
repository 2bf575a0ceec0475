"""Anfragen: the requests for a new password of the last days, with a search by Vorgangsnummer."""

from datetime import UTC, datetime

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from wtforms import StringField

from kmzportal.db import db
from kmzportal.services import recovery
from kmzportal.web.auth import clerk_only
from kmzportal.web.forms import Filter
from kmzportal.web.responses import page_key, render

bp = Blueprint("requests", __name__, url_prefix="/kundenservice")

OUTCOMES = {
    None: "wartet",
    "sent": "Link gesendet",
    "unknown": "Adresse unbekannt",
    "locked": "Konto gesperrt",
    "capped": "zu viele Anfragen",
}


class NumberForm(Filter):
    number = StringField("Vorgangsnummer", name="nummer")


@bp.get("/anfragen")
@clerk_only
def overview() -> ResponseReturnValue:
    form, session, now = NumberForm(request.args), db.session(), datetime.now(UTC)
    if number := (form.number.data or "").strip():
        found = recovery.find_by_reference(session, now, number)
    else:
        found = recovery.recent_requests(session, now, page_key())
    shown = found[: recovery.REQUESTS_SHOWN]
    return render(
        "desk/requests.html",
        search=form,
        number=number,
        requests=shown,
        older=shown[-1].id if len(found) > len(shown) else None,
        meant=recovery.probably_meant(session, shown),
        outcomes=OUTCOMES,
        now=now,
    )
