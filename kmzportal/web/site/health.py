"""Liveness and readiness for monitoring, available under any Host header."""

from flask import Blueprint, Response
from sqlalchemy.exc import DBAPIError

from kmzportal.db import up_to_date
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
    """Respond with 503 unless the database is reachable and migrated to the version of this code."""
    try:
        ready = up_to_date()
    except DBAPIError:
        ready = False
    return Response("ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain")
