"""Anmelden and Abmelden."""

from urllib.parse import urlsplit

from flask import Blueprint, current_app, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import logout_user
from werkzeug.wrappers import Response

from kmzportal.db import db
from kmzportal.services import sessions
from kmzportal.services.transaction import transaction
from kmzportal.web import forms
from kmzportal.web.auth import (
    LOGIN_ENDPOINT,
    anyone,
    clear_session,
    current_user,
    login_manager,
    presented_token,
    sign_in,
    source,
)
from kmzportal.web.forms import ActionForm, LoginForm
from kmzportal.web.responses import local_path, redirect_to, redirect_to_path, render

bp = Blueprint("login", __name__)


@bp.get("/")
@anyone
def start() -> Response:
    return redirect_to(current_user.home_endpoint if current_user.is_authenticated else ".login")


@bp.route("/anmelden", methods=["GET", "POST"])
@anyone
def login() -> ResponseReturnValue:
    if current_user.is_authenticated:
        return redirect_to(current_user.home_endpoint)
    form = LoginForm(email=session.get("address"))
    if form.validate_on_submit():
        session["address"] = form.email.data  # carried along to Passwort vergessen
        if token := form.enter():
            sign_in(token)
            return redirect_to_path(local_path(request.args.get("weiter")) or url_for(current_user.home_endpoint))
    return render("customer/login.html", form, wanted=local_path(request.args.get("weiter")))


@bp.post("/abmelden")
@anyone
def logout() -> ResponseReturnValue:
    form, wanted = ActionForm(), local_path(request.args.get("weiter"))
    if not form.validate_on_submit() and current_user.is_authenticated:
        return render("customer/logout.html", form, wanted=wanted)
    door = current_user.login_endpoint if current_user.is_authenticated else LOGIN_ENDPOINT
    if current_user.is_authenticated:
        with transaction(current_user.actor, source()) as tx:
            sessions.log_out(tx, current_user.login_session)
    links = session.get("links")
    clear_session()
    if links and wanted:  # someone else's link is to be opened next; otherwise nothing stays on a shared computer
        session["links"] = links
    answer = redirect_to_path(wanted or url_for(door), "Sie sind abgemeldet.")
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'  # not "cookies": it would hit all of the domain
    return answer


def ask_to_log_in() -> Response:
    """Lead to the door of the wanted page, as a whole page for htmx too; what was typed comes back afterwards."""
    door = getattr(current_app.view_functions.get(request.endpoint or ""), "login_endpoint", LOGIN_ENDPOINT)
    wanted = _page_to_come_back_to()
    if wanted and request.method == "POST" and (actor := _actor_of_dead_session()):
        forms.save_input(actor, wanted)
    if presented_token():
        logout_user()  # says so once
        return redirect_to(door, "Sie wurden abgemeldet. Melden Sie sich bitte noch einmal an.", weiter=wanted)
    return redirect_to(door, weiter=wanted)


login_manager.unauthorized_handler(ask_to_log_in)


def _page_to_come_back_to() -> str | None:
    """Return the page that was asked for, or the one on which the form stood that was sent."""
    if request.url_rule and "GET" in (request.url_rule.methods or ()):
        return request.path
    return local_path(urlsplit(request.referrer or "").path)


def _actor_of_dead_session() -> str | None:
    token = presented_token()
    login_session = sessions.find(db.session(), token) if token else None
    return login_session.actor if login_session else None
