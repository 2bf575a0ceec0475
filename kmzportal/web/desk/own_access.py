"""Mein Zugang: clerks change their own password and second factor, and end their sessions and known devices."""

from functools import wraps
from typing import Any

from flask import Blueprint, current_app, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from kmzportal.models import Clerk
from kmzportal.services import accounts, passwords, second_factor
from kmzportal.services.second_factor import RECOVERY_CODES, SecondFactor
from kmzportal.services.shares import Holder
from kmzportal.services.transaction import factor_keys, link_keys, run_outside_transaction
from kmzportal.web import own_devices
from kmzportal.web.auth import (
    View,
    act,
    check_own_password,
    clerk_only,
    current_user,
    fresh_second_factor,
    require_second_factor,
    store_session,
    user_transaction,
)
from kmzportal.web.forms import ActionForm, CodesKeptForm, NewPasswordForm, PortalForm, password_field
from kmzportal.web.responses import qr_code, redirect_to, render

bp = Blueprint("own_access", __name__, url_prefix="/kundenservice/zugang")

WRONG = "Das aktuelle Passwort stimmt nicht. Nach mehreren Versuchen warten Sie bitte einige Minuten."


class PasswordForm(NewPasswordForm):
    first = ("current",)
    current = password_field("Aktuelles Passwort", "Geben Sie Ihr aktuelles Passwort ein.")


class FactorForm(PortalForm):
    code = StringField(
        "Code aus der App",
        [InputRequired("Geben Sie den Code ein."), Length(max=40, message="Der Code hat 6 Ziffern.")],
    )


@bp.get("")
@clerk_only
def overview(form: ActionForm | None = None) -> ResponseReturnValue:
    clerk = current_user.clerk
    codes_left = RECOVERY_CODES - len(clerk.recovery_codes_used)
    return render("desk/own_access.html", form, clerk=clerk, codes_left=codes_left, **own_devices.listed())


@bp.route("/passwort", methods=["GET", "POST"])
@clerk_only
def change_password() -> ResponseReturnValue:
    """Change the password; who has a second factor enters it afresh before, the others only the current password."""
    clerk: Clerk = current_user.clerk
    if clerk.has_factor:
        require_second_factor()
    form = PasswordForm()
    if form.validate_on_submit() and _is_current(form) and form.validate_new_password(clerk):
        holder = Holder(current_user.actor, known=True)
        password_hash = run_outside_transaction(passwords.hash_password, form.new.data, holder)
        with user_transaction() as tx:
            new = accounts.change_password(tx, clerk, current_user.login_session, password_hash)
        store_session(new)
        return redirect_to(".overview", "Ihr neues Passwort gilt ab jetzt. Alle anderen Geräte sind abgemeldet.")
    if form.errors:
        form.add_emptied_error()
    return render("desk/own_password.html", form, minimum=accounts.password_minimum(clerk, current_app.config))


def _is_current(form: PasswordForm) -> bool:
    """Return whether the current password is right; if so, the session gets a new token."""
    if new := check_own_password(form.current.data or ""):
        store_session(new)
        return True
    form.current.errors = [WRONG]
    return False


@bp.route("/zweiter-faktor", methods=["GET", "POST"])
@clerk_only
@fresh_second_factor
def set_up_factor() -> ResponseReturnValue:
    """Set up an app, in place of the one before. The answer shows the recovery codes, which no GET does."""
    form, nonce = FactorForm(), _nonce()
    login_session = current_user.login_session
    new = act(form, lambda tx: second_factor.renew(tx, current_user.clerk, login_session, nonce, form.code.data or ""))
    factor = SecondFactor(factor_keys(), nonce)
    if new:
        store_session(new)
        return _show_once(factor.recovery_codes)
    return render("desk/own_factor.html", form, clerk=current_user.clerk, factor=factor, uri=_uri())


@bp.get("/zweiter-faktor/qr.svg")
@clerk_only
@fresh_second_factor
def show_qr_code() -> ResponseReturnValue:
    return qr_code(_uri())


def _nonce() -> str:
    return second_factor.nonce_for(link_keys(), current_user.login_session, current_user.clerk)


def _uri() -> str:
    return SecondFactor(factor_keys(), _nonce()).uri(current_user.clerk.email, current_app.config["OFFICE_NAME"])


@bp.route("/ersatzcodes", methods=["GET", "POST"])
@clerk_only
@fresh_second_factor
def renew_codes() -> ResponseReturnValue:
    clerk, form = current_user.clerk, ActionForm()
    if clerk.factor_nonce is None:
        return redirect_to(".overview")
    if codes := act(form, lambda tx: second_factor.renew_recovery_codes(tx, clerk)):
        return _show_once(codes)
    return render("desk/own_codes.html", form)


def _show_once(codes: list[str]) -> ResponseReturnValue:
    return render("desk/own_new_codes.html", CodesKeptForm(formdata=None), codes=codes)


@bp.route("/ersatzcodes/aufbewahrt", methods=["GET", "POST"])
@clerk_only
def codes_kept() -> ResponseReturnValue:
    """Go on once the recovery codes are kept; they are not shown again."""
    form = CodesKeptForm()
    if request.method != "POST" or form.validate_on_submit():
        return redirect_to(".overview")
    return render("desk/own_new_codes.html", form, codes=[])


def after_proof(view: View) -> View:
    """Ask for the second factor before the view unless login or proof of the session are fresh. Below clerk_only."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:
        if own_devices.proof_due():
            require_second_factor(url_for(".overview"))
        return view(*args, **kwargs)

    return guarded


@bp.post("/geraete/<int(max=2147483647):session_id>/beenden")
@clerk_only
@after_proof
def end_session(session_id: int) -> ResponseReturnValue:
    return own_devices.end_session(session_id, overview, ".overview")


@bp.post("/bekannte-geraete/<int(max=2147483647):device_id>/entfernen")
@clerk_only
@after_proof
def forget_device(device_id: int) -> ResponseReturnValue:
    return own_devices.forget(device_id, overview, ".overview")


@bp.post("/geraete/andere-beenden")
@clerk_only
@after_proof
def end_other_devices() -> ResponseReturnValue:
    return own_devices.end_others(overview, ".overview")
