"""Passwort vergessen: one neutral page for every address. The worker does the rest."""

from datetime import UTC, datetime, timedelta

from flask import Blueprint, current_app, session
from flask.typing import ResponseReturnValue

from kmzportal.db import db
from kmzportal.services import heartbeat
from kmzportal.services import recovery as deeds
from kmzportal.unit_of_work import unit_of_work
from kmzportal.web.access import anyone
from kmzportal.web.fields import Button, PortalForm, mail_address_field
from kmzportal.web.origin import source
from kmzportal.web.pages import go, page, stay

bp = Blueprint("recovery", __name__, url_prefix="/passwort-vergessen")

AGAIN_AFTER = 60  # seconds


class AskForm(PortalForm):
    email = mail_address_field()


@bp.route("", methods=["GET", "POST"])
@anyone
def ask() -> ResponseReturnValue:
    form = AskForm(email=session.get("address"))
    if form.validate_on_submit():
        _ask_for(form.email.data or "")
        return go(".asked")
    return page("recovery/ask.html", "recovery/_ask_form.html", form)


@bp.get("/gesendet")
@anyone
def asked() -> ResponseReturnValue:
    return _asked(Button(formdata=None)) if "recovery" in session else go(".ask")


@bp.post("/noch-einmal")
@anyone
def ask_again() -> ResponseReturnValue:
    form, request = Button(), session.get("recovery")
    if not request:
        return go(".ask")
    if not form.validate_on_submit():
        return _asked(form)
    if datetime.now(UTC).timestamp() - request["at"] >= AGAIN_AFTER:
        _ask_for(request["address"])
        return stay(".asked", "Wir haben Ihre Anfrage noch einmal aufgenommen.")
    return stay(".asked", "Ihre Anfrage ist schon unterwegs. Warten Sie bitte eine Minute.")


def _asked(form: Button) -> ResponseReturnValue:
    request = session["recovery"]
    asked_at = datetime.fromtimestamp(request["at"], UTC)
    silent = heartbeat.silent(db.session(), datetime.now(UTC))
    return page(
        "recovery/asked.html",
        "recovery/_asked.html",
        form,
        address=request["address"],
        reference=request["reference"],
        valid_until=asked_at + timedelta(seconds=current_app.config["RECOVERY_LINK_LIFETIME"]),
        sender=current_app.config["MAIL_DEFAULT_SENDER"],
        wait_seconds=max(0, AGAIN_AFTER - int((datetime.now(UTC) - asked_at).total_seconds())),
        disturbed=silent or not (current_app.config["MAIL_SERVER"] or current_app.config.get("DEMO")),
    )


def _ask_for(address: str) -> None:
    with unit_of_work("visitor", source()) as work:
        reference = deeds.ask(work, address)
    session["address"] = address
    session["recovery"] = {"address": address, "reference": reference, "at": int(work.now.timestamp())}
