"""The migrations create exactly the tables of the models, on both databases."""

import subprocess
import sys
from pathlib import Path

import flask_migrate
import pytest
from sqlalchemy import create_engine, inspect, make_url, text

from kmzportal import create_app
from kmzportal.db import db
from kmzportal.migrations import migrate

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request, tmp_path):
    """The application with an empty database."""
    settings = {}
    if request.param == "postgresql":
        settings["SQLALCHEMY_DATABASE_URI"] = new_database(request.getfixturevalue("postgres_uri"))
    app = create_app(settings, tmp_path)
    migrate.init_app(app)
    yield app
    with app.app_context():
        db.engine.dispose()


def new_database(uri):
    engine = create_engine(uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS empty"))
        connection.execute(text("CREATE DATABASE empty"))
    engine.dispose()
    return make_url(uri).set(database="empty").render_as_string(hide_password=False)


def test_up_down_and_up_again_ends_with_the_tables_of_the_models(app):
    with app.app_context():
        flask_migrate.upgrade()
        assert inspect(db.engine).has_table("customer")
        flask_migrate.downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]
        flask_migrate.upgrade()
        flask_migrate.check()  # raises SystemExit if they differ


def test_of_several_processes_one_migrates_and_the_others_wait(app):
    command = [sys.executable, "-m", "kmzportal", "db", "upgrade"]
    environment = {
        "KMZPORTAL_INSTANCE_PATH": app.instance_path,
        "KMZPORTAL_SQLALCHEMY_DATABASE_URI": app.config["SQLALCHEMY_DATABASE_URI"],
    }
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    with app.app_context():
        flask_migrate.check()
