"""Liveness and readiness, for monitoring. Both answer whatever the Host header says."""

from flask import Blueprint, Response
from sqlalchemy.exc import DBAPIError

from kmzportal.db import up_to_date
from kmzportal.web.auth import anyone

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@anyone
def healthz() -> Response:
    """Whether the process answers."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
@anyone
def readyz() -> Response:
    """Whether the database answers, in the version that this code needs."""
    try:
        ready = up_to_date()
    except DBAPIError:
        ready = False
    return Response("ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain")
