"""Anmelden im Kundenservice: a door of its own for clerks, and the second factor behind it."""

from datetime import UTC, datetime

from flask import Blueprint, request, session, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from kmzportal.db import db
from kmzportal.models.clerk import Clerk
from kmzportal.models.login_session import LoginSession
from kmzportal.services import second_factor as second_factor_service
from kmzportal.services import sessions
from kmzportal.services.refusals import SessionOver
from kmzportal.services.transaction import transaction
from kmzportal.web.auth import anyone, current_user, sign_in, source
from kmzportal.web.forms import LoginForm, PortalForm
from kmzportal.web.responses import error_page, local_path, redirect_to, redirect_to_path, render

bp = Blueprint("staff_login", __name__, url_prefix="/kundenservice")

TOO_SLOW = "Das hat zu lange gedauert. Melden Sie sich bitte noch einmal an."
WRONG = "Dieser Code stimmt nicht. Jeder Code gilt nur einmal. Nach mehreren Versuchen warten Sie bitte einige Minuten."


class CodeForm(PortalForm):
    code = StringField(
        "Code aus der App", [InputRequired("Geben Sie den Code ein."), Length(max=40, message="Das ist zu lang.")]
    )


@bp.route("/anmelden", methods=["GET", "POST"])
@anyone
def login() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return _already_in()
    form = LoginForm(email=session.get("address"))
    if form.validate_on_submit() and (token := form.enter(Clerk)):
        sign_in(token)
        return _go_in() if current_user.is_authenticated else redirect_to(".second_factor", weiter=_wanted())
    return render("desk/login.html", form, wanted=_wanted())


@bp.route("/zweiter-faktor", methods=["GET", "POST"])
@anyone
def second_factor() -> ResponseReturnValue:
    """Half of the way: the password was right, and this session can do nothing but take the code."""
    if current_user.is_authenticated:
        return _already_in()
    login_session = _half_way()
    if login_session is None or login_session.clerk is None:
        return _begin_again()
    if login_session.clerk.factor_nonce is None:
        return render("desk/no_second_factor.html", clerk=login_session.clerk)
    form = CodeForm()
    if form.validate_on_submit() and (answer := _take_code(login_session, form)):
        return answer
    return render("desk/second_factor.html", form, wanted=_wanted())


def _take_code(login_session: LoginSession, form: CodeForm) -> ResponseReturnValue | None:
    try:
        with transaction("visitor", source()) as tx:
            token = second_factor_service.verify_login(tx, login_session, form.code.data or "")
    except SessionOver:  # another tab was quicker
        return _begin_again()
    if token is None:
        form.code.errors = [WRONG]
        return None
    sign_in(token)
    return _go_in()


def _begin_again() -> ResponseReturnValue:
    return redirect_to(".login", TOO_SLOW if session.pop("awaits_code", None) else None, weiter=_wanted())


def _half_way() -> LoginSession | None:
    """Return the session that awaits its code, if it is alive."""
    token = session.get("awaits_code")
    login_session = sessions.find(db.session(), token) if token else None
    db.session.commit()
    alive = (
        login_session
        and login_session.awaits_code
        and login_session.clerk
        and not login_session.clerk.locked_at
        and login_session.alive(datetime.now(UTC))
    )
    return login_session if alive else None


def _already_in() -> ResponseReturnValue:
    if current_user.login_session.clerk:
        return _go_in()
    return error_page(
        "Sie sind als Kundin oder Kunde angemeldet",
        "Der Kundenservice ist für unsere Mitarbeitenden. Melden Sie sich zuerst ab.",
        403,
    )


def _go_in() -> ResponseReturnValue:
    return redirect_to_path(_wanted() or url_for(current_user.home_endpoint))


def _wanted() -> str | None:
    """Return the page of the desk that was asked for before; customers' pages would only say no."""
    path = local_path(request.args.get("weiter"))
    return path if path and path.startswith(f"{bp.url_prefix}/") else None
