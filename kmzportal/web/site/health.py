"""Liveness and readiness for monitoring, available under any Host header."""

from datetime import UTC, datetime

from flask import Blueprint, Response
from sqlalchemy.exc import DBAPIError, TimeoutError

from kmzportal.db import db, up_to_date
from kmzportal.services import outbox
from kmzportal.web.auth import anyone

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@anyone
def healthz() -> Response:
    """Respond whenever the process runs."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
@anyone
def readyz() -> Response:
    """Respond with 503 unless the database is migrated to the version of this code, and can be written.

    That is known from the worker's heartbeat, which it writes every few seconds: a GET writes nothing.
    """
    try:
        ready = up_to_date() and not outbox.worker_silent(db.session(), datetime.now(UTC))
    except (DBAPIError, TimeoutError):
        ready = False
    return Response("ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain")
