"""Passwort vergessen: the same response for every address. The worker looks up the account and mails the link."""

from datetime import UTC, datetime, timedelta

from flask import Blueprint, current_app, session
from flask.typing import ResponseReturnValue

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.mail.compose import subject_line, subject_of
from kmzportal.services import outbox, recovery
from kmzportal.services.tokens import new_reference
from kmzportal.services.transaction import link_keys, transaction
from kmzportal.web import cookie
from kmzportal.web.auth import anyone, known_device, source
from kmzportal.web.forms import ActionForm, PortalForm, mail_address_field
from kmzportal.web.responses import redirect_in_place, redirect_to, render

bp = Blueprint("recovery", __name__, url_prefix="/passwort-vergessen")

AGAIN_AFTER = 60  # seconds


class AddressForm(PortalForm):
    email = mail_address_field()


@bp.route("", methods=["GET", "POST"])
@anyone
def ask() -> ResponseReturnValue:
    form = AddressForm(email=cookie.kept(cookie.ADDRESS).get("address"))
    if form.validate_on_submit():
        _request_link(form.email.data or "")
        return redirect_to(".asked")
    return render("customer/forgot_password.html", form)


@bp.get("/gesendet")
@anyone
def asked(form: ActionForm | None = None) -> ResponseReturnValue:
    request, now, config = cookie.kept(cookie.REQUEST), datetime.now(UTC), current_app.config
    if not request:
        return redirect_to(".ask")
    asked_at = datetime.fromtimestamp(request["at"], UTC)
    return render(
        "customer/request_sent.html",
        form or ActionForm(formdata=None),
        address=request["address"],
        reference=request["reference"],
        valid_until=asked_at + timedelta(seconds=config["RECOVERY_LINK_LIFETIME"]),
        sender=config["MAIL_DEFAULT_SENDER"][1],
        subject=subject_line(subject_of("recovery_link"), config),
        wait_seconds=max(0, AGAIN_AFTER - int((now - asked_at).total_seconds())),
        outage=outbox.mail_outage(db.session(), now, config),
        flooded=recovery.flooded(db.session(), now, config),
    )


@bp.post("/noch-einmal")
@anyone
def ask_again() -> ResponseReturnValue:
    form, request = ActionForm(), cookie.kept(cookie.REQUEST)
    if not request or not form.validate_on_submit():
        return asked(form)
    if datetime.now(UTC).timestamp() - request["at"] >= AGAIN_AFTER:
        _request_link(request["address"])
        return redirect_in_place(".asked", "Wir haben Ihre Anfrage noch einmal aufgenommen.")
    return redirect_in_place(".asked", "Ihre Anfrage ist schon unterwegs. Warten Sie bitte eine Minute.")


def _request_link(address: str) -> None:
    now, keys, account = datetime.now(UTC), link_keys(), known_device()
    device = keys.fingerprint(account) if account else None
    counted = recovery.only_counted(db.session(), now, current_app.config, keys, source(), address, device)
    with transaction("visitor", source()) as tx:
        if counted:
            tx.count(counted, tx.hour)
        reference = new_reference() if counted else recovery.request_link(tx, address, device)
        request = {"address": address, "at": int(now.timestamp()), "reference": reference}
        cookie.keep(tx, cookie.REQUEST, request, email=mail_address.canonical(address))
    session[cookie.ADDRESS] = session[cookie.REQUEST]
