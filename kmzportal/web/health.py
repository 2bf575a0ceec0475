"""Is the portal ready: is its database there, and as this code wants it?"""

from functools import cache
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, Response
from sqlalchemy.exc import DBAPIError

from kmzportal.db import db, migrate
from kmzportal.web.access import anyone

bp = Blueprint("health", __name__)


@bp.get("/readyz")
@anyone
def readyz() -> Response:
    ready = _revision_there() == _revision_wanted()
    return Response("ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain")


def _revision_there() -> str | None:
    """Return the version of the tables, or None where there is no database to ask."""
    try:
        return MigrationContext.configure(db.session.connection()).get_current_revision()
    except DBAPIError:
        return None


@cache
def _revision_wanted() -> str | None:
    return ScriptDirectory(Path(migrate.directory)).get_current_head()
