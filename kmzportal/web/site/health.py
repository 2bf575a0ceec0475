"""Readiness: whether the database answers, with the tables of this version."""

from flask import Blueprint, Response
from sqlalchemy.exc import DBAPIError

from kmzportal.db import up_to_date
from kmzportal.web.auth import anyone

bp = Blueprint("health", __name__)


@bp.get("/readyz")
@anyone
def readyz() -> Response:
    try:
        ready = up_to_date()
    except DBAPIError:
        ready = False
    return Response("ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain")
