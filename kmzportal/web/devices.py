"""Angemeldete Geräte, and the history of the account."""

from datetime import UTC, datetime

from flask import Blueprint, abort
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services import accounts, audit
from kmzportal.web.auth import current_user, customer_only, user_transaction
from kmzportal.web.forms import ActionForm
from kmzportal.web.responses import redirect_in_place, render

bp = Blueprint("devices", __name__, url_prefix="/einstellungen")


@bp.get("/geraete")
@customer_only
def devices() -> ResponseReturnValue:
    return _page(ActionForm(formdata=None))


@bp.post("/geraete/<int(max=2147483647):session_id>/beenden")
@customer_only
def end(session_id: int) -> ResponseReturnValue:
    form = ActionForm()
    if not form.validate_on_submit():
        return _page(form)
    with user_transaction() as tx:
        ended = accounts.end_own_session(tx, current_user.customer, session_id)
    return redirect_in_place(".devices", "Das Gerät ist abgemeldet.") if ended else abort(404)


@bp.post("/geraete/andere-beenden")
@customer_only
def end_others() -> ResponseReturnValue:
    form = ActionForm()
    if not form.validate_on_submit():
        return _page(form)
    with user_transaction() as tx:
        accounts.end_other_sessions(tx, current_user.customer, current_user.login_session)
    return redirect_in_place(".devices", "Alle anderen Geräte sind abgemeldet.")


@bp.get("/verlauf")
@customer_only
def history() -> ResponseReturnValue:
    events = audit.history(db.session(), current_user.customer)
    return render("customer/history.html", events=events)


def _page(form: ActionForm) -> ResponseReturnValue:
    alive = accounts.active_sessions(db.session(), current_user.customer, datetime.now(UTC))
    return render("customer/devices.html", form, sessions=alive, here=current_user.login_session.id)
