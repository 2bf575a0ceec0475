"""Login and logout, and the redirect to the login page."""

from urllib.parse import urlsplit

from flask import Blueprint, current_app, g, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import logout_user
from werkzeug.wrappers import Response

from kmzportal.models import Customer
from kmzportal.services import sessions
from kmzportal.services.transaction import transaction
from kmzportal.web import auth
from kmzportal.web.auth import anyone, current_user, login_manager
from kmzportal.web.forms import ActionForm, LoginForm, save_input
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
    form, wanted = LoginForm(email=session.get("address")), local_path(request.args.get("weiter"))
    if form.validate_on_submit():
        session["address"] = form.email.data  # filled in at Passwort vergessen
        if new := auth.log_in(form.email.data or "", form.password.data or "", Customer):
            auth.sign_in(new)
            return redirect_to_path(wanted or url_for(current_user.home_endpoint))
        form.add_wrong_credentials()
    return render("customer/login.html", form, wanted=wanted)


@bp.post("/abmelden")
@anyone
def logout() -> ResponseReturnValue:
    """Log out customers and clerks. With `weiter`, a link of another person follows: the cookie keeps opened links."""
    form, wanted = ActionForm(), local_path(request.args.get("weiter"))
    login_endpoint = auth.LOGIN_ENDPOINT
    if current_user.is_authenticated:
        if not form.validate_on_submit():
            return render("customer/logout.html", form, wanted=wanted)
        login_endpoint = auth.STAFF_LOGIN_ENDPOINT if current_user.login_session.clerk else auth.LOGIN_ENDPOINT
        with transaction(current_user.actor, auth.source()) as tx:
            sessions.log_out(tx, current_user.login_session)
    links = session.get("links")
    auth.clear_session()
    if links and wanted:
        session["links"] = links
    response = redirect_to_path(wanted or url_for(login_endpoint), "Sie sind abgemeldet.")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'  # "cookies" would clear those of the whole domain
    return response


@login_manager.unauthorized_handler  # type: ignore[untyped-decorator]
def ask_to_log_in() -> Response:
    """Redirect to the login page for this view, and save the input of an ended session until after the login."""
    view = current_app.view_functions.get(request.endpoint or "")
    login_endpoint = getattr(view, "login_endpoint", auth.LOGIN_ENDPOINT)
    wanted = auth.form_url()
    if "ended_session" not in g:
        return redirect_to(login_endpoint, weiter=wanted)
    logout_user()  # removes the token from the cookie, so that the notice is shown once
    if g.ended_session and wanted and request.method == "POST":
        save_input(g.ended_session.actor, urlsplit(wanted).path)
    return redirect_to(login_endpoint, "Sie wurden abgemeldet. Melden Sie sich bitte noch einmal an.", weiter=wanted)
