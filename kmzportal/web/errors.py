"""Each error as a page, or as a sentence for htmx: what happened, and what to do next."""

import logging
import secrets

from flask import Flask, Response, request, url_for
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from kmzportal.db import db
from kmzportal.services.refusals import AccountLocked, ChangedMeanwhile, SessionOver, TooBusy
from kmzportal.web.auth import act_as_anonymous, login_manager
from kmzportal.web.responses import error_page

log = logging.getLogger(__name__)

_MESSAGES = {
    400: ("Das haben wir nicht verstanden", "Gehen Sie bitte zurück und versuchen Sie es noch einmal."),
    403: ("Das geht von hier aus nicht", "Rufen Sie die Seite bitte direkt auf und versuchen Sie es noch einmal."),
    404: ("Diese Seite gibt es nicht", "Prüfen Sie bitte die Adresse. Oder beginnen Sie auf der Seite Anmelden."),
    405: ("Das geht auf diesem Weg nicht", "Gehen Sie bitte zurück und benutzen Sie die Knöpfe auf der Seite."),
    413: ("Das ist zu viel auf einmal", "Kürzen Sie bitte Ihre Eingaben und senden Sie das Formular noch einmal ab."),
    429: ("Das waren zu viele Versuche", "Warten Sie bitte einige Minuten und versuchen Sie es dann noch einmal."),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(ChangedMeanwhile, changed_meanwhile)
    app.register_error_handler(AccountLocked, account_locked)
    app.register_error_handler(TooBusy, too_busy)
    app.register_error_handler(SessionOver, lambda _: login_manager.unauthorized())
    app.register_error_handler(Exception, internal_error)


def http_error(error: HTTPException) -> Response:
    status = error.code or 500
    title, text = _MESSAGES.get(status, _MESSAGES[400])
    answer = error_page(title, text, status, next_step={"label": "Zur Anmeldung", "url": url_for("login.login")})
    if allowed := getattr(error, "valid_methods", None):
        answer.headers["Allow"] = ", ".join(sorted(allowed))
    return answer


def changed_meanwhile(_: ChangedMeanwhile) -> Response:
    """Two saved the same record; the second is told and nothing is overwritten."""
    text = "Jemand anderes hat diese Daten gerade gespeichert. Laden Sie die Seite neu und prüfen Sie Ihre Änderung."
    return error_page("Die Daten haben sich geändert", text, 409)


def account_locked(_: AccountLocked | None = None) -> Response:
    """Also in the last moment: the office locked the account while its holder was at work."""
    text = "Nur wir können es wieder öffnen. Bitte melden Sie sich bei uns."
    return error_page("Ihr Konto ist gesperrt", text, 403, help="gesperrt")


def too_busy(_: TooBusy) -> Response:
    text = "Gerade melden sich sehr viele an. Warten Sie bitte einige Sekunden und versuchen Sie es noch einmal."
    answer = error_page("Bitte einen Moment", text, 503)
    answer.headers["Retry-After"] = "5"
    return answer


def internal_error(error: Exception) -> Response:
    """A bug: undo, log it under a number, and show the same number. The path may hold a token, so it is not logged."""
    db.session.rollback()
    if isinstance(error, SQLAlchemyError):
        act_as_anonymous()
    number = secrets.token_hex(4).upper()
    log.error("Fehler %s in %s", number, request.endpoint, exc_info=error)
    text = "Der Fehler liegt bei uns. Bitte versuchen Sie es in einigen Minuten noch einmal."
    return error_page("Das hat nicht geklappt", text, 500, error_number=number)
