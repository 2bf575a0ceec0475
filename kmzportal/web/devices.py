"""Angemeldete Geräte, and the history of the account."""

from datetime import UTC, datetime

from flask import Blueprint, abort
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services import account as deeds
from kmzportal.services import history as histories
from kmzportal.web.access import customer_only
from kmzportal.web.fields import Button
from kmzportal.web.pages import page, stay
from kmzportal.web.visitor import visitor, visitors_work

bp = Blueprint("devices", __name__, url_prefix="/einstellungen")


@bp.get("/geraete")
@customer_only
def devices() -> ResponseReturnValue:
    return _page(Button(formdata=None))


@bp.post("/geraete/<int(max=2147483647):session_id>/beenden")
@customer_only
def end(session_id: int) -> ResponseReturnValue:
    form = Button()
    if not form.validate_on_submit():
        return _page(form)
    with visitors_work() as work:
        ended = deeds.end_session(work, visitor.customer, session_id)
    return stay(".devices", "Das Gerät ist abgemeldet.") if ended else abort(404)


@bp.post("/geraete/andere-beenden")
@customer_only
def end_others() -> ResponseReturnValue:
    form = Button()
    if not form.validate_on_submit():
        return _page(form)
    with visitors_work() as work:
        deeds.end_other_sessions(work, visitor.customer, visitor.here)
    return stay(".devices", "Alle anderen Geräte sind abgemeldet.")


@bp.get("/verlauf")
@customer_only
def history() -> ResponseReturnValue:
    events = histories.history(db.session(), visitor.customer)
    return page("devices/history.html", "devices/_history.html", events=events)


def _page(form: Button) -> ResponseReturnValue:
    alive = deeds.sessions(db.session(), visitor.customer, datetime.now(UTC))
    return page("devices/devices.html", "devices/_devices.html", form, sessions=alive, here=visitor.here.id)
