"""Diagnose: the latest results of `kmzportal doctor`, for admins. The worker checks; a request never does."""

from datetime import UTC, datetime, timedelta

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services import diagnosis
from kmzportal.web.auth import act, admin_only
from kmzportal.web.forms import ActionForm
from kmzportal.web.responses import redirect_in_place, render

LATE = timedelta(minutes=5)  # a check takes half a minute
bp = Blueprint("diagnosis", __name__, url_prefix="/kundenservice")


@bp.get("/diagnose")
@admin_only
def overview(form: ActionForm | None = None) -> ResponseReturnValue:
    hosts = diagnosis.latest(db.session())
    reports = {row.host: diagnosis.report(results, current_app.config) for row, results in hosts}
    now = datetime.now(UTC)
    late = [row.host for row, _ in hosts if now - row.due_at > LATE]
    context = {"hosts": hosts, "late": late, "reports": reports, "labels": diagnosis.LABELS, "now": now}
    return render("desk/diagnosis.html", form, **context)


@bp.post("/diagnose/pruefen")
@admin_only
def check_now() -> ResponseReturnValue:
    form = ActionForm()
    act(form, diagnosis.check_now)
    if form.errors:
        return overview(form)
    return redirect_in_place(".overview", "Die Prüfung läuft. Laden Sie die Seite in einer halben Minute neu.")
