"""The versions of the database. Only the command line imports this: alembic takes 11 MiB, which no page needs."""

import flask_migrate
from flask import Flask

from kmzportal.db import VERSIONS, db

migrate = flask_migrate.Migrate(db=db, directory=str(VERSIONS.parent), render_as_batch=True, compare_type=True)


def upgrade(app: Flask) -> None:
    """Bring the tables to the newest version; a process that comes second waits for the first (see env.py)."""
    migrate.init_app(app)
    with app.app_context():
        flask_migrate.upgrade()
        db.session.remove()
        db.engine.dispose()
