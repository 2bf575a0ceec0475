"""Passwort vergessen: the same response for every address. The worker looks up the account and mails the link."""

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from kmzportal import mail_address
from kmzportal.db import db
from kmzportal.mail.compose import subject_line, subject_of
from kmzportal.services import outbox, recovery
from kmzportal.services.tokens import new_reference
from kmzportal.services.transaction import link_keys, transaction
from kmzportal.web import cookie
from kmzportal.web.auth import anyone, background_poll, known_device, source
from kmzportal.web.forms import ActionForm, PortalForm, mail_address_field
from kmzportal.web.responses import redirect_in_place, redirect_to, render, wants_fragment

bp = Blueprint("recovery", __name__, url_prefix="/passwort-vergessen")

AGAIN_AFTER = 60  # seconds
DONE_AFTER = 10  # seconds until the page says that a request is done; the worker needs a second or two
EARLY = "Die E-Mail ist schon unterwegs. In einer Minute können Sie es noch einmal versuchen."


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
    state = _state(request)
    return render(
        "customer/request_sent.html",
        form or ActionForm(formdata=None),
        address=request["address"],
        reference=request["reference"],
        valid_until=state["asked_at"] + timedelta(seconds=config["RECOVERY_LINK_LIFETIME"]),
        subject=subject_line(subject_of("recovery_link"), config),
        correction=mail_address.suggest_correction(request["address"]),
        wait_seconds=max(0, AGAIN_AFTER - int((now - state["asked_at"]).total_seconds())),
        **state,
    )


@bp.get("/stand")
@anyone
@background_poll
def request_state() -> ResponseReturnValue:
    """The part of the page that says what became of the request; nothing when the request is no longer kept."""
    request = cookie.kept(cookie.REQUEST)
    if not wants_fragment():
        return redirect_to(".asked")
    return render("customer/_request_state.html", **_state(request)) if request else ("", 204)


def _state(request: dict[str, Any]) -> dict[str, Any]:
    """Return what became of the request, from what is the same for all addresses: the time, an outage, a flood.

    Not from its row: that is answered at another time for an unknown address, and a request over a limit has none.
    """
    now, config = datetime.now(UTC), current_app.config
    asked_at = datetime.fromtimestamp(request["at"], UTC)
    return {
        "asked_at": asked_at,
        "done": now - asked_at >= timedelta(seconds=DONE_AFTER),
        "outage": outbox.public_outage(db.session(), now, config),
        "flooded": recovery.flooded(db.session(), now, config),
    }


@bp.post("/noch-einmal")
@anyone
def ask_again() -> ResponseReturnValue:
    form, request = ActionForm(), cookie.kept(cookie.REQUEST)
    if not request or not form.validate_on_submit():
        return asked(form)
    if datetime.now(UTC).timestamp() - request["at"] >= AGAIN_AFTER:
        _request_link(request["address"])
        return redirect_in_place(".asked", "Wir haben Ihre Anfrage noch einmal aufgenommen.")
    return redirect_in_place(".asked", EARLY, "info")


def _request_link(address: str) -> None:
    keys, account = link_keys(), known_device()
    device = keys.fingerprint(account) if account else None
    counted = recovery.only_counted(
        db.session(), datetime.now(UTC), current_app.config, keys, source(), address, device
    )
    with transaction("visitor", source()) as tx:
        if counted:
            tx.count(counted, tx.hour)
        reference = new_reference() if counted else recovery.request_link(tx, address, device)
        cookie.keep_request(tx, address, reference)
