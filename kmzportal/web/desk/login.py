"""The login of clerks, with password and second factor."""

from datetime import UTC, datetime

from flask import Blueprint, current_app, request, session, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from kmzportal.db import db
from kmzportal.models import Clerk, LoginSession
from kmzportal.services import second_factor, sessions
from kmzportal.services.refusals import SessionOver
from kmzportal.services.transaction import transaction
from kmzportal.web import passkeys
from kmzportal.web.auth import (
    anyone,
    check_own_password,
    clerk_only,
    current_user,
    device_token,
    log_in,
    sign_in,
    source,
    store_session,
    user_transaction,
)
from kmzportal.web.forms import LoginForm, password_field
from kmzportal.web.passkeys import PasskeyForm, WithPasskey
from kmzportal.web.responses import error_page, local_path, redirect_to, redirect_to_path, render

bp = Blueprint("desk_login", __name__, url_prefix="/kundenservice")

TOO_SLOW = "Das hat zu lange gedauert. Melden Sie sich bitte noch einmal an."
WRONG = "Dieser Code stimmt nicht. Jeder Code gilt nur einmal. Nach mehreren Versuchen warten Sie bitte einige Minuten."
NOT_CONFIRMED = "Das Passwort stimmt nicht. Nach mehreren Versuchen warten Sie bitte einige Minuten."


class CodeForm(WithPasskey):
    stands_for = "code"
    code = StringField(
        "Code aus der App", [InputRequired("Geben Sie den Code ein."), Length(max=40, message="Das ist zu lang.")]
    )


class PasswordForm(WithPasskey):
    stands_for = "password"
    password = password_field("Passwort", "Geben Sie Ihr Passwort ein.")


@bp.route("/anmelden", methods=["GET", "POST"])
@anyone
def login() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return _redirect_after_login()
    form = LoginForm()  # never filled in: what was typed on the pages of customers stays there
    if form.validate_on_submit():
        if new := log_in(form.email.data or "", form.password.data or "", Clerk):
            sign_in(new)
            if current_user.is_authenticated:
                return _redirect_after_login()
            return redirect_to(".enter_code", weiter=_wanted())
        form.add_wrong_credentials()
    return _login_page(form)


@bp.route("/anmelden/passkey", methods=["GET", "POST"])
@anyone
def with_passkey() -> ResponseReturnValue:
    """Log in by passkey alone, or with it in place of the code: it is possession and a second factor in one."""
    form = PasskeyForm()
    if current_user.is_authenticated:
        return _redirect_after_login()
    if request.method == "GET":
        return redirect_to(".login", weiter=_wanted())
    if new := passkeys.log_in(form, Clerk):
        sign_in(new)
        return _redirect_after_login()
    login_form = LoginForm(formdata=None)
    login_form.form_errors = [text for text, _ in form.reasons]
    return _login_page(login_form)


def _login_page(form: LoginForm) -> ResponseReturnValue:
    return render("desk/login.html", form, wanted=_wanted(), options=passkeys.login_options(Clerk))


@bp.route("/zweiter-faktor", methods=["GET", "POST"])
@anyone
def enter_code() -> ResponseReturnValue:
    """Ask for the code. Until it is right, the session gives no access."""
    if current_user.is_authenticated:
        return _redirect_after_login()
    login_session = _session_awaiting_code()
    if login_session is None or login_session.clerk is None:
        return _restart()
    if not _has_demanded_factor(login_session.clerk):
        return render("desk/no_second_factor.html", clerk=login_session.clerk, passkey_only=_passkey_only())
    form = CodeForm()
    if form.validate_on_submit() and (response := _verify(login_session, form)):
        return response
    clerk = login_session.clerk
    options = passkeys.login_options(Clerk) if clerk.passkeys else ""
    return render("desk/second_factor.html", form, wanted=_wanted(), options=options, by_code=_by_code(clerk))


def _by_code(clerk: Clerk) -> bool:
    """Return whether the clerk has an app whose codes count."""
    return bool(clerk.factor_nonce) and not _passkey_only()


def _passkey_only() -> bool:
    return bool(current_app.config["STAFF_SECOND_FACTOR"] == "passkey")


def _has_demanded_factor(clerk: Clerk) -> bool:
    return _by_code(clerk) or bool(clerk.passkeys)


def _verify(login_session: LoginSession, form: CodeForm) -> ResponseReturnValue | None:
    """Return the redirect after a right code; None after a wrong one, with an error in the form."""
    try:
        with transaction("visitor", source(), device_token=device_token()) as tx:
            new = second_factor.verify_login(tx, login_session, form.code.data or "")
    except SessionOver:  # another tab logged in first
        return _restart()
    if new is None:
        form.code.errors = [WRONG]
        return None
    sign_in(new)
    return _redirect_after_login()


@bp.route("/bestaetigen", methods=["GET", "POST"])
@clerk_only
def confirm() -> ResponseReturnValue:
    """Ask for the second factor afresh, or for the password where there is none; see auth.fresh_second_factor."""
    clerk: Clerk = current_user.clerk
    if not _has_demanded_factor(clerk) and current_app.config["STAFF_SECOND_FACTOR"] != "offered":
        return render("desk/no_second_factor.html", clerk=clerk, passkey_only=_passkey_only())
    form = CodeForm() if _by_code(clerk) else PasskeyForm() if clerk.passkeys else PasswordForm()
    if form.validate_on_submit() and (passkeys.confirm(form) if form.passkey.data else _confirmed(clerk, form)):
        return redirect_to_path(_wanted() or url_for(current_user.home_endpoint))
    return render("desk/confirm.html", form, wanted=_wanted(), options=passkeys.confirm_options())


def _confirmed(clerk: Clerk, form: CodeForm | PasswordForm) -> bool:
    """Return whether code or password is right; if so, the session gets a new token."""
    field, by_code = form[form.stands_for], isinstance(form, CodeForm)
    if by_code:
        with user_transaction() as tx:
            new = second_factor.confirm(tx, clerk, current_user.login_session, field.data or "")
    else:
        new = check_own_password(field.data or "")
    if new:
        store_session(new)
    else:
        field.errors = [WRONG if by_code else NOT_CONFIRMED]
    return bool(new)


def _session_awaiting_code() -> LoginSession | None:
    token = session.get("awaits_code")
    found = sessions.find(db.session(), token) if token else None
    db.session.commit()
    if found is None or found.clerk is None or found.clerk.locked_at:
        return None
    return found if found.awaits_code and found.alive(datetime.now(UTC)) else None


def _restart() -> ResponseReturnValue:
    return redirect_to(".login", TOO_SLOW if session.pop("awaits_code", None) else None, weiter=_wanted())


def _redirect_after_login() -> ResponseReturnValue:
    """Redirect a clerk to the requested page; a customer has to log out first."""
    if current_user.login_session.clerk:
        return redirect_to_path(_wanted() or url_for(current_user.home_endpoint))
    return error_page(
        "Sie sind als Kundin oder Kunde angemeldet",
        "Der Kundenservice ist für unsere Mitarbeitenden. Melden Sie sich zuerst ab.",
        403,
    )


def _wanted() -> str | None:
    """Return the desk page that was requested before the login; clerks have no access to those of customers."""
    path = local_path(request.args.get("weiter"))
    return path if path and path.startswith(f"{bp.url_prefix}/") else None
