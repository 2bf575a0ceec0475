"""Anmelden and Abmelden."""

from urllib.parse import urlsplit

from flask import Blueprint, current_app, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from kmzportal.db import db
from kmzportal.services import login as deeds
from kmzportal.unit_of_work import unit_of_work
from kmzportal.web import kept_form
from kmzportal.web.access import anyone
from kmzportal.web.credentials import LoginForm
from kmzportal.web.fields import Button
from kmzportal.web.origin import source
from kmzportal.web.pages import go, go_to, local_path, page
from kmzportal.web.visitor import DOOR, forget, login_manager, visitor, welcome

bp = Blueprint("login", __name__)


@bp.get("/")
@anyone
def start() -> Response:
    return go(visitor.home if visitor.is_authenticated else ".login")


@bp.route("/anmelden", methods=["GET", "POST"])
@anyone
def login() -> ResponseReturnValue:
    if visitor.is_authenticated:
        return go(visitor.home)
    form = LoginForm(email=session.get("address"))
    if form.validate_on_submit():
        session["address"] = form.email.data  # carried along to Passwort vergessen
        if token := form.enter():
            welcome(token)
            return go_to(local_path(request.args.get("weiter")) or url_for(visitor.home))
    return page("login/login.html", "login/_login_form.html", form, wanted=local_path(request.args.get("weiter")))


@bp.post("/abmelden")
@anyone
def logout() -> ResponseReturnValue:
    form, wanted = Button(), local_path(request.args.get("weiter"))
    if not form.validate_on_submit() and visitor.is_authenticated:
        return page("login/logout.html", "login/_logout_form.html", form, wanted=wanted)
    door = visitor.door if visitor.is_authenticated else DOOR
    if visitor.is_authenticated:
        with unit_of_work(visitor.name, source()) as work:
            deeds.log_out(work, visitor.here)
    links = session.get("links")
    forget()
    if links and wanted:  # someone else's link is to be opened next; otherwise nothing stays on a shared computer
        session["links"] = links
    answer = go_to(wanted or url_for(door), "Sie sind abgemeldet.")
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'  # not "cookies": it would hit all of the domain
    return answer


def ask_to_log_in() -> Response:
    """Lead to the door of the wanted page, as a whole page for htmx too; what was typed comes back afterwards."""
    door = getattr(current_app.view_functions.get(request.endpoint or ""), "door", DOOR)
    wanted = _page_to_come_back_to()
    if wanted and request.method == "POST" and (actor := _actor_of_dead_session()):
        kept_form.keep(actor, wanted)
    if session.pop("_user_id", None):
        return go(door, "Sie wurden abgemeldet. Melden Sie sich bitte noch einmal an.", weiter=wanted)
    return go(door, weiter=wanted)


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
