"""Anmelden and Abmelden."""

from urllib.parse import urlsplit

from flask import Blueprint, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from kmzportal.db import db
from kmzportal.domain import passwords
from kmzportal.services import login as deeds
from kmzportal.unit_of_work import outside_transaction, unit_of_work
from kmzportal.web import kept_form
from kmzportal.web.access import anyone
from kmzportal.web.fields import Button, PortalForm, mail_address_field, password_field
from kmzportal.web.origin import device, source
from kmzportal.web.pages import go, go_to, local_path, page
from kmzportal.web.visitor import forget, login_manager, visitor, welcome

bp = Blueprint("login", __name__)


class LoginForm(PortalForm):
    email = mail_address_field()
    password = password_field("Passwort", "Geben Sie Ihr Passwort ein.")


@bp.get("/")
@anyone
def start() -> Response:
    return go("account.overview" if visitor.is_authenticated else "login.login")


@bp.route("/anmelden", methods=["GET", "POST"])
@anyone
def login() -> ResponseReturnValue:
    if visitor.is_authenticated:
        return go("account.overview")
    form = LoginForm(email=session.get("address"))
    if form.validate_on_submit():
        session["address"] = form.email.data  # carried along to Passwort vergessen
        if token := _enter(form.email.data or "", form.password.data or ""):
            wanted = local_path(request.args.get("weiter"))
            welcome(token)
            return go_to(wanted or url_for("account.overview"))
        form.form_errors.append("Falsche Zugangsdaten")
    return page("login/login.html", "login/_login_form.html", form, wanted=local_path(request.args.get("weiter")))


def _enter(address: str, password: str) -> str | None:
    """Return a new session's token or None; the hashing stands between two short transactions."""
    proof = outside_transaction(passwords.prove, password, deeds.password_hash_of(db.session(), address))
    with unit_of_work("visitor", source()) as work:
        return deeds.log_in(work, address, proof, device())


@bp.post("/abmelden")
@anyone
def logout() -> ResponseReturnValue:
    form, wanted = Button(), local_path(request.args.get("weiter"))
    if not form.validate_on_submit() and visitor.is_authenticated:
        return page("login/logout.html", "login/_logout_form.html", form, wanted=wanted)
    if visitor.is_authenticated:
        with unit_of_work(visitor.name, source()) as work:
            deeds.log_out(work, visitor.here)
    links = session.get("links")
    forget()
    if links and wanted:  # someone else's link is to be opened next; otherwise nothing stays on a shared computer
        session["links"] = links
    answer = go_to(wanted or url_for(".login"), "Sie sind abgemeldet.")
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'  # not "cookies": it would hit all of the domain
    return answer


def ask_to_log_in() -> Response:
    """Lead to the login page, as a whole page for htmx too; what was typed comes back afterwards."""
    wanted = _page_to_come_back_to()
    if wanted and request.method == "POST" and (actor := _actor_of_dead_session()):
        kept_form.keep(actor, wanted)
    if session.pop("_user_id", None):
        return go("login.login", "Sie wurden abgemeldet. Melden Sie sich bitte noch einmal an.", weiter=wanted)
    return go("login.login", weiter=wanted)


login_manager.unauthorized_handler(ask_to_log_in)


def _page_to_come_back_to() -> str | None:
    """Return the page that was asked for, or the one on which the form stood that was sent."""
    if request.url_rule and "GET" in (request.url_rule.methods or ()):
        return request.path
    return local_path(urlsplit(request.referrer or "").path)


def _actor_of_dead_session() -> str | None:
    token = session.get("_user_id")
    here = deeds.find_session(db.session(), token) if token else None
    return here.actor if here else None
