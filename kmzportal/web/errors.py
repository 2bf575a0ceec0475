"""Error pages, or sentences for htmx, with the next step."""

import logging
import sqlite3
from contextlib import suppress

from flask import Flask, Response, g, request, url_for
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError, TimeoutError
from sqlalchemy.orm.exc import ObjectDeletedError
from werkzeug.exceptions import HTTPException, NotFound

from kmzportal.db import db
from kmzportal.logs import log_database_error, request_id
from kmzportal.services.refusals import AccountLocked, ChangedMeanwhile, Refusal, SessionOver, SourceBusy, TooBusy
from kmzportal.web.auth import (
    MissingRight,
    SecondFactorDue,
    act_as_anonymous,
    ask_for_second_factor,
    current_user,
    login_manager,
)
from kmzportal.web.responses import error_page

log = logging.getLogger(__name__)

_MESSAGES = {
    400: ("Das haben wir nicht verstanden", "Gehen Sie bitte zurück und versuchen Sie es noch einmal."),
    403: ("Das geht von hier aus nicht", "Rufen Sie die Seite bitte direkt auf und versuchen Sie es noch einmal."),
    404: ("Diese Seite gibt es nicht", "Prüfen Sie bitte die Adresse. Oder beginnen Sie von vorn."),
    405: ("Das geht auf diesem Weg nicht", "Diese Adresse öffnet keine Seite. Sie gehört zu einem Knopf."),
    413: ("Das ist zu viel auf einmal", "Kürzen Sie bitte Ihre Eingaben und senden Sie das Formular noch einmal ab."),
    429: ("Das waren zu viele Versuche", "Warten Sie bitte einige Minuten und versuchen Sie es dann noch einmal."),
}
_REFUSALS: dict[type[Exception], tuple[str, str, int]] = {
    ChangedMeanwhile: (
        "Die Daten haben sich geändert",
        "Jemand anderes hat diese Daten gerade gespeichert. Laden Sie die Seite neu und prüfen Sie Ihre Änderung.",
        409,
    ),
    AccountLocked: (
        "Ihr Konto ist gesperrt",
        "Nur wir können es wieder entsperren. Bitte melden Sie sich bei uns.",
        403,
    ),
    TooBusy: (
        "Bitte einen Moment",
        "Gerade gibt es sehr viele Anfragen. Warten Sie bitte einige Sekunden und versuchen Sie es noch einmal.",
        503,
    ),
    SourceBusy: (
        "Bitte einen Moment",
        "Von Ihrem Internet-Anschluss kamen viele falsche Anmeldungen. Deshalb geht es dort nur langsam weiter. "
        "An Ihrem Konto liegt es nicht. Warten Sie bitte einige Sekunden und versuchen Sie es noch einmal.",
        503,
    ),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(ObjectDeletedError, deleted_meanwhile)
    app.register_error_handler(SessionOver, lambda _: login_manager.unauthorized())
    app.register_error_handler(SecondFactorDue, ask_for_second_factor)
    for kind in _REFUSALS:
        app.register_error_handler(kind, refused)
    for kind in (OperationalError, InterfaceError, TimeoutError):
        app.register_error_handler(kind, database_failed)
    app.register_error_handler(Exception, internal_error)


def http_error(error: HTTPException) -> Response:
    status = error.code or 500
    title, text = _MESSAGES.get(status, _MESSAGES[400])
    if isinstance(error, MissingRight):
        title, text = "Dafür fehlt Ihnen die Berechtigung", error.reason
    elif status == 405 and request.path == url_for("login.logout") and current_user.is_authenticated:
        text = "Zum Abmelden klicken Sie oben auf „Abmelden“."
    response = error_page(title, text, status, start=True)
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def deleted_meanwhile(_: ObjectDeletedError) -> Response:
    """The customer of the page was deleted during this request."""
    db.session.rollback()
    return http_error(NotFound())


def refused(refusal: Refusal) -> Response:
    title, text, status = _REFUSALS[type(refusal)]
    response = error_page(title, text, status, help="gesperrt" if status == 403 else None)
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def database_failed(error: OperationalError | InterfaceError | TimeoutError) -> Response:
    """The database cannot be reached or written, or all its connections are in use: one line a minute in the log."""
    if getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:  # a wrong statement
        return internal_error(error)
    with suppress(SQLAlchemyError):
        db.session.rollback()
    act_as_anonymous()
    g.request_id = log_database_error(f"Fehler {request_id()} in {request.endpoint}", error)
    text = "Unsere Datenbank antwortet nicht. Bitte versuchen Sie es in einigen Minuten noch einmal."
    response = error_page("Das geht gerade nicht", text, 503, error_number=request_id())
    response.headers["Retry-After"] = "30"
    return response


def internal_error(error: Exception) -> Response:
    """Roll back, log the error and show the request id. The path may contain a token and is not logged.

    A wrong statement, or a table that is missing, is logged once a minute; pages in between show the id of that line.
    """
    db.session.rollback()  # rendering the error page commits: it loads the user
    if isinstance(error, SQLAlchemyError):
        act_as_anonymous()
    doing = f"Fehler {request_id()} in {request.endpoint}"
    if isinstance(error, OperationalError):
        g.request_id = log_database_error(doing, error, traceback=True)
    else:
        log.error(doing, exc_info=error)
    text = "Der Fehler liegt bei uns. Bitte versuchen Sie es in einigen Minuten noch einmal."
    return error_page("Das hat nicht geklappt", text, 500, error_number=request_id())
