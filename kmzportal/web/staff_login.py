"""Anmelden im Kundenservice: a door of its own for clerks, and the second factor behind it."""

from datetime import UTC, datetime

from flask import Blueprint, request, session, url_for
from flask.typing import ResponseReturnValue
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from kmzportal.db import db
from kmzportal.domain.clerk import Clerk
from kmzportal.domain.login_session import LoginSession
from kmzportal.domain.refusals import SessionOver
from kmzportal.services import login as login_deeds
from kmzportal.services import second_factor as deeds
from kmzportal.unit_of_work import unit_of_work
from kmzportal.web.access import anyone
from kmzportal.web.credentials import LoginForm
from kmzportal.web.fields import PortalForm
from kmzportal.web.origin import source
from kmzportal.web.pages import go, go_to, local_path, page, sorry
from kmzportal.web.visitor import visitor, welcome

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
    if visitor.is_authenticated:
        return _already_in()
    form = LoginForm(email=session.get("address"))
    if form.validate_on_submit() and (token := form.enter(Clerk)):
        welcome(token)
        return _go_in() if visitor.is_authenticated else go(".second_factor", weiter=_wanted())
    return page("staff_login/login.html", "staff_login/_login_form.html", form, wanted=_wanted())


@bp.route("/zweiter-faktor", methods=["GET", "POST"])
@anyone
def second_factor() -> ResponseReturnValue:
    """Half of the way: the password was right, and this session can do nothing but take the code."""
    if visitor.is_authenticated:
        return _already_in()
    here = _half_way()
    if here is None or here.clerk is None:
        return _begin_again()
    if here.clerk.factor_nonce is None:
        return page("staff_login/no_factor.html", "staff_login/_no_factor.html", clerk=here.clerk)
    form = CodeForm()
    if form.validate_on_submit() and (answer := _take_code(here, form)):
        return answer
    return page("staff_login/second_factor.html", "staff_login/_second_factor_form.html", form, wanted=_wanted())


def _take_code(here: LoginSession, form: CodeForm) -> ResponseReturnValue | None:
    try:
        with unit_of_work("visitor", source()) as work:
            token = deeds.enter(work, here, form.code.data or "")
    except SessionOver:  # another tab was quicker
        return _begin_again()
    if token is None:
        form.code.errors = [WRONG]
        return None
    welcome(token)
    return _go_in()


def _begin_again() -> ResponseReturnValue:
    return go(".login", TOO_SLOW if session.pop("awaits_code", None) else None, weiter=_wanted())


def _half_way() -> LoginSession | None:
    """Return the session that awaits its code, if it is alive."""
    token = session.get("awaits_code")
    here = login_deeds.find_session(db.session(), token) if token else None
    db.session.commit()
    alive = here and here.awaits_code and here.clerk and not here.clerk.locked_at and here.alive(datetime.now(UTC))
    return here if alive else None


def _already_in() -> ResponseReturnValue:
    if visitor.here.clerk:
        return _go_in()
    return sorry(
        "Sie sind als Kundin oder Kunde angemeldet",
        "Der Kundenservice ist für unsere Mitarbeitenden. Melden Sie sich zuerst ab.",
        403,
    )


def _go_in() -> ResponseReturnValue:
    return go_to(_wanted() or url_for(visitor.home))


def _wanted() -> str | None:
    """Return the page of the desk that was asked for before; customers' pages would only say no."""
    path = local_path(request.args.get("weiter"))
    return path if path and path.startswith(f"{bp.url_prefix}/") else None
