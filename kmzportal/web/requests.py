"""Anfragen at the desk: every "Passwort vergessen?" of the last days, found by its Vorgangsnummer."""

from datetime import UTC, datetime

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from wtforms import StringField

from kmzportal.db import db
from kmzportal.services import requests as deeds
from kmzportal.web.access import clerk_only
from kmzportal.web.fields import Filter
from kmzportal.web.pages import key, page

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
    said = (form.number.data or "").strip()
    found = deeds.numbered(session, now, said) if said else deeds.recent(session, now, key())
    shown = found[: deeds.SHOWN]
    return page(
        "requests/overview.html",
        "requests/_overview.html",
        search=form,
        said=said,
        requests=shown,
        older=shown[-1].id if len(found) > deeds.SHOWN else None,
        meant=deeds.probably_meant(session, shown),
        outcomes=OUTCOMES,
        now=now,
    )
