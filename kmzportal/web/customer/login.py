"""Login and logout, and the redirect to the login page."""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from flask import Blueprint, current_app, g, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import logout_user
from werkzeug.wrappers import Response

from kmzportal.models import Customer
from kmzportal.services import sessions
from kmzportal.services.transaction import transaction
from kmzportal.web import auth, cookie, passkeys
from kmzportal.web.auth import anyone, current_user, login_manager
from kmzportal.web.forms import ActionForm, LoginForm, save_input
from kmzportal.web.passkeys import PasskeyForm
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
    form, wanted = LoginForm(email=cookie.kept(cookie.ADDRESS).get("address")), local_path(request.args.get("weiter"))
    if form.validate_on_submit():
        if new := auth.log_in(form.email.data or "", form.password.data or "", Customer):
            auth.sign_in(new)
            return redirect_to_path(wanted or url_for(current_user.home_endpoint))
        form.add_wrong_credentials()
    return _page(form, wanted, passkey=request.method == "GET")


@bp.route("/anmelden/passkey", methods=["GET", "POST"])
@anyone
def with_passkey() -> ResponseReturnValue:
    form, wanted = PasskeyForm(), local_path(request.args.get("weiter"))
    if request.method == "GET" or current_user.is_authenticated:
        return redirect_to(".login", weiter=wanted)
    if new := passkeys.log_in(form, Customer):
        auth.sign_in(new)
        return redirect_to_path(wanted or url_for(current_user.home_endpoint))
    login_form = LoginForm(formdata=None)
    login_form.form_errors = [text for text, _ in form.reasons]
    return _page(login_form, wanted, passkey=True)


def _page(form: LoginForm, wanted: str | None, passkey: bool) -> ResponseReturnValue:
    """Return the page; without `passkey` it has no random challenge, so that all refused passwords are answered alike.

    Nothing is lost by that: with JavaScript only the form is replaced, and without it there are no passkeys.
    """
    options = passkeys.login_options(Customer) if passkey else ""
    return render("customer/login.html", form, wanted=wanted, options=options)


@bp.post("/abmelden")
@anyone
def logout() -> ResponseReturnValue:
    """Log out customers and clerks, and end all visits to links; with `weiter`, that to the wanted link goes on."""
    form, wanted = ActionForm(), local_path(request.args.get("weiter"))
    login_endpoint = auth.LOGIN_ENDPOINT
    if (current_user.is_authenticated or cookie.holds_rows()) and not form.validate_on_submit():
        return render("customer/logout.html", form, wanted=wanted)
    if current_user.is_authenticated:
        login_endpoint = auth.STAFF_LOGIN_ENDPOINT if current_user.login_session.clerk else auth.LOGIN_ENDPOINT
    following = re.fullmatch(r"/konto-link/(\d{1,18})", wanted or "")
    visit = cookie.find_visit(int(following[1])) if following else None
    going_on = visit is not None and visit.alive(datetime.now(UTC))
    if current_user.is_authenticated or cookie.holds_rows():  # otherwise anyone could take the write lock at any rate
        with transaction(current_user.actor, auth.source()) as tx:
            if current_user.is_authenticated:
                sessions.log_out(tx, current_user.login_session)
            cookie.end_visits(tx)
            cookie.forget(tx, *cookie.KEPT)
    auth.clear_session()
    if visit and going_on:
        with transaction("visitor") as tx:
            cookie.start_visit(tx, visit.link, visit)
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
    return redirect_to(
        login_endpoint, "Sie wurden abgemeldet. Melden Sie sich bitte noch einmal an.", "info", weiter=wanted
    )
